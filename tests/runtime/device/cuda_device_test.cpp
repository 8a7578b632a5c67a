// A GPU as the runtime uses it, on the emulator or on a device: copies, order between streams, captured work, and memory that is not there.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <thread>
#include <vector>

#include "kernels/api/softmax.h"
#include "kernels/base/error.h"
#include "kernels/cuda/device/session.h"
#include "runtime/device/device.h"

namespace tandem {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

ErrorCode code_of(const std::function<void()>& call, std::string* text = nullptr) {
  try {
    call();
  } catch (const Error& error) {
    if (text) *text = error.what();
    return error.code();
  }
  ADD_FAILURE() << "no error";
  return ErrorCode::kInternal;
}

// Four floats on the GPU, and a place for them on the host.
class CudaDevice : public ::testing::Test {
 protected:
  static constexpr size_t kBytes = 4 * sizeof(float);
  float* host() const { return reinterpret_cast<float*>(pinned.data()); }
  void set(std::vector<float> values) { std::memcpy(host(), values.data(), kBytes); }
  std::vector<float> get() const { return {host(), host() + 4}; }
  // 1 at the largest element of x, 0 elsewhere.
  void hardmax(const Buffer& from, const Buffer& to) {
    const Shape shape{1, 4};
    cuda::hardmax({.cuda = session.get()}, {from.data(), DType::kF32, shape}, {to.data(), DType::kF32, shape}, AxisView(shape, 1));
  }

