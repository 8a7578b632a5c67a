// The emulated CUDA runtime: it does nothing before somebody waits, keeps device memory closed to the host, and fails as told.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "cuda_emulator.h"
#include "script.h"

namespace tandem::emulator {
namespace {

using ::testing::ElementsAre;

// Of what the test made, nothing is left.
class EmulatedRuntime : public ::testing::Test {
 protected:
  void SetUp() override {
    GTEST_FLAG_SET(death_test_style, "threadsafe");
    reset();
    for (cudaStream_t* stream : {&a, &b}) ASSERT_EQ(cudaStreamCreateWithFlags(stream, cudaStreamNonBlocking), cudaSuccess);
    ASSERT_EQ(cudaEventCreateWithFlags(&event, cudaEventDisableTiming), cudaSuccess);
    ASSERT_EQ(cudaMalloc(reinterpret_cast<void**>(&device), 4 * sizeof(int)), cudaSuccess);
    for (int** host : {&pinned, &other}) ASSERT_EQ(cudaHostAlloc(reinterpret_cast<void**>(host), 4 * sizeof(int), 0), cudaSuccess);
  }
  void TearDown() override {
    for (cudaStream_t stream : {a, b}) cudaStreamDestroy(stream);
    cudaEventDestroy(event);
    cudaFree(device);
    cudaFreeHost(pinned);
    cudaFreeHost(other);
    EXPECT_EQ(live_objects(), LiveObjects{});
    reset();
  }

  // Writes `value` to all elements, and adds one to all of them.
  void fill(cudaStream_t stream, int value) {
    launch({1, 4}, stream, "fill", [to = device, value] { to[threadIdx.x] = value; }, device);
  }
  void increment(cudaStream_t stream) {
    launch({1, 4}, stream, "increment", [to = device] { ++to[threadIdx.x]; }, device);
  }
  cudaError_t fetch(cudaStream_t stream, int* to) { return cudaMemcpyAsync(to, device, 4 * sizeof(int), cudaMemcpyDeviceToHost, stream); }
  // What the device memory holds, by a copy of its own that waits for nothing else.
  int value() {
    int values[4];
    EXPECT_EQ(cudaMemcpy(values, device, sizeof values, cudaMemcpyDeviceToHost), cudaSuccess);
    return values[0];
  }
  cudaGraphExec_t capture(cudaStream_t stream, const std::function<void()>& work) {
    EXPECT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    work();
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(stream, &graph), cudaSuccess);
    cudaGraphExec_t exec = nullptr;
    EXPECT_EQ(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
    EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
    return exec;
  }

