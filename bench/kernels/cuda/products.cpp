// Kernels that arithmetic bounds. Peaks are those of the H200's datasheet, without sparsity.
#include "bench/kernels/cuda/case.h"
#include "kernels/api/gemm.h"

namespace tandem::bench {
namespace {

constexpr double kF64 = 67e12, kF32 = 67e12, kTF32 = 494e12, kHalf = 989e12;

struct Precision {
  std::string name;
  DType dtype;
  cuda::Math math;
  double peak, tolerance;
};

const Precision& precision(const std::string& name) {
  static const Precision kAll[] = {{"f64", DType::kF64, cuda::Math::kStrict, kF64, 1e-12},
                                   {"f32", DType::kF32, cuda::Math::kStrict, kF32, 1e-5},
                                   {"tf32", DType::kF32, cuda::Math::kFast, kTF32, 2e-3},
                                   {"f16", DType::kF16, cuda::Math::kStrict, kHalf, 2e-3},
                                   {"bf16", DType::kBF16, cuda::Math::kStrict, kHalf, 1e-2}};
  for (const Precision& one : kAll)
    if (one.name == name) return one;
  return kAll[1];
}

// y = x w, as a linear layer has it: w is stored [n, k] if `transposed`.
void add_gemm(Cases& cases, const Precision& p, int64_t m, int64_t n, int64_t k, bool transposed) {
  const Shape a = {m, k}, b = transposed ? Shape{n, k} : Shape{k, n};
  const MatmulOptions options{.transpose_b = transposed};
  const DType on_cpu = p.dtype == DType::kF64 ? DType::kF64 : DType::kF32;
  cases.push_back({.name = (transposed ? "linear " : "gemm ") + p.name + " " + sizes({m, n, k}),
                   .operands = {{p.dtype, a}, {p.dtype, b}, {p.dtype, {m, n}, {}, true}},
                   .gpu = [=](const KernelContext& c, Views v) { cuda::matmul(c, v[0], v[1], v[2], options); },
                   .cpu = [=](const KernelContext& c, Views v) { cpu::matmul(c, v[0], v[1], v[2], options); },
                   .gpu_workspace = cuda::matmul_workspace_bytes(p.dtype, a, b, false, transposed),
                   .cpu_workspace = cpu::matmul_workspace_bytes(on_cpu, a, b, false, transposed, 1),
                   .flops = 2.0 * static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k),
                   .peak = p.peak,
                   .tolerance = p.tolerance,
                   .math = p.math});
}

}  // namespace

void add_product_cases(Cases& cases, bool small) {
  for (const char* name : {"f32", "tf32", "f16", "bf16", "f64"}) {
    const int64_t size = name == std::string("f64") || name == std::string("f32") ? 4096 : 8192;
    small ? add_gemm(cases, precision(name), 70, 33, 45, false) : add_gemm(cases, precision(name), size, size, size, false);
  }
  // The layers of the MNIST networks at their batch sizes.
  if (small) return add_gemm(cases, precision("f32"), 5, 40, 70, true);
  add_gemm(cases, precision("f32"), 128, 256, 784, true);
  add_gemm(cases, precision("f32"), 64, 128, 9216, true);
}

}  // namespace tandem::bench
