// Convolutions of bytes as they come in quantized networks, channels last: validated, then timed, as GOP/s and as a share of this
// machine's ceiling (kernels/cpu/machine), measured next to each case.
//
//   integer_bench [threads] [seconds a case] [part of a name]
//
// TANDEM_ISA chooses the tier: amx, or those with VNNI.
#include <time.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "bench/kernels/kernel_options.h"
#include "kernels/api/integer_conv_channels_last.h"
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

// Memory of 64-byte lines.
class Memory {
 public:
  explicit Memory(size_t bytes) : bytes_(bytes + 64) {}
  std::byte* data() { return bytes_.data() + (64 - reinterpret_cast<uintptr_t>(bytes_.data()) % 64); }

 private:
  std::vector<std::byte> bytes_;
};

std::vector<std::byte> noise(int64_t n, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<std::byte> bytes(static_cast<size_t>(n));
  for (std::byte& b : bytes) b = static_cast<std::byte>(random());
  return bytes;
}

// Of the tier that is chosen; 0: it has no products of bytes.
double ceiling(const Options& options) { return operations_per_second(Arithmetic::kInt8, {.threads = options.threads}, chosen_isa()); }

struct Case {
  std::string name;
  int64_t image, channels, filters, kernel = 1, stride = 1, groups = 1;
};

void check(const Case& c, const ConvGeometry& g, const std::vector<std::byte>& x, const std::vector<std::byte>& w,
           const std::vector<std::byte>& y, const OutputScales& scales) {
  const int64_t out = g.window.output[1], pad = g.window.pad_begin[1], channels = c.channels / c.groups;
  std::mt19937 random(5);
  for (int i = 0; i < 200; ++i) {
    const auto pick = [&](int64_t n) { return static_cast<int64_t>(random()) % n; };
    const int64_t row = pick(out), column = pick(out), f = pick(c.filters), first = f / (c.filters / c.groups) * channels;
    int32_t sum = 0;
    for (int64_t p = 0; p < c.kernel * c.kernel; ++p) {
      const int64_t l = row * c.stride - pad + p / c.kernel, k = column * c.stride - pad + p % c.kernel;
      if (l < 0 || l >= c.image || k < 0 || k >= c.image) continue;
      for (int64_t q = 0; q < channels; ++q)
        sum += (static_cast<int32_t>(x[static_cast<size_t>((l * c.image + k) * c.channels + first + q)])) *
               static_cast<int8_t>(w[static_cast<size_t>((f * channels + q) * c.kernel * c.kernel + p)]);
    }
    const int32_t expected = requantized(sum, scales.exact[0], scales.low, scales.high) + scales.zero;
    const auto got = static_cast<int32_t>(y[static_cast<size_t>((row * out + column) * c.filters + f)]);
    if (got == expected) continue;
    std::fprintf(stderr, "%s: wrong result %d, expected %d\n", c.name.c_str(), got, expected);
    std::exit(1);
  }
}

