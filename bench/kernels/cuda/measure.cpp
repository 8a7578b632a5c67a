#include "bench/kernels/cuda/measure.h"

#include <cuda_runtime_api.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>
#include <random>
#include <utility>

#include "kernels/api/elementwise.h"
#include "kernels/base/error.h"
#include "kernels/base/half.h"

namespace tandem::bench {
namespace {

using Clock = std::chrono::steady_clock;

void must(cudaError_t status, std::string_view call) {
  if (status != cudaSuccess) fail(ErrorCode::kDevice, "a CUDA call of a benchmark failed", {call, std::string_view(cudaGetErrorString(status))});
}

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Device memory, 0xFF all over: NaN in every float type.
class Memory {
 public:
  explicit Memory(size_t bytes) : bytes_(bytes) {
    must(cudaMalloc(&data_, std::max<size_t>(bytes, 1)), "cudaMalloc");
    must(cudaMemset(data_, 0xFF, bytes), "cudaMemset");
  }
  Memory(Memory&& other) noexcept : data_(std::exchange(other.data_, nullptr)), bytes_(other.bytes_) {}
  ~Memory() {
    if (data_) cudaFree(data_);
  }
  std::byte* data() const { return static_cast<std::byte*>(data_); }
  size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  size_t bytes_;
};

class Stream {
 public:
  Stream() { must(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), "cudaStreamCreate"); }
  ~Stream() { cudaStreamDestroy(stream_); }
  operator cudaStream_t() const { return stream_; }
  void wait() const { must(cudaStreamSynchronize(stream_), "cudaStreamSynchronize"); }

 private:
  cudaStream_t stream_ = nullptr;
};

class Event {
 public:
  Event() { must(cudaEventCreate(&event_), "cudaEventCreate"); }
  ~Event() { cudaEventDestroy(event_); }
  void record(cudaStream_t stream) { must(cudaEventRecord(event_, stream), "cudaEventRecord"); }
  double us_since(const Event& start) const {
    float ms = 0;
    must(cudaEventElapsedTime(&ms, start.event_, event_), "cudaEventElapsedTime");
    return 1e3 * static_cast<double>(ms);
  }

 private:
  cudaEvent_t event_ = nullptr;
};

// At most this many different numbers: a large operand repeats them.
constexpr int64_t kPeriod = 1 << 22;

std::vector<float> content_of(const Operand& operand, unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(std::min(operand.shape.elements(), kPeriod)));
  const auto scale = static_cast<float>(operand.content.value);
  for (float& value : values) {
    switch (operand.content.kind) {
      case Content::kNormal: value = scale * normal(random); break;
      case Content::kPositive: value = scale * (0.5f + std::abs(normal(random))); break;
      case Content::kIndex: value = static_cast<float>(random() % static_cast<uint64_t>(operand.content.value)); break;
      case Content::kValue: value = scale; break;
    }
  }
  return values;
}

template <class T, class From>
std::vector<std::byte> bytes_of(const std::vector<From>& values, T (*convert)(From)) {
  std::vector<std::byte> bytes(values.size() * sizeof(T));
  for (size_t i = 0; i < values.size(); ++i) {
    const T value = convert(values[i]);
    std::copy_n(reinterpret_cast<const std::byte*>(&value), sizeof value, bytes.begin() + static_cast<std::ptrdiff_t>(i * sizeof value));
  }
  return bytes;
}

std::vector<std::byte> encode(const std::vector<float>& values, DType dtype) {
  switch (dtype) {
    case DType::kF16: return bytes_of<F16, float>(values, [](float x) { return to_f16(x); });
    case DType::kBF16: return bytes_of<BF16, float>(values, [](float x) { return to_bf16(x); });
    case DType::kF32: return bytes_of<float, float>(values, [](float x) { return x; });
    case DType::kF64: return bytes_of<double, float>(values, [](float x) { return static_cast<double>(x); });
    case DType::kI64: return bytes_of<int64_t, float>(values, [](float x) { return static_cast<int64_t>(x); });
    case DType::kBool: return bytes_of<bool, float>(values, [](float x) { return x != 0; });
    default: fail(ErrorCode::kInvalidArgument, "no benchmark has operands of this type", {name(dtype)});
  }
}

