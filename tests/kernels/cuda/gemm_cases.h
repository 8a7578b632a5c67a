// One product as both twins make it, with all that may be asked of it.
#pragma once

#include <optional>
#include <string>

#include "kernels/api/gemm.h"
#include "kernels/cuda/device/session.h"
#include "tests/kernels/cuda/twins.h"

namespace tandem::test {

struct Wish {
  GemmShape shape;
  double alpha = 1, beta = 1;
  bool addend = false, bias = false, in_place = false;
  bool addend_row = false, addend_column = false;  // the same for all rows, or for all columns
  BiasAxis bias_axis = BiasAxis::kColumn;
  Activation activation = {};
  int64_t slack = 0;  // of the leading dimensions
  int64_t products = 1;
  bool shared_b = false;
  double tolerance = 0;  // 0: that of the type
  std::optional<UnaryGradOp> slope = {};
  std::optional<Operand> summed = {};
};

template <class T>
using Wide = std::conditional_t<std::is_same_v<T, double>, double, float>;

// Random numbers rounded to T, and what they are.
template <class T>
struct Numbers {
  Values<T> values;
  Values<Wide<T>> wide;
  Numbers(int64_t n, unsigned seed) : values(Shape{n}), wide(Values<Wide<T>>::random({n}, seed)) {
    for (int64_t i = 0; i < n; ++i) {
      values[i] = rounded<T>(wide[i]);
      wide[i] = static_cast<Wide<T>>(number(values[i]));
    }
  }
};

template <class T, class Out>
double tolerance() {
  return std::is_same_v<Out, double> ? 1e-12 : std::is_same_v<Out, float> ? 2e-5 : kHalfTolerance<Out>;
}

// The bits of C by the CUDA kernel, after comparing them with the CPU's and finding the border around C as it was.
template <class T, class Out = T>
std::vector<Out> check_product(const Wish& w, unsigned seed, cuda::Session* session = nullptr,
                               std::byte workspace_fill = std::byte{0xFF}) {
  using W = Wide<T>;
  const GemmShape& s = w.shape;
  const int64_t lda = (s.transpose_a ? s.m : s.k) + w.slack, ldb = (s.transpose_b ? s.k : s.n) + 2 * w.slack,
                ldc = s.n + 3 * w.slack;
  const int64_t a_size = (s.transpose_a ? s.k : s.m) * lda, b_size = (s.transpose_b ? s.n : s.k) * ldb, c_size = s.m * ldc;
  const Numbers<T> a(w.products * a_size, seed), b((w.shared_b ? 1 : w.products) * b_size, seed + 10);
  const Numbers<Out> addend(w.products * c_size, seed + 20), bias(std::max(s.m, s.n), seed + 30),
      saved(w.products * c_size, seed + 40);
  Values<W> expected_sums(Shape{w.summed == Operand::kB ? s.n : s.m});
  Values<W> expanded = addend.wide;  // as the CPU takes it
  for (int64_t i = 0; i < w.products * c_size; ++i)
    if (w.addend_column && ldc > 0) expanded[i] = addend.wide[i / c_size * c_size + i % c_size / ldc * ldc];
  const GemmBatch batch{w.products, a_size, w.shared_b ? 0 : b_size, c_size, w.addend ? c_size : 0};

  Values<W> expected(Shape{w.products * c_size});
  std::fill(expected.data.begin(), expected.data.end(), W(-77));
  cpu::GemmArgs<W> cpu_args{
      .a = a.wide.data.data(), .lda = lda, .b = b.wide.data.data(), .ldb = ldb, .c = expected.data.data(), .ldc = ldc};
  cpu_args.alpha = static_cast<W>(w.alpha), cpu_args.beta = static_cast<W>(w.beta);
  if (w.addend) cpu_args.addend = expanded.data.data(), cpu_args.ld_addend = w.addend_row ? 0 : ldc;
  if (w.bias) cpu_args.bias = bias.wide.data.data(), cpu_args.bias_axis = w.bias_axis;
  cpu_args.activation = w.activation;
  if (w.slope) cpu_args.backward.saved = saved.wide.data.data(), cpu_args.backward.slope = *w.slope;
  if (w.summed) cpu_args.backward.sums = expected_sums.data.data(), cpu_args.backward.summed = *w.summed;
  cpu::batched_gemm(Context(cpu::gemm_workspace_bytes<W>(s, 1)), s, cpu_args, batch);

  Values<Out> before(expected.shape);
  std::fill(before.data.begin(), before.data.end(), rounded<Out>(-77));
  for (int64_t i = 0; w.in_place && i < w.products * c_size; ++i)
    if (i % ldc < s.n) before[i] = addend.values[i];
  DeviceTensor da(a.values), db(b.values), dc(before), d_addend(addend.values), d_bias(bias.values), d_saved(saved.values),
      d_sums(Values<Out>(expected_sums.shape));
  constexpr size_t kEnough = 64 * 1024;  // for a library, which takes what there is
  const size_t workspace_bytes = session ? kEnough : cuda::gemm_workspace_bytes<T>(s, w.slope || w.summed);
  const DeviceMemory workspace(workspace_bytes, workspace_fill);
  cuda::GemmArgs<T, Out> args{.a = da.view().as<T>().data(),
                              .lda = lda,
                              .b = db.view().as<T>().data(),
                              .ldb = ldb,
                              .c = dc.view().template as<Out>().data(),
                              .ldc = ldc};
  args.alpha = static_cast<W>(w.alpha), args.beta = static_cast<W>(w.beta);
  if (w.addend) {
    args.addend = w.in_place ? args.c : d_addend.view().template as<Out>().data();
    args.ld_addend = w.addend_row ? 0 : ldc;
    args.addend_step = w.addend_column ? 0 : 1;
  }
  if (w.bias) args.bias = d_bias.view().template as<Out>().data(), args.bias_axis = w.bias_axis;
  args.activation = w.activation;
  if (w.slope) args.backward.saved = d_saved.view().template as<Out>().data(), args.backward.slope = *w.slope;
  if (w.summed) args.backward.sums = d_sums.view().template as<Out>().data(), args.backward.summed = *w.summed;
  KernelContext context{.cuda = session, .workspace = {workspace.data(), workspace_bytes}};
  if (w.products == 1)
    cuda::gemm(context, s, args);
  else
    cuda::batched_gemm(context, s, args, batch);
  const Values<Out> result = dc.values<Out>();
  static_cast<void>(workspace.read());  // its fences
  expect_twins(result, expected, w.tolerance ? w.tolerance : tolerance<T, Out>());
  if (w.summed) expect_twins(d_sums.values<Out>(), expected_sums, tolerance<T, Out>());
  return result.data;
}

inline std::string text(const GemmShape& s) {
  return std::to_string(s.m) + "x" + std::to_string(s.n) + "x" + std::to_string(s.k) + (s.transpose_a ? " A'" : "") +
         (s.transpose_b ? " B'" : "");
}

}  // namespace tandem::test
