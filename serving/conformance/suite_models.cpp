#include "serving/conformance/suite_models.h"

#include <algorithm>
#include <cctype>

#include "runtime/graph/op_def.h"
#include "runtime/onnx/onnx.h"
#include "runtime/ops/all_ops.h"
#include "serving/protocol/datatype.h"

namespace tandem {
namespace {

constexpr int kOldOpset = 18, kFirstOpsetWithBf16 = 13;  // what servers of the last years read
static_assert(kOldOpset >= kFirstOpsetWithBf16);

Graph new_graph() {
  Graph graph;
  graph.opsets = {{"", kOnnxOpset}};
  return graph;
}

Graph echo(DType dtype) {
  Graph graph = new_graph();
  const ValueId x = graph.add_input("x", dtype, {"batch", "width"});
  const ValueId y = graph.add_node(newest_op("Identity"), {x}, 1)[0];
  graph.value(y).name = std::string("y");
  graph.outputs = {y};
  return graph;
}

Graph sum_and_difference() {
  Graph graph = new_graph();
  const ValueId a = graph.add_input("INPUT0", DType::kF32, {"batch", 4}),
                b = graph.add_input("INPUT1", DType::kF32, {"batch", 4});
  for (const auto& [op, name] : {std::pair{"Add", "OUTPUT0"}, {"Sub", "OUTPUT1"}}) {
    graph.outputs.push_back(graph.add_node(newest_op(op), {a, b}, 1)[0]);
    graph.value(graph.outputs.back()).name = std::string(name);
  }
  return graph;
}

void write(const std::filesystem::path& folder, const std::string& name, const Graph& graph) {
  std::filesystem::create_directories(folder / name / "1");
  save_onnx(graph, folder / name / "1/model.onnx", kOldOpset);
}

}  // namespace

std::string echo_model(DType dtype) {
  std::string name = "oip_echo_" + std::string(wire_name(dtype));
  std::ranges::transform(name, name.begin(), [](unsigned char one) { return static_cast<char>(std::tolower(one)); });
  return name;
}

void write_suite_models(const std::filesystem::path& folder) {
  write(folder, std::string(kSumModel), sum_and_difference());
  for (const DType dtype : kEchoTypes) write(folder, echo_model(dtype), echo(dtype));
}

}  // namespace tandem