double decode(const std::byte* at, DType dtype) {
  const auto as = [&]<class T>(T value) {
    std::copy_n(at, sizeof value, reinterpret_cast<std::byte*>(&value));
    return value;
  };
  switch (dtype) {
    case DType::kF16: return static_cast<double>(to_float(as(F16())));
    case DType::kBF16: return static_cast<double>(to_float(as(BF16())));
    case DType::kF32: return static_cast<double>(as(float()));
    case DType::kF64: return as(double());
    case DType::kI64: return static_cast<double>(as(int64_t()));
    case DType::kBool: return as(bool());
    default: fail(ErrorCode::kInvalidArgument, "no benchmark has operands of this type", {name(dtype)});
  }
}

DType on_cpu(DType dtype) { return dtype == DType::kF16 || dtype == DType::kBF16 ? DType::kF32 : dtype; }

// What the kernel gets on the device, and the same numbers for the CPU.
struct DeviceOperands {
  Stream stream;
  cuda::Session session;
  std::vector<Memory> memory;
  std::vector<TensorView> views;
  Memory workspace;

  explicit DeviceOperands(const Case& one) : session(stream, one.math), workspace(one.gpu_workspace) {
    for (const Operand& operand : one.operands) {
      memory.emplace_back(static_cast<size_t>(operand.shape.elements()) * size_of(operand.dtype));
      views.push_back({memory.back().data(), operand.dtype, operand.shape});
      if (!operand.output) fill(memory.back(), encode(content_of(operand, static_cast<unsigned>(views.size())), operand.dtype));
    }
    must(cudaDeviceSynchronize(), "cudaDeviceSynchronize");  // the stream does not wait for what came before it
  }

  KernelContext context() { return {.cuda = &session, .workspace = {workspace.data(), workspace.bytes()}}; }

 private:
  static void fill(const Memory& to, const std::vector<std::byte>& period) {
    for (size_t at = 0; at < to.bytes(); at += period.size())
      must(cudaMemcpy(to.data() + at, period.data(), std::min(period.size(), to.bytes() - at), cudaMemcpyHostToDevice), "cudaMemcpy");
  }
};

std::vector<double> read(const Memory& memory, DType dtype, int64_t most = INT64_MAX) {
  const size_t size = size_of(dtype), count = std::min(memory.bytes() / size, static_cast<size_t>(most));
  std::vector<std::byte> bytes(count * size);
  must(cudaMemcpy(bytes.data(), memory.data(), bytes.size(), cudaMemcpyDeviceToHost), "cudaMemcpy");
  std::vector<double> values(count);
  for (size_t i = 0; i < count; ++i) values[i] = decode(bytes.data() + i * size, dtype);
  return values;
}

// The CPU's twin on the numbers that the device had, as it had rounded them.
std::vector<std::vector<std::byte>> run_on_cpu(const Case& one) {
  std::vector<std::vector<std::byte>> memory;
  std::vector<TensorView> views;
  for (const Operand& operand : one.operands) {
    const DType dtype = on_cpu(operand.dtype);
    std::vector<float> values(static_cast<size_t>(operand.shape.elements()));
    if (!operand.output) {
      const std::vector<std::byte> rounded = encode(content_of(operand, static_cast<unsigned>(views.size() + 1)), operand.dtype);
      const size_t size = size_of(operand.dtype);
      for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(decode(&rounded[i * size % rounded.size()], operand.dtype));
    }
    memory.push_back(encode(values, dtype));
    views.push_back({memory.back().data(), dtype, operand.shape});
  }
  std::vector<std::max_align_t> workspace(one.cpu_workspace / sizeof(std::max_align_t) + 8);
  std::byte* const start = reinterpret_cast<std::byte*>(workspace.data());
  const size_t skip = (64 - reinterpret_cast<uintptr_t>(start) % 64) % 64;
  one.cpu({.workspace = {start + skip, one.cpu_workspace}}, views);
  return memory;
}

}  // namespace

