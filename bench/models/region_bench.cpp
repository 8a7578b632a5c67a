// Times an ONNX model with its elementwise regions and node by node, in turns. bench/peers/elementwise.py runs onnxruntime beside it.
//
//   region_bench FILE THREADS SECONDS [SIZE]        SIZE: of the symbolic dimensions
// Validates first: the bits must be the same. Then prints one JSON object: milliseconds, the steps of both plans, the bytes of
// inputs and outputs, and what the machine streams (y = a + b on arrays beyond its caches, GB/s).
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <set>
#include <string>
#include <vector>

#include "kernels/api/elementwise.h"
#include "kernels/base/philox.h"
#include "runtime/exec/executor.h"
#include "runtime/onnx/onnx.h"
#include "runtime/passes/pass_manager.h"
#include "runtime/plan/traffic.h"

namespace tandem {
namespace {

using Clock = std::chrono::steady_clock;

template <class F>
double milliseconds(F&& run) {
  const auto start = Clock::now();
  run();
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}
// Of the fastest tenth: other programs only ever add to a time.
double typical(std::vector<double> times) {
  std::ranges::sort(times);
  return times[times.size() / 20];
}

// Floats in [0, 1); zeros of other types.
Tensor random_input(const Value& input, int64_t size, uint32_t seed) {
  Shape shape;
  for (const Dim& dim : *input.type.dims) shape.push_back(dim.known() ? dim.size : size);
  Tensor tensor(input.type.dtype, shape);
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    const float value = unit_float(philox(3, static_cast<uint64_t>(i), seed)[0]);
    if (tensor.dtype() == DType::kF32) tensor.as<float>()[static_cast<size_t>(i)] = value;
    if (tensor.dtype() == DType::kF64) tensor.as<double>()[static_cast<size_t>(i)] = static_cast<double>(value);
    if (tensor.dtype() == DType::kF16) tensor.as<F16>()[static_cast<size_t>(i)] = to_f16(value);
  }
  return tensor;
}

double stream_gb_per_second(int threads) {
  constexpr int64_t kElements = 64 << 20;
  const Tensor a(DType::kF32, {kElements}), b(DType::kF32, {kElements});
  Tensor y(DType::kF32, {kElements});
  std::vector<double> times;
  for (int i = 0; i < 7; ++i)
    times.push_back(milliseconds([&] { cpu::binary({.threads = threads}, BinaryOp::kAdd, a.view(), b.view(), y.view()); }));
  return 3.0 * kElements * sizeof(float) / typical(times) / 1e6;
}

struct Session {
  std::shared_ptr<const Plan> plan;
  Executor executor;
  std::vector<double> times;
  Session(const Graph& graph, PlanOptions options, std::set<std::string, std::less<>> disabled)
      : plan((options.disabled_passes = std::move(disabled), make_plan(graph, options))), executor(plan) {}
};

void bench(const std::string& file, int threads, double seconds, int64_t size) {
  Graph graph = load_onnx(file);
  run_passes(graph);
  std::vector<Tensor> inputs;
  std::vector<ConstTensorView> views;
  int64_t bytes = 0;
  for (ValueId id : graph.inputs) inputs.push_back(random_input(graph.value(id), size, static_cast<uint32_t>(id)));
  for (const Tensor& input : inputs) views.push_back(input.view());
  const PlanOptions options{.threads = threads, .default_bound = size};
  Session joined(graph, options, {}), apart(graph, options, {"elementwise_regions"});
  const auto outputs = joined.executor.run(views), expected = apart.executor.run(views);
  for (size_t i = 0; i < outputs.size(); ++i) {
    ensure(identical(Tensor::copy_of(outputs[i]), Tensor::copy_of(expected[i])), "a region changed an output", i);
    bytes += static_cast<int64_t>(outputs[i].bytes());
  }
  for (const Tensor& input : inputs) bytes += static_cast<int64_t>(input.bytes());
  for (const auto start = Clock::now(); std::chrono::duration<double>(Clock::now() - start).count() < seconds || joined.times.size() < 5;)
    for (Session* session : {&joined, &apart}) session->times.push_back(milliseconds([&] { session->executor.run(views); }));
  const double best = typical(joined.times), other = typical(apart.times);
  fmt::print("{{\"file\": \"{}\", \"ms\": {:.4f}, \"node_by_node_ms\": {:.4f}, \"steps\": {}, \"steps_node_by_node\": {}, \"arena\": {}, "
             "\"arena_node_by_node\": {}, \"gb_per_s\": {:.2f}, \"stream_gb_per_s\": {:.2f}}}\n",
             file, best, other, traffic_of(*joined.plan).host_steps, traffic_of(*apart.plan).host_steps, joined.plan->host.arena,
             apart.plan->host.arena, static_cast<double>(bytes) / best / 1e6, stream_gb_per_second(threads));
}

}  // namespace
}  // namespace tandem

int main(int argc, char** argv) try {
  tandem::require(argc == 4 || argc == 5, "usage: region_bench FILE THREADS SECONDS [SIZE]");
  tandem::bench(argv[1], std::stoi(argv[2]), std::stod(argv[3]), argc == 5 ? std::stoll(argv[4]) : 1);
  return 0;
} catch (const std::exception& error) {
  fmt::print(stderr, "region_bench: {}\n", error.what());
  return 1;
}
