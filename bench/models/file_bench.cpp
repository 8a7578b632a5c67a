// Times inference of an ONNX file on random inputs: file_bench FILE THREADS SECONDS [DISABLED_PASS...]
//
// Inputs are f32 in [-1, 1); an unknown dimension is 1, integers are 1. Prints one JSON object: median and least milliseconds.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <string>
#include <vector>

#include "runtime/exec/executor.h"
#include "runtime/onnx/onnx.h"
#include "runtime/passes/pass_manager.h"

namespace tandem {
namespace {

using Clock = std::chrono::steady_clock;

Tensor random_input(const TensorType& type) {
  require(type.dims.has_value(), "an input of unknown rank cannot be drawn");
  Shape shape;
  for (const Dim& dim : *type.dims) shape.push_back(dim.known() ? dim.size : 1);
  Tensor tensor(type.dtype, shape);
  uint32_t state = 1;
  if (type.dtype == DType::kF32)
    for (float& x : tensor.as<float>()) x = static_cast<float>((state = state * 1664525 + 1013904223) >> 8) * 0x1p-23f - 1;
  if (type.dtype == DType::kI64)
    for (int64_t& x : tensor.as<int64_t>()) x = 1;
  return tensor;
}

void run(const std::string& file, int threads, double seconds, PassOptions options) {
  Graph graph = load_onnx(file);
  run_passes(graph, options);
  std::vector<Tensor> inputs;
  for (const ValueId id : graph.inputs) inputs.push_back(random_input(graph.value(id).type));
  std::vector<ConstTensorView> views;
  for (const Tensor& input : inputs) views.push_back(input.view());
  PlanOptions plan;
  plan.threads = threads;
  for (size_t i = 0; i < inputs.size(); ++i)
    for (size_t a = 0; a < graph.value(graph.inputs[i]).type.dims->size(); ++a) {
      const Dim& dim = (*graph.value(graph.inputs[i]).type.dims)[a];
      if (!dim.symbol.empty()) plan.bounds[dim.symbol] = 1;
    }
  Executor executor(make_plan(graph, plan));
  for (int i = 0; i < 3; ++i) executor.run(views);
  std::vector<double> times;
  const auto start = Clock::now();
  while (times.size() < 5 || std::chrono::duration<double>(Clock::now() - start).count() < seconds) {
    const auto before = Clock::now();
    executor.run(views);
    times.push_back(std::chrono::duration<double, std::milli>(Clock::now() - before).count());
  }
  std::ranges::sort(times);
  fmt::print("{{\"median_ms\": {:.4f}, \"least_ms\": {:.4f}, \"runs\": {}}}\n", times[times.size() / 2], times[0], times.size());
}

}  // namespace
}  // namespace tandem

int main(int argc, char** argv) {
  if (argc < 4) {
    fmt::print(stderr, "usage: file_bench FILE THREADS SECONDS [DISABLED_PASS...]\n");
    return 2;
  }
  tandem::PassOptions options;
  for (int i = 4; i < argc; ++i) options.disabled.insert(argv[i]);
  tandem::run(argv[1], std::stoi(argv[2]), std::stod(argv[3]), options);
  return 0;
}