double difference(const Case& one) {
  DeviceOperands device(one);
  one.gpu(device.context(), device.views);
  device.stream.wait();
  const std::vector<std::vector<std::byte>> expected = run_on_cpu(one);
  double squares = 0, of_difference = 0;
  for (size_t i = 0; i < one.operands.size(); ++i) {
    if (!one.operands[i].output) continue;
    const std::vector<double> values = read(device.memory[i], one.operands[i].dtype);
    const DType dtype = on_cpu(one.operands[i].dtype);
    for (size_t k = 0; k < values.size(); ++k) {
      const double right = decode(&expected[i][k * size_of(dtype)], dtype);
      squares += right * right;
      of_difference += (values[k] - right) * (values[k] - right);
    }
  }
  return std::sqrt(of_difference / squares);
}

Timing time_on_device(const Case& one, double seconds) {
  DeviceOperands device(one);
  const KernelContext context = device.context();
  Event begin, end;
  const auto group_us = [&](int runs) {
    begin.record(device.stream);
    for (int i = 0; i < runs; ++i) one.gpu(context, device.views);
    end.record(device.stream);
    device.stream.wait();
    return end.us_since(begin);
  };
  group_us(3);  // loading of the code, choice of the library's algorithm
  const int group = static_cast<int>(std::clamp(1000 / std::max(group_us(1), 0.1), 1.0, 1000.0));
  std::vector<double> times;
  for (const auto start = Clock::now(); times.size() < 5 || seconds_since(start) < seconds;) times.push_back(group_us(group) / group);
  std::ranges::sort(times);
  for (size_t i = 0; i < one.operands.size(); ++i)
    for (double value : read(device.memory[i], one.operands[i].dtype, kPeriod))
      ensure(!std::isnan(value), "a kernel left NaN in an operand", one.name, static_cast<int64_t>(i));
  return {times[times.size() / 2], times[times.size() * 9 / 10], static_cast<int>(times.size()) * group};
}

GraphTiming time_graph(int kernels, double seconds) {
  Stream stream;
  cuda::Session session(stream);
  const Memory memory(1024 * sizeof(float));
  const TensorView x{memory.data(), DType::kF32, {1024}};
  const KernelContext context{.cuda = &session};
  must(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
  for (int i = 0; i < kernels; ++i) cuda::scale(context, x, x, 1.0);
  cudaGraph_t graph = nullptr;
  must(cudaStreamEndCapture(stream, &graph), "cudaStreamEndCapture");
  cudaGraphExec_t step = nullptr;
  must(cudaGraphInstantiate(&step, graph, 0), "cudaGraphInstantiate");
  std::vector<double> launches, runs;
  Event begin, end;
  for (const auto start = Clock::now(); runs.size() < 20 || seconds_since(start) < seconds;) {
    begin.record(stream);
    const auto before = Clock::now();
    must(cudaGraphLaunch(step, stream), "cudaGraphLaunch");
    launches.push_back(1e6 * seconds_since(before));
    end.record(stream);
    stream.wait();
    runs.push_back(end.us_since(begin));
  }
  cudaGraphExecDestroy(step);
  cudaGraphDestroy(graph);
  std::ranges::sort(launches);
  std::ranges::sort(runs);
  return {launches[launches.size() / 2], runs[runs.size() / 2] / kernels};
}

double copy_bandwidth(double seconds) {
  constexpr size_t kBytes = size_t{1} << 30;
  const Memory from(kBytes), to(kBytes);
  Stream stream;
  Event begin, end;
  std::vector<double> times;
  for (const auto start = Clock::now(); times.size() < 10 || seconds_since(start) < seconds;) {
    begin.record(stream);
    must(cudaMemcpyAsync(to.data(), from.data(), kBytes, cudaMemcpyDeviceToDevice, stream), "cudaMemcpyAsync");
    end.record(stream);
    stream.wait();
    times.push_back(end.us_since(begin));
  }
  std::ranges::sort(times);
  return 2 * static_cast<double>(kBytes) / (times[times.size() / 2] * 1e-6);
}

std::string device_name() {
  cudaDeviceProp properties;
  must(cudaGetDeviceProperties(&properties, 0), "cudaGetDeviceProperties");
  return properties.name;
}

}  // namespace tandem::bench
