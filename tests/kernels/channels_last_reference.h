// What tests of channels-last convolutions share: operands between pages that cannot be touched, and seven nested loops in double.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <vector>

#include "kernels/api/conv_channels_last.h"

namespace tandem::cpu::test {

// Floats that end, or begin, where the memory does.
class Guarded {
 public:
  enum Side { kBegin, kEnd };
  Guarded(const std::vector<float>& values, Side side) : size_(values.size()) {
    const size_t bytes = size_ * sizeof(float), body = (bytes + page() - 1) / page() * page();
    mapped_ = body + 2 * page();
    base_ = static_cast<std::byte*>(mmap(nullptr, mapped_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(base_ + page(), body, PROT_READ | PROT_WRITE);
    data_ = reinterpret_cast<float*>(base_ + page() + (side == kEnd ? body - bytes : 0));
    std::copy(values.begin(), values.end(), data_);
  }
  ~Guarded() { munmap(base_, mapped_); }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  void forbid_writes() const { mprotect(base_ + page(), mapped_ - 2 * page(), PROT_READ); }
  TensorView view(const Shape& shape) { return {reinterpret_cast<std::byte*>(data_), DType::kF32, shape}; }
  std::vector<float> values() const { return {data_, data_ + size_}; }

 private:
  static size_t page() { return static_cast<size_t>(sysconf(_SC_PAGESIZE)); }

  size_t size_, mapped_ = 0;
  std::byte* base_ = nullptr;
  float* data_ = nullptr;
};

inline std::vector<float> noise(int64_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::uniform_real_distribution<float> uniform(-1, 1);
  std::vector<float> values(static_cast<size_t>(n));
  for (float& v : values) v = uniform(random);
  return values;
}

inline ConstTensorView view(const std::vector<float>& values, const Shape& shape) {
  return {reinterpret_cast<const std::byte*>(values.data()), DType::kF32, shape};
}

// Shapes as ONNX gives them: x [batch, channels, spatial...].
struct ConvCase {
  const char* what;
  Shape x, w;
  int64_t groups = 1;
  std::vector<int64_t> strides = {}, dilations = {}, pads = {};
};

inline ConvGeometry geometry_of(const ConvCase& c) {
  return make_conv_geometry(c.x, c.w, c.groups, {.kernel = {}, .strides = c.strides, .dilations = c.dilations, .pads = c.pads});
}

// Sums in double, by the definition.
inline std::vector<double> convolved(const ConvGeometry& g, int64_t batch, const std::vector<float>& x, const std::vector<float>& weight) {
  const Window& w = g.window;
  const int64_t cg = g.channels / g.groups, fg = g.filters / g.groups;
  std::vector<double> y;
  for (int64_t n = 0; n < batch; ++n)
    for (int64_t o = 0; o < w.output_size(); ++o)
      for (int64_t filter = 0; filter < g.filters; ++filter) {
        double sum = 0;
        for (int64_t t = 0; t < w.kernel_size(); ++t) {
          const int64_t out[3] = {o / (w.output[1] * w.output[2]), o / w.output[2] % w.output[1], o % w.output[2]};
          const int64_t tap[3] = {t / (w.kernel[1] * w.kernel[2]), t / w.kernel[2] % w.kernel[1], t % w.kernel[2]};
          int64_t pixel = n;
          bool inside = true;
          for (size_t axis = 0; axis < 3; ++axis) {
            const int64_t at = out[axis] * w.stride[axis] - w.pad_begin[axis] + tap[axis] * w.dilation[axis];
            inside = inside && at >= 0 && at < w.input[axis];
            pixel = pixel * w.input[axis] + at;
          }
          if (!inside) continue;
          for (int64_t c = 0; c < cg; ++c)
            sum += double(x[static_cast<size_t>(pixel * g.channels + filter / fg * cg + c)]) *
                   double(weight[static_cast<size_t>((filter * cg + c) * w.kernel_size() + t)]);
        }
        y.push_back(sum);
      }
  return y;
}

}  // namespace tandem::cpu::test
