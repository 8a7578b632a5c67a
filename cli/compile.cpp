// `tandem compile`: a model after its passes, kept in a form that opens at once.
#include <fmt/format.h>

#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/json_line.h"
#include "cli/options.h"
#include "runtime/model/compiled_model.h"
#include "runtime/model/open_model.h"

namespace po = boost::program_options;

namespace tandem::cli {
namespace {

const Usage kUsageText = {
    "tandem compile MODEL.onnx [-o MODEL.tdm]",
    "Keeps a model as the passes leave it, with weights that are mapped and not parsed. Every command that takes a model takes the result. It is for\n"
    "this version of Tandem and this machine's instruction set; another one refuses it and says how to make it anew.",
    "  tandem compile model.onnx -o model.tdm\n"
    "  tandem run model.tdm --input x=rows.npy\n",
};

}  // namespace

int compile_command(int argc, char** argv) {
  po::options_description options("options");
  std::string file, output;
  std::vector<std::string> disabled;
  options.add_options()("file", po::value(&file), "the model (also as a plain word)")("output,o", po::value(&output),
                                                                                      "the file to write; default: beside the model, as .tdm")(
      "disable-pass", po::value(&disabled), "leave a pass out");
  po::variables_map values;
  if (!parse_options(argc, argv, kUsageText, options, "file", values)) return kOk;
  require(!file.empty(), "no model given; usage: " + kUsageText.line);
  if (output.empty()) output = std::filesystem::path(file).replace_extension(".tdm").string();
  OpenOptions how;
  how.passes.disabled = {disabled.begin(), disabled.end()};
  const OpenedModel model = open_model(file, how);
  save_compiled(model.graph, output, file);
  const auto bytes = std::filesystem::file_size(output);
  if (values.contains("json"))
    std::cout << json_line({{"output", output}, {"nodes", model.graph.nodes.size()}, {"bytes", bytes}}) << "\n";
  else
    fmt::print("{} written: {} nodes, {} bytes\n", output, model.graph.nodes.size(), bytes);
  return kOk;
}

}  // namespace tandem::cli