void bench(const Options& options, const Case& c) {
  if (c.name.find(options.only) == std::string::npos) return;
  const int64_t half = c.kernel / 2;
  const std::vector<int64_t> strides(2, c.stride), pads(4, half);
  const ConvGeometry g = make_conv_geometry({1, c.channels, c.image, c.image}, {c.filters, c.channels / c.groups, c.kernel, c.kernel},
                                            c.groups, {.kernel = {}, .strides = strides, .pads = pads});
  const int64_t out = g.window.output[1], products = out * out * c.filters * (c.channels / c.groups) * c.kernel * c.kernel;
  const std::vector<std::byte> x = noise(c.image * c.image * c.channels, 1), w = noise(g.weight_shape().elements(), 2), zero(1, std::byte{0});
  std::vector<std::byte> y(static_cast<size_t>(out * out * c.filters));
  const float w_scale = 0.01f, y_scale = 0.0543f * std::sqrt(static_cast<float>(products / (out * out * c.filters)));  // results as wide as a byte
  Memory scale_memory(output_scales_bytes(1));
  const OutputScales scales = make_output_scales({scale_memory.data(), output_scales_bytes(1)},
                                                 {.x_scale = 0.02f, .w_scales = {&w_scale, 1}, .y_scale = y_scale, .y_zero = 100, .with_floors = true});
  const ChannelsLastIntegerFilters filters = pack_integer_filters_channels_last(g, {w.data(), DType::kI8, g.weight_shape()});
  const size_t bytes = integer_conv_channels_last_workspace(g, options.threads);
  Memory workspace(bytes);
  const KernelContext context = {.threads = options.threads, .workspace = {workspace.data(), bytes}};
  const auto run = [&] {
    integer_conv_channels_last(context, g, {x.data(), DType::kU8, {1, c.image, c.image, c.channels}}, {zero.data(), DType::kU8, {}},
                               filters, {y.data(), DType::kU8, {1, out, out, c.filters}}, &scales);
  };
  run();
  check(c, g, x, w, y, scales);
  const double time = best_time(options, run), rate = 2.0 * static_cast<double>(products) / time, peak = ceiling(options);
  std::printf("%-46s %9.2f us %8.1f GOP/s %5.1f%% of %.0f\n", c.name.c_str(), time * 1e6, rate * 1e-9, 100 * rate / peak, peak * 1e-9);
  std::fflush(stdout);
}

}  // namespace
}  // namespace tandem::cpu

int main(int argc, char** argv) {
  using namespace tandem::cpu;
  const Options options = parse_options(argc, argv);
  if (ceiling(options) == 0) return std::puts("this bench wants a tier with products of bytes"), 1;
  std::printf("tier %s, %d threads\n", std::string(name(chosen_isa())).c_str(), options.threads);
  const std::vector<Case> cases = {
      {"resnet stem 7x7 s2 3->64, 224", 224, 3, 64, 7, 2},
      {"resnet 1x1 64->64, 56", 56, 64, 64},
      {"resnet 3x3 64->64, 56", 56, 64, 64, 3},
      {"resnet 1x1 64->256, 56", 56, 64, 256},
      {"resnet 1x1 256->64, 56", 56, 256, 64},
      {"resnet 3x3 s2 128->128, 56", 56, 128, 128, 3, 2},
      {"resnet 1x1 s2 256->512, 56", 56, 256, 512, 1, 2},
      {"resnet 3x3 128->128, 28", 28, 128, 128, 3},
      {"resnet 1x1 128->512, 28", 28, 128, 512},
      {"resnet 3x3 256->256, 14", 14, 256, 256, 3},
      {"resnet 1x1 256->1024, 14", 14, 256, 1024},
      {"resnet 1x1 1024->256, 14", 14, 1024, 256},
      {"resnet 3x3 512->512, 7", 7, 512, 512, 3},
      {"resnet 1x1 2048->512, 7", 7, 2048, 512},
      {"mobile stem 3x3 s2 3->32, 224", 224, 3, 32, 3, 2},
      {"mobile 1x1 32->16, 112", 112, 32, 16},
      {"mobile 1x1 16->96, 112", 112, 16, 96},
      {"mobile 1x1 24->144, 56", 56, 24, 144},
      {"mobile 1x1 144->24, 56", 56, 144, 24},
      {"mobile 1x1 192->32, 28", 28, 192, 32},
      {"mobile 1x1 96->576, 14", 14, 96, 576},
      {"mobile 1x1 160->960, 7", 7, 160, 960},
      {"mobile 1x1 960->320, 7", 7, 960, 320},
      {"depthwise 3x3 32, 112", 112, 32, 32, 3, 1, 32},
      {"depthwise 3x3 s2 96, 112", 112, 96, 96, 3, 2, 96},
      {"depthwise 3x3 144, 56", 56, 144, 144, 3, 1, 144},
      {"depthwise 5x5 s2 144, 56", 56, 144, 144, 5, 2, 144},
      {"depthwise 5x5 480, 14", 14, 480, 480, 5, 1, 480},
      {"depthwise 3x3 576, 14", 14, 576, 576, 3, 1, 576},
      {"depthwise 3x3 960, 7", 7, 960, 960, 3, 1, 960},
  };
  for (const Case& c : cases) bench(options, c);
}
