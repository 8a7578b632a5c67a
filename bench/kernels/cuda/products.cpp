// Kernels that arithmetic bounds. Peaks are those of the H200's datasheet, without sparsity.
#include "bench/kernels/cuda/case.h"
#include "kernels/api/conv.h"
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

// The name has batch, channels, height, width, filters and the kernel's two sizes; no pads, stride 1.
void add_conv(Cases& cases, const Precision& p, const Shape& x, const Shape& w) {
  const ConvGeometry g = make_conv_geometry(x, w, 1, {});
  const Shape y = g.output_shape(x[0]);
  const std::string text = " " + p.name + " " + sizes(x) + "x" + sizes({w[0], w[2], w[3]});
  const auto add = [&](const std::string& name, std::vector<Operand> operands, size_t gpu_workspace, size_t cpu_workspace, Kernel gpu, Kernel cpu) {
    cases.push_back({.name = name + text,
                     .operands = std::move(operands),
                     .gpu = std::move(gpu),
                     .cpu = std::move(cpu),
                     .gpu_workspace = gpu_workspace,
                     .cpu_workspace = cpu_workspace,
                     .flops = 2.0 * static_cast<double>(y.elements()) * static_cast<double>(w.elements()) / static_cast<double>(w[0]),
                     .peak = p.peak,
                     .tolerance = p.tolerance,
                     .math = p.math});
  };
  const ConvWorkspace gpu = cuda::conv_workspace_bytes(g, p.dtype), cpu = cpu::conv_workspace_bytes(g, DType::kF32, 1);
  const Operand dy = input(y, p.dtype), xs = input(x, p.dtype), ws = input(w, p.dtype);
  add("conv", {xs, ws, output(y, p.dtype)}, gpu.forward, cpu.forward,
      [=](const KernelContext& c, Views v) { cuda::conv(c, g, v[0], v[1], v[2]); },
      [=](const KernelContext& c, Views v) { cpu::conv(c, g, v[0], v[1], v[2]); });
  add("conv_input_grad", {ws, dy, output(x, p.dtype)}, gpu.input_grad, cpu.input_grad,
      [=](const KernelContext& c, Views v) { cuda::conv_input_grad(c, g, v[0], v[1], v[2]); },
      [=](const KernelContext& c, Views v) { cpu::conv_input_grad(c, g, v[0], v[1], v[2]); });
  add("conv_weight_grad", {xs, dy, output(w, p.dtype)}, gpu.weight_grad, cpu.weight_grad,
      [=](const KernelContext& c, Views v) { cuda::conv_weight_grad(c, g, v[0], v[1], v[2]); },
      [=](const KernelContext& c, Views v) { cpu::conv_weight_grad(c, g, v[0], v[1], v[2]); });
}

}  // namespace

void add_product_cases(Cases& cases, bool small) {
  for (const char* name : {"f32", "tf32", "f16", "bf16", "f64"}) {
    const int64_t size = name == std::string("f64") || name == std::string("f32") ? 4096 : 8192;
    small ? add_gemm(cases, precision(name), 70, 33, 45, false) : add_gemm(cases, precision(name), size, size, size, false);
  }
  for (const char* name : {"f32", "tf32", "bf16"})
    small ? add_conv(cases, precision(name), {2, 5, 11, 9}, {6, 5, 3, 3}) : add_conv(cases, precision(name), {256, 64, 56, 56}, {64, 64, 3, 3});
  if (small) return add_gemm(cases, precision("f32"), 5, 40, 70, true);
  // The layers of the MNIST networks at their batch sizes.
  add_conv(cases, precision("f32"), {64, 1, 28, 28}, {32, 1, 3, 3});
  add_conv(cases, precision("f32"), {64, 32, 26, 26}, {64, 32, 3, 3});
  add_gemm(cases, precision("f32"), 128, 256, 784, true);
  add_gemm(cases, precision("f32"), 64, 128, 9216, true);
}

}  // namespace tandem::bench
