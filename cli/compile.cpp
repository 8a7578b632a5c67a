// `tandem compile`: a model after its passes, kept in a form that opens at once.
#include <fmt/format.h>

#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/device_options.h"
#include "cli/json_line.h"
#include "cli/options.h"
#include "runtime/model/open_model.h"
#include "runtime/plan/compile.h"

namespace po = boost::program_options;

namespace tandem::cli {
namespace {

const Usage kUsageText = {
    "tandem compile MODEL.onnx [-o MODEL.tdm]",
    "Keeps a model as the passes leave it, with weights that are mapped and not parsed, plain and packed for the kernels: a file of about twice their\n"
    "size. Every command that takes a model takes the result. It is for this version of Tandem and this machine's instruction set; another one\n"
    "refuses it and says how to make it anew. Another build of this version, and another precision, packs the plain weights as it opens.",
    "  tandem compile model.onnx -o model.tdm\n"
    "  tandem run model.tdm --input x=rows.npy\n",
};

}  // namespace

int compile_command(int argc, char** argv) {
  po::options_description options("options");
  std::string file, output, precision = "f32", math = "strict";
  std::vector<std::string> disabled;
  options.add_options()("file", po::value(&file), "the model (also as a plain word)")("output,o", po::value(&output),
                                                                                      "the file to write; default: beside the model, as .tdm")(
      "disable-pass", po::value(&disabled), "leave a pass out")("precision", po::value(&precision)->default_value(precision),
                                                                "f32 or bf16: what the packed weights are for")(
      "math", po::value(&math)->default_value(math), "strict or fast: the same");
  po::variables_map values;
  if (!parse_options(argc, argv, kUsageText, options, "file", values)) return kOk;
  require(!file.empty(), "no model given; usage: " + kUsageText.line);
  if (output.empty()) output = std::filesystem::path(file).replace_extension(".tdm").string();
  OpenOptions how;
  how.passes.disabled = {disabled.begin(), disabled.end()};
  const PlanOptions planned{.default_bound = 1, .precision = precision_of(precision), .fast_math = is_fast_math(math)};
  const OpenedModel model = open_model(file, how);
  const CompileReport report = compile(model.graph, planned, output, file);
  if (!report.without_panels.empty()) fmt::print(stderr, "no panels are kept: {}\n", report.without_panels);
  const auto bytes = std::filesystem::file_size(output);
  if (values.contains("json"))
    std::cout << json_line({{"output", output}, {"nodes", model.graph.nodes.size()}, {"bytes", bytes}, {"panels", report.panels},
                            {"panel_bytes", report.panel_bytes}}) << "\n";
  else
    fmt::print("{} written: {} nodes, {} bytes, {} of them weights packed for this build\n", output, model.graph.nodes.size(), bytes,
               report.panel_bytes);
  return kOk;
}

}  // namespace tandem::cli