  cudaStream_t a = nullptr, b = nullptr;
  cudaEvent_t event = nullptr;
  int *device = nullptr, *pinned = nullptr, *other = nullptr;
};

TEST_F(EmulatedRuntime, DoesNothingBeforeSomebodyWaits) {
  EXPECT_EQ(value(), -1) << "fresh memory";
  fill(a, 7);
  pinned[0] = 0;
  fetch(a, pinned);
  EXPECT_EQ(queued_work(), 2);
  EXPECT_EQ(pinned[0], 0);
  EXPECT_EQ(value(), -1) << "a blocking copy does not wait for a stream of its own";
  EXPECT_EQ(cudaStreamSynchronize(b), cudaSuccess);
  EXPECT_EQ(pinned[0], 0);
  EXPECT_EQ(cudaStreamSynchronize(a), cudaSuccess);
  EXPECT_EQ(pinned[0], 7);
  EXPECT_EQ(queued_work(), 0);
}

TEST_F(EmulatedRuntime, ReadsPageableMemoryAtTheCallAndPinnedMemoryWhenTheCopyIsMade) {
  int pageable[4] = {1, 1, 1, 1};
  cudaMemcpyAsync(device, pageable, sizeof pageable, cudaMemcpyHostToDevice, a);
  pageable[0] = 2;
  cudaStreamSynchronize(a);
  EXPECT_EQ(value(), 1);
  pinned[0] = 3;
  cudaMemcpyAsync(device, pinned, sizeof pageable, cudaMemcpyHostToDevice, a);
  pinned[0] = 4;
  cudaStreamSynchronize(a);
  EXPECT_EQ(value(), 4);
}

TEST_F(EmulatedRuntime, WritesPageableMemoryBeforeTheCallReturns) {
  fill(a, 5);
  int pageable[4] = {};
  EXPECT_EQ(fetch(a, pageable), cudaSuccess);
  EXPECT_THAT(pageable, ElementsAre(5, 5, 5, 5));
}

TEST_F(EmulatedRuntime, StreamWaitsForAnEventOfAnother) {
  fill(a, 1);
  cudaEventRecord(event, a);
  fill(a, 2);
  cudaStreamWaitEvent(b, event, 0);
  fetch(b, pinned);
  cudaStreamSynchronize(b);
  EXPECT_EQ(pinned[0], 1) << "what was done up to the event, and no more";
  fetch(b, other);  // without waiting for a
  cudaStreamSynchronize(b);
  EXPECT_EQ(other[0], 1);
  cudaDeviceSynchronize();
  EXPECT_EQ(value(), 2);
}

TEST_F(EmulatedRuntime, EventIsWhereItWasLastRecorded) {
  EXPECT_EQ(cudaEventSynchronize(event), cudaSuccess) << "never recorded";
  fill(a, 1);
  cudaEventRecord(event, a);
  increment(a);
  EXPECT_EQ(cudaEventSynchronize(event), cudaSuccess);
  EXPECT_EQ(value(), 1);
  cudaEventRecord(event, a);
  while (cudaEventQuery(event) == cudaErrorNotReady) {
  }
  EXPECT_EQ(value(), 2);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess) << "not ready is no error";
}

TEST_F(EmulatedRuntime, LegacyStreamIsOrderedWithBlockingStreamsOnly) {
  cudaStream_t blocking = nullptr;
  ASSERT_EQ(cudaStreamCreate(&blocking), cudaSuccess);
  fill(blocking, 1);
  increment(nullptr);
  increment(blocking);
  fill(a, 100);
  cudaStreamSynchronize(blocking);
  EXPECT_EQ(value(), 3);
  cudaStreamDestroy(blocking);
}

TEST_F(EmulatedRuntime, DestroyedStreamFinishesItsWork) {
  cudaStream_t stream = nullptr;
  cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
  fill(stream, 9);
  cudaStreamDestroy(stream);
  EXPECT_EQ(value(), -1);
  cudaDeviceSynchronize();
  EXPECT_EQ(value(), 9);
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaErrorInvalidResourceHandle);
}

TEST_F(EmulatedRuntime, HostFunctionsRunInOrderAndMayNotCall) {
  fill(a, 3);
  fetch(a, pinned);
  struct Seen {
    int* from;
    int value = 0;
    cudaError_t call = cudaSuccess;
  } seen{pinned};
  cudaLaunchHostFunc(
      a,
      [](void* data) {
        auto& out = *static_cast<Seen*>(data);
        out.value = out.from[0];
        out.call = cudaDeviceSynchronize();
      },
      &seen);
  cudaStreamSynchronize(a);
  EXPECT_EQ(seen.value, 3);
  EXPECT_EQ(seen.call, cudaErrorNotPermitted);
}

TEST_F(EmulatedRuntime, CaptureRecordsAndReplayDoesWithArgumentsOfThen) {
  int argument = 10;
  cudaGraphExec_t graph = capture(a, [&] {
    launch({1, 4}, a, "add", [to = device, argument] { to[threadIdx.x] += argument; }, device);
    fetch(a, pinned);
  });
  argument = 1000;
  pinned[0] = 0;
  cudaStreamSynchronize(a);
  EXPECT_EQ(value(), -1) << "nothing was done";
  for (int i = 1; i <= 3; ++i) {
    EXPECT_EQ(cudaGraphLaunch(graph, a), cudaSuccess);
    EXPECT_EQ(value(), 10 * (i - 1) - 1) << "queued";
    cudaStreamSynchronize(a);
    EXPECT_EQ(pinned[0], 10 * i - 1);
  }
  EXPECT_EQ(live_objects().graphs, 1);
  cudaGraphExecDestroy(graph);
}

TEST_F(EmulatedRuntime, LaunchesOfOneGraphFollowOneAnother) {
  fill(nullptr, 0);
  cudaDeviceSynchronize();
  cudaGraphExec_t graph = capture(a, [&] { increment(a); });
  cudaGraphLaunch(graph, a);
  cudaGraphLaunch(graph, b);
  cudaGraphExecDestroy(graph);
  cudaStreamSynchronize(b);
  EXPECT_EQ(value(), 2);
}

