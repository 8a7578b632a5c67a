// `tandem export`: a model as plain ONNX.
#include <fmt/format.h>

#include <algorithm>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/json_line.h"
#include "cli/options.h"
#include "runtime/io/file.h"
#include "runtime/model/open_model.h"
#include "runtime/onnx/onnx.h"
#include "runtime/passes/pass_manager.h"

namespace po = boost::program_options;

namespace tandem::cli {
namespace {

const Usage kUsageText = {
    "tandem export MODEL -o OUT.onnx [options]",
    "Writes a model as plain ONNX: what Tandem fused is taken apart again, so that any runtime reads it. A node that means something else in\n"
    "the opset asked for is refused by name.",
    "  tandem export model.onnx -o out.onnx --opset 17\n"
    "  tandem export model.onnx -o out.onnx --optimized        after the passes: constants folded, doubles merged\n"
    "  tandem export model.onnx -o out.onnx --external-data    weights in out.onnx.data; so it is anyway above 2 GiB\n"
    "  tandem export model.tdm -o out.onnx                     a compiled model, back in ONNX\n",
};

// ONNX wants the rank of each output. It may hang on arithmetic on constants, as torch.jit writes pads: folding a copy tells it.
void settle_outputs(Graph& graph) {
  const auto has_rank = [&](ValueId id) { return graph.value(id).type.dims.has_value(); };
  if (std::ranges::all_of(graph.outputs, has_rank)) return;
  Graph folded = graph;
  run_pass(folded, constant_folding_pass);
  for (size_t i = 0; i < graph.outputs.size(); ++i)
    if (!has_rank(graph.outputs[i])) graph.value(graph.outputs[i]).type = folded.value(folded.outputs[i]).type;
}

}  // namespace

int export_command(int argc, char** argv) {
  po::options_description options("options");
  std::string file, output;
  int opset = 0;
  options.add_options()("file", po::value(&file), "the model (also as a plain word)")("output,o", po::value(&output), "the file to write")(
      "opset", po::value(&opset), "of ai.onnx; default: the nearest to 21 in which all nodes mean the same")(
      "external-data", "weights into a file of their own")("optimized", "the graph after the passes");
  po::variables_map values;
  if (!parse_options(argc, argv, kUsageText, options, "file", values)) return kOk;
  require(!file.empty() && !output.empty(), "a model and --output are needed; usage: " + kUsageText.line);
  require(!values.contains("opset") || opset >= 1, "--opset must be positive", opset);
  OpenOptions how;
  how.optimize = values.contains("optimized");
  Graph graph = open_model(file, how).graph;
  settle_outputs(graph);
  save_onnx(graph, output, opset, values.contains("external-data") ? ExternalData::kAlways : ExternalData::kIfNeeded);
  if (values.contains("json"))
    std::cout << json_line({{"output", output}, {"nodes", graph.nodes.size()}}) << "\n";
  else
    fmt::print("{} written\n", output);
  return kOk;
}

}  // namespace tandem::cli
