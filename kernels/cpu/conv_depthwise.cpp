// Depthwise convolution (one input channel a group): tap by tap, lines are scaled and added, or multiplied and summed, while a plane
// stays in cache. Threads share planes; a plane's taps come in one order.
#include <algorithm>

#include "kernels/cpu/conv_kernels.h"
#include "kernels/cpu/gemm/activation.h"

namespace tandem::cpu {
namespace {

// All output pixels at one depth.
PixelBlock plane_at(const ConvShape& s, int64_t depth) { return {depth, 0, s.w.output[1], 0, s.w.output[2]}; }

// Calls f(tap index, runs) with `runs` leading from input pixels (source) to output pixels (target), or back.
template <class T, class F>
void for_each_run(const ConvShape& s, F&& f) {
  for (int64_t depth = 0; depth < s.w.output[0]; ++depth) {
    const PixelBlock block = plane_at(s, depth);
    for_each_tap(s, [&](int64_t index, const Tap& tap) {
      const TapBlock in = clip_tap(s, block, tap);
      if (in.empty()) return;
      Runs<T> runs;
      runs.rows = 1, runs.lines = in.lines, runs.length = in.width;
      f(index, runs, in.source, block.first(s) + in.line * block.width + in.column);
    });
  }
}

}  // namespace

template <class T>
void depthwise_forward(const KernelContext& context, const ConvShape& s, const GemmTier<T>& tier, const ConvOperands<T>& o) {
  constexpr int64_t kActivatedAtOnce = 512;  // elements: small planes lie side by side, and a call a plane would cost more than its work
  const int64_t filters = s.groups * s.filters, planes = o.batch * filters;
  const int64_t step = s.output > 0 ? std::max<int64_t>(1, kActivatedAtOnce / s.output) : planes;
  const auto convolve = [&](int64_t i) {
    const int64_t filter = i % filters, group = filter / s.filters;
    const T* x = o.x + (i / filters * s.groups + group) * s.input;
    T* y = o.y + i * s.output;
    const T bias = o.bias ? o.bias[filter] : T(0);
    for (int64_t p = 0; p < s.output; ++p) y[p] = (o.residual ? o.residual[i * s.output + p] : T(0)) + bias;
    for_each_run<T>(s, [&](int64_t tap, Runs<T> runs, int64_t input, int64_t output) {
      runs.target = y + output, runs.target_line = s.w.output[2];
      runs.source = x + input, runs.source_line = s.w.stride[1] * s.w.input[2], runs.source_stride = s.w.stride[2];
      tier.scale_add_runs(runs, o.w[filter * s.taps + tap]);
    });
  };
#pragma omp parallel for num_threads(context.threads) schedule(static) if (worth_a_team(s, o.batch))
  for (int64_t first = 0; first < planes; first += step) {
    const int64_t count = std::min(step, planes - first), elements = count * s.output;
    for (int64_t i = first; i < first + count; ++i) convolve(i);
    activate(o.activation, o.y + first * s.output, elements, 1, elements);
  }
}

template <class T>
void depthwise_input_grad(const KernelContext& context, const ConvShape& s, const GemmTier<T>& tier, const T* w, const T* dy, T* dx,
                          int64_t batch) {
#pragma omp parallel for num_threads(context.threads) schedule(static) if (worth_a_team(s, batch))
  for (int64_t i = 0; i < batch * s.groups; ++i) {
    T* plane = dx + i * s.input;
    std::fill_n(plane, s.input, T(0));
    for (int64_t f = 0; f < s.filters; ++f)
      for_each_run<T>(s, [&](int64_t tap, Runs<T> runs, int64_t input, int64_t output) {
        runs.target = plane + input, runs.target_line = s.w.stride[1] * s.w.input[2], runs.target_stride = s.w.stride[2];
        runs.source = dy + (i * s.filters + f) * s.output + output, runs.source_line = s.w.output[2];
        tier.scale_add_runs(runs, w[(i % s.groups * s.filters + f) * s.taps + tap]);
      });
  }
}

template <class T>
void depthwise_weight_grad(const KernelContext& context, const ConvShape& s, const GemmTier<T>& tier, const T* x, const T* dy, T* dw,
                           int64_t batch) {
  const int64_t filters = s.groups * s.filters;
#pragma omp parallel for num_threads(context.threads) schedule(static) if (worth_a_team(s, batch))
  for (int64_t filter = 0; filter < filters; ++filter) {
    T* sums = dw + filter * s.taps;
    std::fill_n(sums, s.taps, T(0));
    for (int64_t image = 0; image < batch; ++image) {
      const T* planes = x + (image * s.groups + filter / s.filters) * s.input;
      for_each_run<T>(s, [&](int64_t tap, Runs<T> runs, int64_t input, int64_t output) {
        runs.target_line = s.w.output[2];
        runs.source = planes + input, runs.source_line = s.w.stride[1] * s.w.input[2], runs.source_stride = s.w.stride[2];
        sums[tap] += tier.dot_runs(runs, dy + (image * filters + filter) * s.output + output);
      });
    }
  }
}

template void depthwise_forward<float>(const KernelContext&, const ConvShape&, const GemmTier<float>&, const ConvOperands<float>&);
template void depthwise_forward<double>(const KernelContext&, const ConvShape&, const GemmTier<double>&, const ConvOperands<double>&);
template void depthwise_input_grad<float>(const KernelContext&, const ConvShape&, const GemmTier<float>&, const float*, const float*,
                                          float*, int64_t);
template void depthwise_input_grad<double>(const KernelContext&, const ConvShape&, const GemmTier<double>&, const double*,
                                           const double*, double*, int64_t);
template void depthwise_weight_grad<float>(const KernelContext&, const ConvShape&, const GemmTier<float>&, const float*, const float*,
                                           float*, int64_t);
template void depthwise_weight_grad<double>(const KernelContext&, const ConvShape&, const GemmTier<double>&, const double*,
                                            const double*, double*, int64_t);

}  // namespace tandem::cpu
