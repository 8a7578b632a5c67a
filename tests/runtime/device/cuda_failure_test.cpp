// What the runtime says when CUDA fails: every call in turn, machines without a driver or a GPU, and errors after which no call succeeds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "kernels/api/softmax.h"
#include "kernels/base/error.h"
#include "kernels/cuda/device/session.h"
#include "runtime/device/device.h"
#include "tests/support/cuda_emulator/script.h"

namespace tandem {
namespace {

using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;

constexpr size_t kBytes = 4 * sizeof(float);

void hardmax(Device& device, Stream& stream, const Buffer& x, const Buffer& y) {
  const auto session = device.make_session(stream, cuda::Math::kStrict);
  const Shape shape{1, 4};
  cuda::hardmax({.cuda = session.get()}, {x.data(), DType::kF32, shape}, {y.data(), DType::kF32, shape}, AxisView(shape, 1));
}

std::unique_ptr<CapturedGraph> capture(Device& device, Stream& stream, const Buffer& x, const Buffer& y) {
  stream.begin_capture();
  try {
    hardmax(device, stream, x, y);
    return stream.end_capture();
  } catch (const Error&) {
    stream.abandon_capture();
    throw;
  }
}

// Everything that the layer can do, once. Its result is {0, 0, 1, 0}.
std::vector<float> use_device() {
  const std::shared_ptr<Device> device = open_device("cuda");
  const std::unique_ptr<Stream> stream = device->make_stream(), copies = device->make_stream();
  const std::unique_ptr<Event> ready = device->make_event();
  const Buffer x = device->allocate(kBytes, "x"), y = device->allocate(kBytes, "y"), host = device->allocate_pinned(kBytes, "host");
  const float values[] = {1, 2, 4, 3};
  std::memcpy(host.data(), values, kBytes);
  copies->copy_to_device(x.data(), host.data(), kBytes);
  copies->record(*ready);
  stream->wait(*ready);
  hardmax(*device, *stream, x, y);
  ready->synchronize();
  const std::unique_ptr<CapturedGraph> graph = capture(*device, *stream, x, y);
  stream->copy_on_device(y.data(), x.data(), kBytes);
  stream->launch(*graph);
  stream->copy_to_host(host.data(), y.data(), kBytes);
  stream->synchronize();
  const auto* result = reinterpret_cast<const float*>(host.data());
  return {result, result + 4};
}

class CudaFailure : public ::testing::Test {
 protected:
  void SetUp() override { emulator::reset(); }
  void TearDown() override {
    EXPECT_EQ(emulator::live_objects(), emulator::LiveObjects{});
    emulator::reset();
  }
};

Error error_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error;
  }
  return Error(ErrorCode::kInternal, "no error");
}

// Fails each call in turn. A release may fail unseen, and so may the question for a version; all others are one Error each. Whatever
// fails, nothing stays behind, and the next run is whole.
void fail_each_call(cudaError_t status, emulator::Failure failure, const char* name) {
  int64_t errors = 0, n = 1;
  for (;; ++n) {
    emulator::reset();
    emulator::fail_call(n, status, failure);
    std::vector<float> result;
    const Error error = error_of([&] { result = use_device(); });
    if (!result.empty()) {
      EXPECT_EQ(result, (std::vector<float>{0, 0, 1, 0})) << "call " << n;
    } else {
      ++errors;
      EXPECT_THAT(error.code(), AnyOf(ErrorCode::kDevice, ErrorCode::kOutOfMemory, ErrorCode::kUnavailable)) << "call " << n;
      EXPECT_THAT(error.what(), AnyOf(HasSubstr(name), HasSubstr("not enough"))) << "call " << n;
    }
    EXPECT_EQ(emulator::live_objects(), emulator::LiveObjects{}) << "call " << n << ": " << error.what();
    const bool reached = emulator::calls() >= n;
    emulator::reset();
    ASSERT_EQ(use_device(), (std::vector<float>{0, 0, 1, 0})) << "after call " << n;
    if (!reached) break;
  }
  EXPECT_GT(errors, 30);
  EXPECT_GT(n, errors);
}

