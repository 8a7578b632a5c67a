// The CUDA kernels, validated against their CPU twins, then timed: one JSON object a line.
//
//   cuda_bench [--check] [--filter TEXT] [--seconds N]
//
// --check only validates, and runs on the emulator too; --seconds is what each case may take (0.2). Exit code 1: a kernel was wrong;
// 77: no GPU.
#include <cuda_runtime_api.h>
#include <fmt/format.h>

#include <cstdlib>
#include <string>

#include "bench/kernels/cuda/case.h"
#include "bench/kernels/cuda/measure.h"

namespace tandem::bench {

std::string sizes(const Shape& shape) {
  std::string text;
  for (int axis = 0; axis < shape.rank(); ++axis) text += (axis ? "x" : "") + std::to_string(shape[axis]);
  return text;
}

namespace {

constexpr double kBandwidth = 4.8e12;  // bytes/s, the H200's datasheet

struct Options {
  bool check = false;
  std::string filter;
  double seconds = 0.2;
};

Cases all_cases(bool small) {
  Cases cases;
  add_product_cases(cases, small);
  add_memory_cases(cases, small);
  add_layer_cases(cases, small);
  return cases;
}

bool check(const Case& one) {
  const double error = difference(one);
  const bool right = error <= one.tolerance;
  fmt::print(stderr, "{}: {}, off by {:.2g}\n", one.name, right ? "right" : "WRONG", error);
  return right;
}

double bytes_of(const Case& one) {
  if (one.bytes != 0) return one.bytes;
  double sum = 0;
  for (const Operand& operand : one.operands) sum += static_cast<double>(operand.shape.elements()) * static_cast<double>(size_of(operand.dtype));
  return sum;
}

void time(const Case& one, double seconds) {
  const Timing timing = time_on_device(one, seconds);
  const double per_second = 1e6 / timing.median_us, work = one.flops != 0 ? one.flops : bytes_of(one);
  const double peak = one.flops != 0 ? one.peak : kBandwidth;
  fmt::print("{{\"case\": \"{}\", \"us\": {:.3f}, \"p90_us\": {:.3f}, \"runs\": {}, \"rate\": {:.4f}, \"unit\": \"{}\", \"share\": {:.4f}}}\n",
             one.name, timing.median_us, timing.p90_us, timing.runs, work * per_second * (one.flops != 0 ? 1e-12 : 1e-9),
             one.flops != 0 ? "TFLOP/s" : "GB/s", work * per_second / peak);
  std::fflush(stdout);
}

void time_machine(double seconds) {
  const double bandwidth = copy_bandwidth(seconds);
  fmt::print("{{\"case\": \"copy\", \"us\": {:.3f}, \"rate\": {:.1f}, \"unit\": \"GB/s\", \"share\": {:.4f}}}\n", 2e6 * (1 << 30) / bandwidth,
             bandwidth * 1e-9, bandwidth / kBandwidth);
  for (int kernels : {20, 100}) {
    const GraphTiming graph = time_graph(kernels, seconds);
    fmt::print("{{\"case\": \"graph launch, {} kernels\", \"us\": {:.3f}}}\n", kernels, graph.launch_us);
    fmt::print("{{\"case\": \"one kernel of {} in a graph\", \"us\": {:.3f}}}\n", kernels, graph.kernel_us);
  }
}

// How many kernels were wrong.
int run(const Options& options) {
  int wrong = 0;
  const auto chosen = [&](const Case& one) { return one.name.find(options.filter) != std::string::npos; };
  for (const Case& one : all_cases(true))
    if (chosen(one) && !check(one)) ++wrong;
  if (wrong || options.check) return wrong;
  if (options.filter.empty()) time_machine(options.seconds);
  for (const Case& one : all_cases(false))
    if (chosen(one)) time(one, options.seconds);
  return 0;
}

}  // namespace
}  // namespace tandem::bench

int main(int argc, char** argv) {
  tandem::bench::Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string argument = argv[i];
    if (argument == "--check") {
      options.check = true;
    } else if (argument == "--filter" && i + 1 < argc) {
      options.filter = argv[++i];
    } else if (argument == "--seconds" && i + 1 < argc) {
      options.seconds = std::atof(argv[++i]);
    } else {
      fmt::print(stderr, "usage: cuda_bench [--check] [--filter TEXT] [--seconds N]\n");
      return 2;
    }
  }
  int devices = 0;
  if (const cudaError_t status = cudaGetDeviceCount(&devices); status != cudaSuccess || devices == 0) {
    fmt::print(stderr, "no GPU: {}\n", cudaGetErrorString(status));
    return 77;
  }
  try {
    fmt::print(stderr, "{}\n", tandem::bench::device_name());
    return tandem::bench::run(options) == 0 ? 0 : 1;
  } catch (const std::exception& error) {
    fmt::print(stderr, "cuda_bench: {}\n", error.what());
    return 1;
  }
}
