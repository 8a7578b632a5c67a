// Both twins of a kernel on the same numbers, for the tests of kernels/cuda.
//
//   const Values<float> x = Values<float>::random({3, 1000}, seed);
//   Values<float> on_cpu(x.shape), on_gpu(x.shape);
//   cpu::softmax(Context(workspace), x.view(), on_cpu.view(), view);
//   DeviceTensor dx(x), dy(on_gpu);
//   cuda::softmax({}, dx.view(), dy.view(), view);
//   dy.read(on_gpu);
//   expect_twins(on_gpu, on_cpu);
#pragma once

#include "kernels/base/half.h"
#include "tests/kernels/random_tensor.h"
#include "tests/support/device_memory.h"

namespace tandem::test {

// A tensor in device memory with the content of a host one.
class DeviceTensor {
 public:
  explicit DeviceTensor(ConstTensorView host) : memory_(host), dtype_(host.dtype), shape_(host.shape) {}
  template <class T>
  explicit DeviceTensor(const Values<T>& host) : DeviceTensor(host.view()) {}
  TensorView view() { return {memory_.data(), dtype_, shape_}; }
  ConstTensorView view() const { return {memory_.data(), dtype_, shape_}; }
  template <class T>
  void read(Values<T>& host) const {
    const std::vector<std::byte> bytes = memory_.read();
    std::copy(bytes.begin(), bytes.end(), host.view().data);
  }
  template <class T>
  Values<T> values() const {
    Values<T> host(shape_);
    read(host);
    return host;
  }

 private:
  DeviceMemory memory_;
  DType dtype_;
  Shape shape_;
};

// A context whose workspace of `bytes` lies on the device.
struct DeviceContext {
  DeviceMemory memory;
  KernelContext context;
  explicit DeviceContext(size_t bytes) : memory(bytes), context{.workspace = {memory.data(), bytes}} {}
  operator const KernelContext&() const { return context; }
};

// Bytes of 0 and 1 as a bool tensor.
inline TensorView as_bool(Values<uint8_t>& values) { return {values.view().data, DType::kBool, values.shape}; }
inline ConstTensorView as_bool(const Values<uint8_t>& values) { return {values.view().data, DType::kBool, values.shape}; }

template <class T>
double number(T x) {
  if constexpr (std::is_same_v<T, F16> || std::is_same_v<T, BF16>)
    return to_float(x);
  else
    return static_cast<double>(x);
}
// The number rounded to T.
template <class T>
T rounded(double x) {
  if constexpr (std::is_same_v<T, F16>)
    return to_f16(static_cast<float>(x));
  else if constexpr (std::is_same_v<T, BF16>)
    return to_bf16(static_cast<float>(x));
  else
    return static_cast<T>(x);
}

// Equal within `tolerance` relative to max(1, |expected|); NaN equals NaN. The CPU has no 16-bit twins: give those f32 results from rounded
// inputs and a tolerance of kHalfTolerance<T>.
template <class T, class U>
void expect_twins(const Values<T>& gpu, const Values<U>& cpu, double tolerance = std::is_same_v<U, double> ? 1e-12 : 1e-5) {
  ASSERT_EQ(gpu.data.size(), cpu.data.size());
  for (size_t i = 0; i < cpu.data.size(); ++i) {
    const double a = number(gpu.data[i]), b = number(cpu.data[i]);
    if (a == b || (std::isnan(a) && std::isnan(b))) continue;
    ASSERT_LE(std::abs(a - b), tolerance * std::max(1.0, std::abs(b))) << "element " << i << ": " << a << " on the GPU, " << b << " on the CPU";
  }
}

template <class T>
inline constexpr double kHalfTolerance = std::is_same_v<T, F16> ? 0x1p-10 : 0x1p-7;

// f32 numbers and the same rounded to T; `wide` holds what the rounded ones are.
template <class T>
struct Halves {
  Values<T> half;
  Values<float> wide;
  Halves(const Shape& shape, unsigned seed, double scale = 1) : half(shape), wide(Values<float>::random(shape, seed, scale)) {
    for (size_t i = 0; i < wide.data.size(); ++i) {
      half.data[i] = rounded<T>(wide.data[i]);
      wide.data[i] = to_float(half.data[i]);
    }
  }
};

inline constexpr unsigned kSeeds[] = {1, 2, 3};

}  // namespace tandem::test