  std::shared_ptr<Device> device = open_device("cuda");
  std::unique_ptr<Stream> stream = device->make_stream();
  std::unique_ptr<cuda::Session, void (*)(cuda::Session*)> session = device->make_session(*stream, cuda::Math::kStrict);
  Buffer x = device->allocate(kBytes, "x"), y = device->allocate(kBytes, "y"), pinned = device->allocate_pinned(kBytes, "host");
};

TEST(OpenDevice, KnowsItsNames) {
  EXPECT_EQ(open_device("cpu"), nullptr);
  const DeviceInfo info = open_device("auto")->info();
  EXPECT_FALSE(info.name.empty());
  EXPECT_GT(info.memory_bytes, 0);
  EXPECT_GE(info.major, 8);
  EXPECT_GT(info.multiprocessors, 0);
  EXPECT_EQ(open_device("cuda:0")->info().ordinal, 0);
  std::string text;
  EXPECT_EQ(code_of([] { open_device("cuda:77"); }, &text), ErrorCode::kNotFound);
  EXPECT_THAT(text, AllOf(HasSubstr("cuda:77"), HasSubstr("cuda:0 (" + info.name)));
  for (const char* wrong : {"gpu", "", "cuda:", "cuda:x", "cuda:-1", "cuda:1x", "cuda:99999999999", "CPU"})
    EXPECT_EQ(code_of([&] { open_device(wrong); }), ErrorCode::kInvalidArgument) << wrong;
}

TEST(ProbeCuda, FindsTheDevicesAndTheVersions) {
  const CudaProbe probe = probe_cuda();
  EXPECT_EQ(probe.problem, "");
  ASSERT_FALSE(probe.devices.empty());
  EXPECT_GE(probe.driver_version, probe.runtime_version / 1000 * 1000);
}

TEST_F(CudaDevice, CopiesThereAndBack) {
  set({1, 2, 3, 4});
  stream->copy_to_device(x.data(), pinned.data(), kBytes);
  stream->copy_on_device(y.data(), x.data(), kBytes);
  stream->synchronize();
  set({0, 0, 0, 0});
  stream->copy_to_host(pinned.data(), y.data(), kBytes);
  stream->synchronize();
  EXPECT_THAT(get(), ElementsAre(1, 2, 3, 4));
}

TEST_F(CudaDevice, EmptyBuffersAndCopiesNeedNothing) {
  const Buffer none = device->allocate(0, "nothing");
  EXPECT_EQ(none.data(), nullptr);
  EXPECT_EQ(none.bytes(), 0u);
  EXPECT_EQ(device->allocate_pinned(0, "nothing").data(), nullptr);
  stream->copy_to_device(none.data(), nullptr, 0);
  stream->synchronize();
}

TEST_F(CudaDevice, BufferGivesItsMemoryBack) {
  const int64_t before = device->free_bytes();
  {
    const Buffer large = device->allocate(64 << 20, "large");
    EXPECT_LE(device->free_bytes(), before - (64 << 20));
  }
  EXPECT_EQ(device->free_bytes(), before);
}

TEST_F(CudaDevice, StreamWaitsForAnEventOfAnother) {
  const std::unique_ptr<Stream> copies = device->make_stream();
  const std::unique_ptr<Event> ready = device->make_event(), done = device->make_event();
  for (int round = 0; round < 20; ++round) {
    set({0, 1, 2, static_cast<float>(round % 2 * 9)});
    copies->copy_to_device(x.data(), pinned.data(), kBytes);
    copies->record(*ready);
    stream->wait(*ready);
    hardmax(x, y);
    stream->record(*done);
    copies->wait(*done);
    copies->copy_to_host(pinned.data(), y.data(), kBytes);
    copies->synchronize();
    EXPECT_THAT(get(), round % 2 ? ElementsAre(0, 0, 0, 1) : ElementsAre(0, 0, 1, 0)) << round;
  }
  done->synchronize();
}

TEST_F(CudaDevice, CapturedWorkIsDoneAtEachLaunch) {
  stream->begin_capture();
  stream->copy_to_device(x.data(), pinned.data(), kBytes);
  hardmax(x, y);
  stream->copy_to_host(pinned.data(), y.data(), kBytes);
  const std::unique_ptr<CapturedGraph> graph = stream->end_capture();
  EXPECT_EQ(graph->nodes(), 3);
  for (size_t largest = 0; largest < 4; ++largest) {
    std::vector<float> values{1, 1, 1, 1}, expected(4);
    values[largest] = 2;
    expected[largest] = 1;
    set(values);
    stream->launch(*graph);
    stream->synchronize();
    EXPECT_EQ(get(), expected);
  }
}

TEST_F(CudaDevice, AbandonedCaptureLeavesTheStreamUsable) {
  stream->abandon_capture();  // none
  stream->begin_capture();
  hardmax(x, y);
  std::string text;
  EXPECT_EQ(code_of([&] { stream->synchronize(); }, &text), ErrorCode::kDevice);
  EXPECT_THAT(text, AllOf(HasSubstr("cudaStreamSynchronize"), HasSubstr("cudaErrorStreamCaptureUnsupported")));
  stream->abandon_capture();
  set({3, 1, 2, 0});
  stream->copy_to_device(x.data(), pinned.data(), kBytes);
  hardmax(x, y);  // would report an error that is left in the thread
  stream->copy_to_host(pinned.data(), y.data(), kBytes);
  stream->synchronize();
  EXPECT_THAT(get(), ElementsAre(1, 0, 0, 0));
}

TEST_F(CudaDevice, SpoiltCaptureGivesNoGraph) {
  stream->begin_capture();
  EXPECT_EQ(code_of([&] { stream->synchronize(); }), ErrorCode::kDevice);
  EXPECT_EQ(code_of([&] { stream->end_capture(); }), ErrorCode::kDevice);
  hardmax(x, y);  // would report an error that is left in the thread
  stream->synchronize();
}

TEST_F(CudaDevice, TellsWhatMemoryWasFor) {
  const size_t too_much = static_cast<size_t>(device->info().memory_bytes) + 1;
  std::string text;
  EXPECT_EQ(code_of([&] { device->allocate(too_much, "the arena of a plan"); }, &text), ErrorCode::kOutOfMemory);
  EXPECT_THAT(text, AllOf(HasSubstr("the arena of a plan"), HasSubstr(std::to_string(too_much)), HasSubstr("cuda:0")));
  set({1, 2, 3, 4});
  stream->copy_to_device(x.data(), pinned.data(), kBytes);
  hardmax(x, y);
  stream->synchronize();
}

TEST_F(CudaDevice, IsUsedFromAnyThread) {
  std::thread([&] {
    const std::unique_ptr<Stream> own = device->make_stream();
    set({5, 6, 7, 8});
    own->copy_to_device(x.data(), pinned.data(), kBytes);
    own->synchronize();
  }).join();
  set({0, 0, 0, 0});
  stream->copy_to_host(pinned.data(), x.data(), kBytes);
  stream->synchronize();
  EXPECT_THAT(get(), ElementsAre(5, 6, 7, 8));
}

}  // namespace
}  // namespace tandem
