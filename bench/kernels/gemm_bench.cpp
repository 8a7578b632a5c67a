// GEMM and the convolutions of the MNIST CNN: validated, then timed, as GFLOP/s and as a share of this machine's multiply-add ceiling.
//
//   gemm_bench [threads] [seconds a case] [word in the case's name]
//
// The ceilings (kernels/cpu/machine) are measured next to each case: a shared machine's clock drifts, ratios of neighbours in time do not.
// Products of few rows go through as many matrices as caches do not hold, and are set beside the bandwidth of reading.
#include <omp.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "kernels/api/conv.h"
#include "kernels/api/conv_winograd_planes.h"
#include "kernels/api/gemm.h"
#include "kernels/api/pool.h"
#include "kernels/api/rounded_conv.h"
#include "kernels/base/block.h"
#include "kernels/cpu/machine/ceilings.h"

namespace tandem::cpu {
namespace {

struct Options {
  int threads = 1;
  double seconds = 0.3;
  std::string word;
  bool wants(const std::string& name) const { return name.find(word) != std::string::npos; }
};

// One thread is timed by its own clock, which stands still while neighbours have the core; a team by the wall's.
double now(int threads) {
  timespec time;
  clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double seconds_of(const Options& options, const std::function<void()>& body) {
  const double start = now(options.threads);
  body();
  return now(options.threads) - start;
}

std::vector<float> noise(int64_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = uniform(random);
  return values;
}

// Memory as a plan has it: large blocks lie in huge pages.
class Block {
 public:
  explicit Block(size_t bytes) : bytes_(bytes), memory_(make_zero_block(bytes)) {}
  explicit Block(const std::vector<float>& values) : Block(values.size() * sizeof(float)) {
    std::copy(values.begin(), values.end(), floats());
  }
  float* floats() const { return reinterpret_cast<float*>(memory_.get()); }
  float operator[](int64_t i) const { return floats()[i]; }
  std::span<std::byte> bytes() const { return {memory_.get(), bytes_}; }

 private:
  size_t bytes_;
  std::shared_ptr<std::byte[]> memory_;
};

double ceiling(const Options& options) { return operations_per_second(Arithmetic::kF32, {.threads = options.threads}); }

// Median seconds of one run.
double median_time(const Options& options, const std::function<void()>& run) {
  run();
  std::vector<double> times;
  double total = 0;
  while (total < options.seconds || times.size() < 5) {
    times.push_back(seconds_of(options, run));
    total += times.back();
  }
  std::nth_element(times.begin(), times.begin() + static_cast<int64_t>(times.size() / 2), times.end());
  return times[times.size() / 2];
}

void report(const Options& options, const std::string& what, double flops, const std::function<void()>& run) {
  const double time = median_time(options, run), peak = ceiling(options);
  std::printf("%-44s %10.2f us %8.1f GFLOP/s %5.1f%% of %.0f\n", what.c_str(), time * 1e6, flops / time * 1e-9, 100 * flops / time / peak,
              peak * 1e-9);
  std::fflush(stdout);
}

void report_time(const Options& options, const std::string& what, double bytes, const std::function<void()>& run) {
  const double time = median_time(options, run);
  std::printf("%-44s %10.2f us %8.1f GB/s\n", what.c_str(), time * 1e6, bytes / time * 1e-9);
  std::fflush(stdout);
}

[[noreturn]] void wrong(const std::string& what, double value, double expected) {
  std::fprintf(stderr, "%s: wrong result %g, expected %g\n", what.c_str(), value, expected);
  std::exit(1);
}

void check_close(const std::string& what, double value, double expected, double terms) {
  if (!(std::abs(value - expected) <= 1e-6 * (4 + terms / 8))) wrong(what, value, expected);
}

void bench_gemm(const Options& options, int64_t m, int64_t n, int64_t k, bool packed, bool transpose_b, bool transpose_a = false) {
  std::string what = "gemm " + std::to_string(m) + " x " + std::to_string(n) + " x " + std::to_string(k);
  what += packed ? ", packed B" : transpose_b ? ", B transposed" : "";
  what += transpose_a ? ", A transposed" : "";
  if (!options.wants(what)) return;
  const GemmShape shape{m, n, k, transpose_a, transpose_b};
  const Block a(noise(m * k, 1)), b(noise(k * n, 2)), c(static_cast<size_t>(m * n) * sizeof(float));
  const Block workspace(gemm_workspace_bytes<float>(shape, options.threads));
  KernelContext context;
  context.threads = options.threads;
  context.workspace = workspace.bytes();
  const ConstTensorView view{b.bytes().data(), DType::kF32, transpose_b ? Shape{n, k} : Shape{k, n}};
  const PackedMatrix weights = packed ? pack_matrix(view, transpose_b) : PackedMatrix();
  GemmArgs<float> args;
  args.a = a.floats(), args.lda = transpose_a ? m : k;
  args.b = b.floats(), args.ldb = transpose_b ? k : n;
  if (packed) args.packed_b = &weights;
  args.c = c.floats(), args.ldc = n;
  gemm(context, shape, args);
  for (int64_t i : {int64_t{0}, m / 2, m - 1})
    for (int64_t j : {int64_t{0}, n / 2, n - 1}) {
      double sum = 0;
      for (int64_t q = 0; q < k; ++q)
        sum += double(a[transpose_a ? q * m + i : i * k + q]) * double(b[transpose_b ? j * k + q : q * n + j]);
      check_close(what, double(c[i * n + j]), sum, double(k));
    }
  report(options, what, 2.0 * double(m) * double(n) * double(k), [&] { gemm(context, shape, args); });
}

// Weights that come from memory, as in a decoder.
void bench_gemv(const Options& options, const MemoryProbe& memory, int64_t m, int64_t size) {
  const std::string what = "gemv " + std::to_string(m) + " x " + std::to_string(size) + " x " + std::to_string(size);
  if (!options.wants(what)) return;
  constexpr int64_t kBytes = 192 << 20;
  const std::vector<float> a = noise(m * size, 1), b = noise(size * size, 2);
  std::vector<float> c(static_cast<size_t>(m * size));
  const ConstTensorView view{reinterpret_cast<const std::byte*>(b.data()), DType::kF32, Shape{size, size}};
  std::vector<PackedMatrix> weights;
  for (int64_t bytes = 0; bytes < kBytes; bytes += 4 * size * size) weights.push_back(pack_matrix(view));
  const GemmShape shape{m, size, size, false, false};
  std::vector<std::byte> workspace(gemm_workspace_bytes<float>(shape, options.threads));
  KernelContext context;
  context.threads = options.threads;
  context.workspace = workspace;
  GemmArgs<float> args;
  args.a = a.data(), args.lda = size, args.c = c.data(), args.ldc = size;
  const auto run = [&] {
    for (const PackedMatrix& matrix : weights) args.packed_b = &matrix, gemm(context, shape, args);
  };
  const double bytes = double(weights.size()) * double(weights[0].bytes()), time = median_time(options, run);
  const double read = memory.bytes_per_second(Traffic::kRead, {.threads = options.threads});
  std::printf("%-44s %10.2f us %8.1f GB/s     %5.1f%% of %.1f\n", what.c_str(), time / double(weights.size()) * 1e6, bytes / time * 1e-9,
              100 * bytes / time / read, read * 1e-9);
  std::fflush(stdout);
}

struct ConvCase {
  std::string name;
  Shape x, w;
  int64_t groups = 1;
  std::vector<int64_t> strides = {}, pads = {};
};

// How: by direct sums, by those of operands rounded to bf16 (shares of the ceiling are still those of f32), or by Winograd's tiles of 2 or 4.
struct ConvMethod {
  std::string name;
  double tolerance;
  std::function<ConvWorkspace(const ConvGeometry&, int threads)> workspace;
  std::function<void(const KernelContext&, const ConvGeometry&, ConstTensorView x, ConstTensorView w, TensorView y)> forward;
  std::function<void(const KernelContext&, const ConvGeometry&, ConstTensorView w, ConstTensorView dy, TensorView dx)> input_grad;
  std::function<void(const KernelContext&, const ConvGeometry&, ConstTensorView x, ConstTensorView dy, TensorView dw)> weight_grad;
};

const ConvMethod kDirect = {"",
                            1e-5,
                            [](auto& g, int threads) { return conv_workspace_bytes(g, DType::kF32, threads); },
                            [](auto& context, auto& g, auto x, auto w, auto y) { conv(context, g, x, w, y); },
                            [](auto& context, auto& g, auto w, auto dy, auto dx) { conv_input_grad(context, g, w, dy, dx); },
                            [](auto& context, auto& g, auto x, auto dy, auto dw) { conv_weight_grad(context, g, x, dy, dw); }};
const ConvMethod kRounded = {"bf16 ",
                             1e-2,
                             [](auto& g, int threads) { return rounded_conv_workspace(g, threads); },
                             [](auto& context, auto& g, auto x, auto w, auto y) { rounded_conv(context, g, x, w, y); },
                             [](auto& context, auto& g, auto w, auto dy, auto dx) { rounded_conv_input_grad(context, g, w, dy, dx); },
                             [](auto& context, auto& g, auto x, auto dy, auto dw) { rounded_conv_weight_grad(context, g, x, dy, dw); }};
ConvMethod winograd_method(WinogradTiles tiles) {
  return {"Winograd " + std::to_string(static_cast<int>(tiles)) + " ",
          1e-5,
          [=](auto& g, int threads) { return winograd_planes_workspace(g, tiles, threads); },
          [=](auto& context, auto& g, auto x, auto w, auto y) { winograd_planes_conv(context, g, x, w, y, tiles); },
          [=](auto& context, auto& g, auto w, auto dy, auto dx) { winograd_planes_input_grad(context, g, w, dy, dx, tiles); },
          [=](auto& context, auto& g, auto x, auto dy, auto dw) { winograd_planes_weight_grad(context, g, x, dy, dw, tiles); }};
}

void bench_conv(const Options& options, ConvCase c, const ConvMethod& method = kDirect) {
  c.name = method.name + c.name;
  if (!options.wants(c.name)) return;
  const ConvGeometry g = make_conv_geometry(c.x, c.w, c.groups, {.kernel = {}, .strides = c.strides, .pads = c.pads});
  const int64_t batch = c.x[0];
  const Shape ys = g.output_shape(batch);
  std::vector<float> x = noise(c.x.elements(), 1), w = noise(c.w.elements(), 2), dy = noise(ys.elements(), 3);
  std::vector<float> y(dy.size()), dx(x.size()), dw(w.size());
  const auto view = [](std::vector<float>& v, const Shape& s) { return TensorView{reinterpret_cast<std::byte*>(v.data()), DType::kF32, s}; };
  const ConvWorkspace sizes = method.workspace(g, options.threads);
  const Block workspace(std::max({sizes.forward, sizes.input_grad, sizes.weight_grad}));
  KernelContext context;
  context.threads = options.threads;
  context.workspace = workspace.bytes();
  const auto forward = [&] { method.forward(context, g, view(x, c.x), view(w, c.w), view(y, ys)); };
  const auto input_grad = [&] { method.input_grad(context, g, view(w, c.w), view(dy, ys), view(dx, c.x)); };
  const auto weight_grad = [&] { method.weight_grad(context, g, view(x, c.x), view(dy, ys), view(dw, c.w)); };
  forward(), input_grad(), weight_grad();
  // The three are one bilinear form: <dy, conv(x, w)> = <dx, x> = <dw, w>.
  const auto dot = [](const std::vector<float>& a, const std::vector<float>& b) {
    double sum = 0;
    for (size_t i = 0; i < a.size(); ++i) sum += double(a[i]) * double(b[i]);
    return sum;
  };
  const double form = dot(dy, y), bound = method.tolerance * std::sqrt(dot(dy, dy) * dot(y, y));
  if (!(std::abs(dot(dx, x) - form) <= bound)) wrong(c.name + " input gradient", dot(dx, x), form);
  if (!(std::abs(dot(dw, w) - form) <= bound)) wrong(c.name + " weight gradient", dot(dw, w), form);
  const double flops = 2.0 * double(ys.elements()) * double(c.w.elements()) / double(c.w[0]);
  report(options, c.name + " forward", flops, forward);
  report(options, c.name + " input gradient", flops, input_grad);
  report(options, c.name + " weight gradient", flops, weight_grad);
}

void bench_pool(const Options& options) {
  if (!options.wants("max pool")) return;
  const Shape xs{64, 64, 24, 24}, ys{64, 64, 12, 12};
  const std::vector<int64_t> two = {2, 2};
  const Window w = make_window(xs, {.kernel = two, .strides = two});
  std::vector<float> x = noise(xs.elements(), 1), y(static_cast<size_t>(ys.elements())), dy = noise(ys.elements(), 2), dx(x.size());
  const auto view = [](std::vector<float>& v, const Shape& s) { return TensorView{reinterpret_cast<std::byte*>(v.data()), DType::kF32, s}; };
  KernelContext context;
  context.threads = options.threads;
  report_time(options, "max pool 2x2 of [64, 64, 24, 24]", 5.0 * double(x.size()), [&] { max_pool(context, w, view(x, xs), view(y, ys)); });
  report_time(options, "its gradient", 9.0 * double(x.size()), [&] { max_pool_grad(context, w, view(x, xs), view(dy, ys), view(dx, xs)); });
}

}  // namespace
}  // namespace tandem::cpu

int main(int argc, char** argv) {
  using namespace tandem;
  using namespace tandem::cpu;
  Options options;
  if (argc > 1) options.threads = std::max(1, std::atoi(argv[1]));
  if (argc > 2) options.seconds = std::atof(argv[2]);
  if (argc > 3) options.word = argv[3];
  std::printf("tier %s, %d threads\n", std::string(name(chosen_isa())).c_str(), options.threads);
  for (int64_t size : {64, 128, 256, 512, 1024, 2048, 4096}) {
    bench_gemm(options, size, size, size, false, false);
    bench_gemm(options, size, size, size, true, false);
  }
  if (options.word.empty() || options.word.starts_with("gemv")) {
    const MemoryProbe memory;
    for (int64_t size : {768, 2048, 4096})
      for (int64_t m : {1, 2, 4, 8, 16}) bench_gemv(options, memory, m, size);
  }
  for (int64_t m : {1, 4, 16, 64}) {
    bench_gemm(options, m, 256, 30, true, false);
    bench_gemm(options, m, 256, 256, true, false);
    bench_gemm(options, m, 2, 256, true, false);
  }
  for (int64_t m : {128, 197, 1024})  // BERT-base and ViT-B
    for (auto [n, k] : {std::pair<int64_t, int64_t>{768, 768}, {2304, 768}, {3072, 768}, {768, 3072}})
      bench_gemm(options, m, n, k, true, false);
  for (auto [rows, out, in] : {std::array<int64_t, 3>{768, 128, 128}, {768, 512, 128}, {1024, 384, 384}, {1024, 1536, 384}, {1024, 384, 1536}}) {
    bench_gemm(options, rows, out, in, false, true);         // a dense layer of a training step: forward, and the gradients
    bench_gemm(options, rows, in, out, false, false);        // of its input
    bench_gemm(options, out, in, rows, false, false, true);  // and of its weights
  }
  bench_gemm(options, 64, 128, 9216, false, true);
  bench_gemm(options, 64, 9216, 128, false, false);
  bench_gemm(options, 128, 9216, 64, false, false);
  bench_conv(options, {"conv 1->32 3x3, 28x28, batch 64", {64, 1, 28, 28}, {32, 1, 3, 3}});
  bench_conv(options, {"conv 32->64 3x3, 26x26, batch 64", {64, 32, 26, 26}, {64, 32, 3, 3}});
  for (const ConvMethod& method : {kDirect, kRounded, winograd_method(WinogradTiles::kTwo), winograd_method(WinogradTiles::kFour)})
    for (auto [channels, size] : {std::pair<int64_t, int64_t>{64, 32}, {128, 16}, {256, 8}, {512, 4}}) {  // ResNet-18 on small images, a training step
      const std::string name = std::to_string(channels) + " 3x3 pad 1, " + std::to_string(size) + "x" + std::to_string(size) + ", batch 64";
      bench_conv(options, {"conv " + std::to_string(channels) + "->" + name, {64, channels, size, size}, {channels, channels, 3, 3}, 1, {}, {1, 1, 1, 1}},
                 method);
      if (channels > 64 && !method.name.starts_with("Winograd"))
        bench_conv(options, {"conv stride 2, " + std::to_string(channels / 2) + "->" + name, {64, channels / 2, 2 * size, 2 * size},
                             {channels, channels / 2, 3, 3}, 1, {2, 2}, {1, 1, 1, 1}}, method);
    }
  bench_conv(options, {"conv 64->64 3x3 pad 1, 56x56", {1, 64, 56, 56}, {64, 64, 3, 3}, 1, {}, {1, 1, 1, 1}});
  bench_conv(options, {"conv 512->512 3x3 pad 1, 7x7", {1, 512, 7, 7}, {512, 512, 3, 3}, 1, {}, {1, 1, 1, 1}});
  bench_conv(options, {"conv 256->1024 1x1, 14x14", {1, 256, 14, 14}, {1024, 256, 1, 1}});
  bench_conv(options, {"depthwise 96 3x3 stride 2 pad 1, 112x112", {1, 96, 112, 112}, {96, 1, 3, 3}, 96, {2, 2}, {1, 1, 1, 1}});
  bench_pool(options);
}
