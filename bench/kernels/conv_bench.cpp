// Channels-last convolutions, every different layer of four networks: validated, then timed, as a share of this machine's multiply-add ceiling.
//
//   conv_bench [threads] [seconds a layer] [only layers whose name contains this] [batch]
//
// One line a layer, tab-separated: name, x [N, C, H, W], w, group, stride, pad, activation, times it occurs, microseconds, GFLOP/s, share of
// the ceiling, GB/s of its operands. Layers that Winograd can do follow twice more, by tiles of 2 and of 4, with the same arithmetic in the column of
// GFLOP/s. bench/peers/conv.py runs the same layers in onnxruntime. The time is the least of many runs: a shared
// machine adds, it never takes away.
#include <omp.h>
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <new>
#include <random>
#include <string>
#include <vector>

#include "bench/kernels/conv_layers.h"
#include "bench/kernels/kernel_options.h"
#include "kernels/api/conv_channels_last.h"
#include "kernels/api/conv_winograd.h"
#include "kernels/cpu/gemm/tier.h"

namespace tandem::cpu {
namespace {

double seconds_of(int threads, const std::function<void()>& body) {
  const double start = now(threads);
  body();
  return now(threads) - start;
}

// 64-byte aligned, as the tensors of a plan are: a vector that crosses cache lines costs two loads.
template <class T>
struct CacheLines {
  using value_type = T;
  CacheLines() = default;
  template <class U>
  CacheLines(const CacheLines<U>&) {}
  T* allocate(size_t n) { return static_cast<T*>(::operator new(n * sizeof(T), std::align_val_t(64))); }
  void deallocate(T* p, size_t) { ::operator delete(p, std::align_val_t(64)); }
  bool operator==(const CacheLines&) const = default;
};
using Values = std::vector<float, CacheLines<float>>;

Values noise(int64_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  Values values(static_cast<size_t>(n));
  for (float& v : values) v = uniform(random);
  return values;
}

// Multiply-adds per second times two, of one register tile over k = 256 on every thread.
double ceiling(int threads) {
  const GemmTier<float>& tier = gemm_tier<float>(chosen_isa());
  constexpr int64_t kSteps = 256, kRepeats = 500;
  const Values a = noise(tier.mr * kSteps, 1), b = noise(tier.nr * kSteps, 2);
  double least = 1e9;
  for (int trial = 0; trial < 8; ++trial)
    least = std::min(least, seconds_of(threads, [&] {
#pragma omp parallel num_threads(threads)
      {
        Values c(static_cast<size_t>(tier.mr * tier.nr));
        GemmBlock<float> block;
        block.rows = tier.mr, block.cols = tier.nr, block.k = kSteps;
        block.a = a.data(), block.a_k = tier.mr;
        block.b = b.data(), block.b_k = tier.nr;
        block.c = c.data(), block.ldc = tier.nr;
        for (int64_t i = 0; i < kRepeats; ++i) tier.multiply(block);
      }
    }));
  return 2.0 * static_cast<double>(tier.mr * tier.nr * kSteps * kRepeats * threads) / least;
}

// Of one run. Short ones are timed several at once: the clock of a thread ticks coarsely.
double least_time(const Options& options, const std::function<void()>& run) {
  const double once = seconds_of(options.threads, run);
  const int at_once = std::clamp(static_cast<int>(50e-6 / std::max(once, 1e-7)), 1, 100);
  double least = 1e9, total = 0;
  for (int i = 0; i < 5 || total < options.seconds; ++i) {
    const double time = seconds_of(options.threads, [&] {
      for (int n = 0; n < at_once; ++n) run();
    });
    least = std::min(least, time / at_once);
    total += time;
  }
  return least;
}

ConstTensorView view(const Values& values, const Shape& shape) {
  return {reinterpret_cast<const std::byte*>(values.data()), DType::kF32, shape};
}

// One value of a 2-D convolution, in double.
double value_at(const ConvGeometry& g, const Values& x, const Values& w, int64_t pixel, int64_t filter) {
  const Window& win = g.window;
  const int64_t cg = g.channels / g.groups, group = filter / (g.filters / g.groups);
  double sum = 0;
  for (int64_t tap = 0; tap < win.kernel_size(); ++tap) {
    const int64_t row = pixel / win.output[2] * win.stride[1] + tap / win.kernel[2] - win.pad_begin[1];
    const int64_t column = pixel % win.output[2] * win.stride[2] + tap % win.kernel[2] - win.pad_begin[2];
    if (row < 0 || row >= win.input[1] || column < 0 || column >= win.input[2]) continue;
    for (int64_t c = 0; c < cg; ++c)
      sum += double(x[static_cast<size_t>((row * win.input[2] + column) * g.channels + group * cg + c)]) *
             double(w[static_cast<size_t>((filter * cg + c) * win.kernel_size() + tap)]);
  }
  return sum;
}

void validate(const ConvLayer& layer, const ConvGeometry& g, const Values& x, const Values& w,
              const Values& bias, const Values& y) {
  const int64_t pixels = g.window.output_size();
  for (int64_t pixel : {int64_t{0}, pixels / 3, pixels / 2, pixels - 1})
    for (int64_t filter : {int64_t{0}, g.filters / 2, g.filters - 1}) {
      const double expected = value_at(g, x, w, pixel, filter) + double(bias[static_cast<size_t>(filter)]);
      const double actual = double(y[static_cast<size_t>(pixel * g.filters + filter)]);
      if (std::abs(actual - expected) <= 1e-4 * (1 + std::abs(expected))) continue;
      std::fprintf(stderr, "%s: wrong result %g at pixel %lld, filter %lld; expected %g\n", layer.name, actual, (long long)pixel,
                   (long long)filter, expected);
      std::exit(1);
    }
}

// How a layer is computed: the kernel with its weights packed, and its workspace.
struct Method {
  std::string name;
  size_t workspace;
  std::function<void(const KernelContext&, const ConvGeometry&, ConstTensorView x, TensorView y, const ConvEpilogue&)> run;
};

std::vector<Method> methods(const Options& options, const ConvGeometry& g, ConstTensorView w) {
  const ChannelsLastFilters direct = pack_filters_channels_last(g, w);
  std::vector<Method> methods = {{"", conv_channels_last_workspace(g, options.threads), [=](auto& context, auto& geometry, auto x, auto y, auto& epilogue) {
                                    conv_channels_last(context, geometry, x, direct, y, epilogue);
                                  }}};
  if (!has_winograd_form(g)) return methods;
  for (const WinogradTiles tiles : {WinogradTiles::kTwo, WinogradTiles::kFour}) {
    const WinogradFilters filters = pack_winograd_filters(g, w, tiles);
    methods.push_back({" Winograd " + std::to_string(static_cast<int>(tiles)), conv_winograd_workspace(g, tiles, options.threads),
                       [=](auto& context, auto& geometry, auto x, auto y, auto& epilogue) {
                         conv_winograd(context, geometry, x, filters, y, epilogue);
                       }});
  }
  return methods;
}

void bench(const Options& options, const ConvLayer& layer, int64_t batch) {
  const int64_t strides[] = {layer.stride, layer.stride}, pads[] = {layer.pad, layer.pad, layer.pad, layer.pad};
  const Shape xs{batch, layer.channels, layer.size, layer.size}, ws{layer.filters, layer.channels / layer.groups, layer.kernel, layer.kernel};
  const ConvGeometry g = make_conv_geometry(xs, ws, layer.groups, {.kernel = {}, .strides = strides, .pads = pads});
  const Shape input = channels_last_input_shape(g, batch), output = channels_last_output_shape(g, batch);
  const Values x = noise(xs.elements(), 1), w = noise(ws.elements(), 2), bias = noise(g.filters, 3);
  Values y(static_cast<size_t>(output.elements()));
  const TensorView to{reinterpret_cast<std::byte*>(y.data()), DType::kF32, output};
  const double peak = ceiling(options.threads);
  for (const Method& method : methods(options, g, view(w, ws))) {
    std::vector<std::byte, CacheLines<std::byte>> workspace(method.workspace);
    KernelContext context;
    context.threads = options.threads;
    context.workspace = workspace;
    ConvEpilogue epilogue;
    epilogue.bias = view(bias, {g.filters});
    method.run(context, g, view(x, input), to, epilogue);
    validate(layer, g, x, w, bias, y);
    epilogue.activation = layer.activation();
    const double time = least_time(options, [&] { method.run(context, g, view(x, input), to, epilogue); });
    const double flops = 2.0 * static_cast<double>(output.elements() * ws.elements() / layer.filters);
    const double bytes = 4.0 * static_cast<double>(xs.elements() + ws.elements() + output.elements());
    std::printf("%-34s\t%s\t%s\t%lld\t%lld\t%lld\t%s\t%d\t%9.1f\t%6.1f\t%5.1f%%\t%6.1f\n", (layer.name + method.name).c_str(),
                to_string(xs).c_str(), to_string(ws).c_str(), (long long)layer.groups, (long long)layer.stride, (long long)layer.pad,
                layer.activation_name(), layer.count, time * 1e6, flops / time * 1e-9, 100 * flops / time / peak, bytes / time * 1e-9);
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace tandem::cpu

int main(int argc, char** argv) {
  const tandem::cpu::Options options = tandem::cpu::parse_options(argc, argv, {.threads = 1, .seconds = 0.2, .only = ""});
  for (const tandem::cpu::ConvLayer& layer : tandem::cpu::kConvLayers)
    if (std::string(layer.name).find(options.only) != std::string::npos) tandem::cpu::bench(options, layer, argc > 4 ? std::atoi(argv[4]) : 1);
  return 0;
}
