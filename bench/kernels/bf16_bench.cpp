// Products of bf16: timed as GFLOP/s and as a share of this machine's ceiling (kernels/cpu/machine), measured next to each case.
//
//   bf16_bench [threads] [seconds a case] [part of a name]
//
// TANDEM_ISA chooses the tier. tests/kernels/bf16_gemm_test.cpp checks what is timed here.
#include <algorithm>
#include <cstdio>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "bench/kernels/kernel_options.h"
#include "kernels/api/bf16_gemm.h"
#include "kernels/base/block.h"
#include "kernels/cpu/machine/ceilings.h"

namespace tandem::cpu {
namespace {

// The quickest run of many.
double best_time(const Options& options, const std::function<void()>& run) {
  run();
  double best = 1e9;
  for (double total = 0; total < options.seconds;) {
    const double start = now(options.threads);
    run();
    const double time = now(options.threads) - start;
    best = std::min(best, time), total += time;
  }
  return best;
}

// Of the tier that is chosen; 0: it has no products of bf16.
double ceiling(const Options& options) { return operations_per_second(Arithmetic::kBf16, {.threads = options.threads}, chosen_isa()); }

struct Case {
  std::string name;
  int64_t m, k, n;
  bool narrow = true;
  Activation activation = {};
};

void bench(const Options& options, const Case& c) {
  if (c.name.find(options.only) == std::string::npos) return;
  std::mt19937 random(1);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> weights(static_cast<size_t>(c.k * c.n));
  for (float& w : weights) w = uniform(random);
  const PackedBf16 packed = pack_bf16({reinterpret_cast<const std::byte*>(weights.data()), DType::kF32, {c.k, c.n}});
  const auto a = make_zero_block(static_cast<size_t>(2 * c.m * c.k)), y = make_zero_block(static_cast<size_t>(4 * c.m * c.n));
  const size_t bytes = bf16_gemm_workspace(c.m, c.k, c.n);
  const auto workspace = make_zero_block(bytes);
  for (int64_t i = 0; i < c.m * c.k; ++i) reinterpret_cast<BF16*>(a.get())[i] = to_bf16(uniform(random));
  const KernelContext context = {.threads = options.threads, .workspace = {workspace.get(), bytes}};
  const double time = best_time(options, [&] {
    bf16_gemm(context, {a.get(), DType::kBF16, {c.m, c.k}}, packed, {y.get(), c.narrow ? DType::kBF16 : DType::kF32, {c.m, c.n}},
              {.activation = c.activation});
  });
  const double rate = 2.0 * static_cast<double>(c.m) * static_cast<double>(c.n) * static_cast<double>(c.k) / time,
               peak = ceiling(options);
  std::printf("%-34s %10.2f us %8.1f GFLOP/s %5.1f%% of %.0f %8.1f GB/s of weights\n", c.name.c_str(), time * 1e6, rate * 1e-9,
              100 * rate / peak, peak * 1e-9, 2e-9 * static_cast<double>(c.k) * static_cast<double>(c.n) / time);
  std::fflush(stdout);
}

}  // namespace
}  // namespace tandem::cpu

int main(int argc, char** argv) {
  using namespace tandem::cpu;
  const Options options = parse_options(argc, argv);
  if (ceiling(options) == 0) return std::puts("this bench wants a tier with products of bf16"), 1;
  std::printf("tier %s, %d threads\n", std::string(name(chosen_isa())).c_str(), options.threads);
  std::vector<Case> cases;
  for (const int64_t size : {512, 1024, 2048, 4096}) cases.push_back({"square " + std::to_string(size), size, size, size});
  cases.push_back({"square f32 1024", 1024, 1024, 1024, false});
  for (const int64_t rows : {128, 1024}) {
    const std::string at = " at " + std::to_string(rows);
    cases.push_back({"bert 768-768" + at, rows, 768, 768});
    cases.push_back({"bert 768-3072 gelu" + at, rows, 768, 3072, true, tandem::UnaryOp::kGelu});
    cases.push_back({"bert 768-3072" + at, rows, 768, 3072});
    cases.push_back({"bert 3072-768" + at, rows, 3072, 768});
  }
  for (const int64_t rows : {1, 4, 16})
    for (const int64_t size : {768, 4096})
      cases.push_back({"rows " + std::to_string(rows) + " by " + std::to_string(size), rows, size, size});
  for (const Case& c : cases) bench(options, c);
  return 0;
}