TEST_F(EmulatedRuntime, CaptureGoesThroughEventsToOtherStreams) {
  cudaEvent_t back = nullptr;
  cudaEventCreate(&back);
  cudaGraphExec_t graph = capture(a, [&] {
    fill(a, 4);
    cudaEventRecord(event, a);
    cudaStreamWaitEvent(b, event, 0);
    increment(b);
    cudaEventRecord(back, b);
    cudaStreamWaitEvent(a, back, 0);
    fetch(a, pinned);
  });
  cudaGraphLaunch(graph, a);
  cudaStreamSynchronize(a);
  EXPECT_EQ(pinned[0], 5);
  EXPECT_EQ(cudaEventSynchronize(event), cudaErrorCapturedEvent);
  cudaGraphExecDestroy(graph);
  cudaEventDestroy(back);
}

TEST_F(EmulatedRuntime, NodesWithoutADependencyRunInAnotherOrder) {
  cudaEvent_t back = nullptr;
  cudaEventCreate(&back);
  cudaGraphExec_t graph = capture(a, [&] {
    cudaEventRecord(event, a);
    cudaStreamWaitEvent(b, event, 0);
    fill(a, 4);
    increment(b);  // does not wait for the fill
    cudaEventRecord(back, b);
    cudaStreamWaitEvent(a, back, 0);
    fetch(a, pinned);
  });
  cudaGraphLaunch(graph, a);
  cudaStreamSynchronize(a);
  EXPECT_EQ(pinned[0], 4) << "not 5";
  cudaGraphExecDestroy(graph);
  cudaEventDestroy(back);
}