TEST_F(CudaFailure, EachCallOnce) { fail_each_call(cudaErrorInvalidResourceHandle, emulator::Failure::kOnce, "cudaErrorInvalidResourceHandle"); }
TEST_F(CudaFailure, EachCallOutOfMemory) { fail_each_call(cudaErrorMemoryAllocation, emulator::Failure::kOnce, "cudaErrorMemoryAllocation"); }
TEST_F(CudaFailure, EachCallForGood) { fail_each_call(cudaErrorIllegalAddress, emulator::Failure::kSticky, "cudaErrorIllegalAddress"); }
TEST_F(CudaFailure, DeviceLostAtEachCall) {
  fail_each_call(cudaErrorDevicesUnavailable, emulator::Failure::kSticky, "cudaErrorDevicesUnavailable");
}

TEST_F(CudaFailure, NoDriver) {
  emulator::set_driver(0);
  const CudaProbe probe = probe_cuda();
  EXPECT_TRUE(probe.devices.empty());
  EXPECT_EQ(probe.driver_version, 0);
  EXPECT_THAT(probe.problem, HasSubstr("no NVIDIA driver is installed"));
  const Error error = error_of([] { open_device("cuda"); });
  EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
  EXPECT_THAT(error.what(), HasSubstr(probe.problem));
  EXPECT_EQ(error_of([] { open_device("cuda:0"); }).code(), ErrorCode::kUnavailable);
  EXPECT_EQ(open_device("auto"), nullptr);
}

TEST_F(CudaFailure, OldDriver) {
  emulator::set_driver(12040);
  const std::string problem = probe_cuda().problem;
  EXPECT_THAT(problem, AllOf(HasSubstr("driver is too old"), HasSubstr("knows CUDA 12.4"), HasSubstr("needs 13."), HasSubstr("update")));
  EXPECT_EQ(open_device("auto"), nullptr);
}

TEST_F(CudaFailure, NoDevice) {
  emulator::set_device_count(0);
  EXPECT_THAT(probe_cuda().problem, AllOf(HasSubstr("cudaErrorNoDevice"), HasSubstr("CUDA_VISIBLE_DEVICES")));
  EXPECT_EQ(open_device("auto"), nullptr);
}

TEST_F(CudaFailure, SecondDeviceIsOpenedByItsNumber) {
  emulator::set_device_count(2);
  EXPECT_EQ(open_device("cuda:1")->info().ordinal, 1);
  EXPECT_THAT(error_of([] { open_device("cuda:2"); }).what(), AllOf(HasSubstr("cuda:0 ("), HasSubstr("cuda:1 (")));
}

TEST_F(CudaFailure, OutOfMemorySaysWhatIsFree) {
  const std::shared_ptr<Device> device = open_device("cuda");
  emulator::set_memory_limit(1000);
  const Buffer taken = device->allocate(600, "weights");
  const Error error = error_of([&] { device->allocate(500, "activations"); });
  EXPECT_EQ(error.code(), ErrorCode::kOutOfMemory);
  EXPECT_THAT(error.what(), HasSubstr("cuda:0, activations, 500, 400"));
}

TEST_F(CudaFailure, FaultOfAKernelAppearsWhereItIsWaitedForAndStays) {
  const std::shared_ptr<Device> device = open_device("cuda");
  const std::unique_ptr<Stream> stream = device->make_stream();
  const Buffer x = device->allocate(kBytes, "x"), y = device->allocate(kBytes, "y");
  emulator::fault_kernel(1, cudaErrorIllegalAddress);
  hardmax(*device, *stream, x, y);
  for (int again = 0; again < 3; ++again) {
    const Error error = error_of([&] { again == 1 ? static_cast<void>(device->make_event()) : stream->synchronize(); });
    EXPECT_EQ(error.code(), ErrorCode::kDevice);
    EXPECT_THAT(error.what(), AllOf(HasSubstr("cudaErrorIllegalAddress, an illegal memory access was encountered"),
                                    HasSubstr("this process cannot use the device any more"), HasSubstr("--device cpu")));
  }
  EXPECT_THAT(error_of([&] { open_device("cuda"); }).what(), HasSubstr("cannot use the device any more"));
}

}  // namespace
}  // namespace tandem