class RefusedInCapture : public EmulatedRuntime {
 protected:
  // What the call returns in a capture, which it must spoil.
  cudaError_t in_capture(const std::function<cudaError_t()>& refused) {
    EXPECT_EQ(cudaStreamBeginCapture(a, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    const cudaError_t status = refused();
    EXPECT_EQ(fetch(a, pinned), cudaErrorStreamCaptureInvalidated);
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(a, &graph), cudaErrorStreamCaptureInvalidated);
    EXPECT_EQ(graph, nullptr);
    EXPECT_EQ(cudaStreamSynchronize(a), cudaSuccess) << "as before the capture";
    return status;
  }
};

TEST_F(RefusedInCapture, WhatWaitsOrAllocates) {
  void* memory = nullptr;
  int pageable[4] = {};
  EXPECT_EQ(in_capture([&] { return cudaMalloc(&memory, 8); }), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(in_capture([&] { return cudaHostAlloc(&memory, 8, 0); }), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(in_capture([&] { return cudaFree(device); }), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(in_capture([&] { return cudaStreamSynchronize(a); }), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(in_capture([&] { return cudaDeviceSynchronize(); }), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(in_capture([&] { return cudaMemcpy(device, pageable, 4, cudaMemcpyHostToDevice); }), cudaErrorStreamCaptureUnsupported);
  EXPECT_EQ(in_capture([&] { return fetch(a, pageable); }), cudaErrorStreamCaptureUnsupported);
}

TEST_F(RefusedInCapture, WaitingForWorkOutside) {
  fill(b, 1);
  cudaEventRecord(event, b);
  EXPECT_EQ(in_capture([&] { return cudaStreamWaitEvent(a, event, 0); }), cudaErrorStreamCaptureIsolation);
}

TEST_F(EmulatedRuntime, CaptureOfAnotherThreadIsNoConcernOfThisOne) {
  cudaStreamBeginCapture(a, cudaStreamCaptureModeThreadLocal);
  std::thread([&] {
    EXPECT_EQ(cudaStreamSynchronize(b), cudaSuccess);
    void* memory = nullptr;
    EXPECT_EQ(cudaMalloc(&memory, 8), cudaSuccess);
    EXPECT_EQ(cudaFree(memory), cudaSuccess);
  }).join();
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(a, &graph), cudaSuccess);
  cudaGraphDestroy(graph);
}

TEST_F(EmulatedRuntime, CaptureMustJoinItsStreams) {
  cudaStreamBeginCapture(a, cudaStreamCaptureModeThreadLocal);
  cudaEventRecord(event, a);
  cudaStreamWaitEvent(b, event, 0);
  fill(b, 1);
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(a, &graph), cudaErrorStreamCaptureUnjoined);
}

TEST_F(EmulatedRuntime, MemoryHasALimit) {
  set_memory_limit(1000);
  size_t free = 0, total = 0;
  cudaMemGetInfo(&free, &total);
  EXPECT_EQ(free, 1000 - 4 * sizeof(int));
  void* memory = nullptr;
  EXPECT_EQ(cudaMalloc(&memory, free + 1), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&memory, free), cudaSuccess);
  EXPECT_EQ(cudaFree(memory), cudaSuccess);
}

TEST_F(EmulatedRuntime, RefusesWrongPointersAndHandles) {
  int pageable[4] = {};
  EXPECT_EQ(cudaMemcpy(pageable, pinned, 4, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(device, device, 4, cudaMemcpyHostToDevice), cudaErrorInvalidValue);
  EXPECT_EQ(cudaMemcpy(device, pageable, 17, cudaMemcpyHostToDevice), cudaErrorInvalidValue) << "one byte too many";
  EXPECT_EQ(cudaMemset(pageable, 0, 4), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(pinned), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(device + 1), cudaErrorInvalidValue);
  EXPECT_EQ(cudaFree(nullptr), cudaSuccess);
  EXPECT_EQ(cudaSetDevice(1), cudaErrorInvalidDevice);
  launch({1, 2048}, a, "too_large", [] {});
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
}

TEST_F(EmulatedRuntime, KernelMayNotBeGivenHostMemory) {
  int pageable = 0;
  launch({1, 1}, a, "reads_host", [] {}, pinned, &pageable);
  EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaStreamSynchronize(a), cudaErrorIllegalAddress) << "sticks";
  reset();
}

TEST_F(EmulatedRuntime, HostMayNotTouchDeviceMemory) {
  EXPECT_DEATH(device[1] = 0, "host code touched byte 4 of 16 bytes of device memory|use-after-poison|SEGV");
  EXPECT_DEATH(std::fprintf(stderr, "%d", device[0]), "host code touched byte 0 of 16 bytes of device memory|use-after-poison|SEGV");
}

TEST_F(EmulatedRuntime, FailsTheChosenCall) {
  fail_call(2, cudaErrorLaunchFailure);
  EXPECT_EQ(cudaStreamSynchronize(a), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(a), cudaErrorLaunchFailure);
  EXPECT_EQ(cudaStreamSynchronize(a), cudaSuccess);
  fail_call(1, cudaErrorIllegalAddress, Failure::kSticky);
  fill(a, 1);
  EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaGetLastError(), cudaErrorIllegalAddress) << "sticks";
  EXPECT_EQ(cudaStreamSynchronize(b), cudaErrorIllegalAddress);
  reset();
  EXPECT_EQ(calls(), 0);
  EXPECT_EQ(cudaStreamSynchronize(b), cudaSuccess);
  EXPECT_EQ(calls(), 1);
}

TEST_F(EmulatedRuntime, KernelFaultsWhereItIsWaitedFor) {
  fault_kernel(2, cudaErrorIllegalAddress);
  fill(a, 1);
  increment(a);
  increment(a);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(a), cudaErrorIllegalAddress);
  EXPECT_EQ(cudaEventRecord(event, a), cudaErrorIllegalAddress);
  reset();
  EXPECT_EQ(value(), 1) << "the work after it was not done";
}

TEST_F(EmulatedRuntime, MachinesWithoutADriverOrADevice) {
  int version = -1, count = -1;
  set_driver(0);
  EXPECT_EQ(cudaDriverGetVersion(&version), cudaSuccess);
  EXPECT_EQ(version, 0);
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorInsufficientDriver);
  EXPECT_EQ(count, 0);
  set_driver(CUDART_VERSION);
  set_device_count(0);
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorNoDevice);
  set_device_count(3);
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaSuccess);
  EXPECT_EQ(count, 3);
  EXPECT_EQ(cudaSetDevice(2), cudaSuccess);
  EXPECT_EQ(cudaSetDevice(0), cudaSuccess);
}

}  // namespace
}  // namespace tandem::emulator
