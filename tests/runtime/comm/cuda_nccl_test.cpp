// Collectives on a GPU's memory through NCCL: on the emulator by a stand-in that follows its documentation, on a device by
// itself. One rank; tests/models/run/nccl_ranks_test.cpp has two.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "runtime/comm/device_communicator.h"
#include "runtime/exec/executor.h"
#include "tests/runtime/comm/rank_threads.h"
#include "tests/support/device_memory.h"
#include "tests/support/fake_libraries/use_nccl.h"
#include "tests/support/graph_builder.h"

namespace tandem::test {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class UseStandIn : public ::testing::Environment {
 public:
  void SetUp() override { use_fake_nccl(); }
};
const auto* const kUseStandIn = ::testing::AddGlobalTestEnvironment(new UseStandIn);

constexpr int kSystemError = 2, kRemoteError = 6;
constexpr DType kTypes[] = {DType::kF32, DType::kF64, DType::kF16, DType::kBF16, DType::kI8,
                            DType::kU8,  DType::kI32, DType::kU32, DType::kI64,  DType::kU64};

class CudaNccl : public ::testing::Test {
 protected:
  void SetUp() override {
    const cuda::LibraryStatus& status = cuda::library_status(cuda::Library::kNccl);
    if (!status.usable()) GTEST_SKIP() << "no NCCL: " << status.problem;
    fake = fake_nccl();
    if (fake) *fake = {.alive = fake->alive};
    device = open_cuda(0);
    stream = device->make_stream();
  }
  void TearDown() override {
    if (fake) {
      EXPECT_EQ(fake->alive, 0) << "a communicator was not given back";
    }
  }
  std::unique_ptr<DeviceCommunicator> connect() {
    ConnectedDevices connected = connect_devices(*host, device);
    EXPECT_EQ(connected.problem, "");
    return std::move(connected.communicator);
  }
  // Every collective once, and all that surrounds them.
  void use_all() {
    const auto gpus = connect();
    DeviceMemory memory(64);
    const TensorView values{memory.data(), DType::kF32, {16}};
    gpus->begin_all_reduce(values, stream->handle(), "gradients.0");
    gpus->wait(memory.data(), stream->handle());
    gpus->broadcast(values, 0, stream->handle());
    gpus->all_gather(values, values, stream->handle());
    gpus->synchronize(stream->handle());
  }

  FakeNccl* fake = nullptr;  // null: the real library
  std::unique_ptr<Communicator> host = make_local_communicator();
  std::shared_ptr<Device> device;
  std::unique_ptr<Stream> stream;
};

Error error_of(const std::function<void()>& body) {
  try {
    body();
  } catch (const Error& error) {
    return error;
  }
  return Error(ErrorCode::kInternal, "(nothing was thrown)");
}

TEST_F(CudaNccl, ConnectsTheRanksGpus) {
  EXPECT_EQ(host->devices(), nullptr);
  const auto gpus = connect();
  EXPECT_EQ(host->devices(), gpus.get());
  EXPECT_EQ(gpus->rank(), 0);
  EXPECT_EQ(gpus->size(), 1);
  EXPECT_THAT(gpus->description(), StartsWith("NCCL 2."));
}

TEST_F(CudaNccl, IsClosedInOrder) {
  connect().reset();
  EXPECT_EQ(host->devices(), nullptr);
  if (!fake) return;
  EXPECT_EQ(fake->finalized, 1);
  EXPECT_EQ(fake->destroyed, 1);
  EXPECT_EQ(fake->aborted, 0);
}

// The others would wait for it in vain.
TEST_F(CudaNccl, IsGivenUpByARankThatEndsWithAnError) {
  error_of([&] {
    const auto gpus = connect();
    fail(ErrorCode::kUnavailable, "disk full");
  });
  if (!fake) return;
  EXPECT_EQ(fake->finalized, 0);
  EXPECT_EQ(fake->aborted, 1);
}

TEST_F(CudaNccl, OneRankKeepsItsBitsInEveryType) {
  const auto gpus = connect();
  for (DType type : kTypes)
    for (int64_t count : {0, 1, 37, 5000}) {
      std::vector<std::byte> content(static_cast<size_t>(count) * size_of(type));
      for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<std::byte>(i * 7 % 61);
      DeviceMemory values(content.size()), whole(content.size());
      if (count) values.write(content.data());
      const TensorView view{values.data(), type, {count}};
      gpus->begin_all_reduce(view, stream->handle());
      if (fake) {
        EXPECT_EQ(fake->from, fake->to) << "in place";
        EXPECT_EQ(fake->operation, 0);
        EXPECT_EQ(fake->count, static_cast<size_t>(count));
        EXPECT_NE(fake->stream, stream->handle()) << "beside what computes";
      }
      gpus->wait(values.data(), stream->handle());
      gpus->broadcast(view, 0, stream->handle());
      gpus->all_gather(view, {whole.data(), type, {count}}, stream->handle());
      gpus->synchronize(stream->handle());
      EXPECT_EQ(values.read(), content) << name(type);
      EXPECT_EQ(whole.read(), content) << name(type);
    }
  if (fake) {
    EXPECT_EQ(fake->all_reduces, static_cast<int>(std::size(kTypes)) * 4);
  }
}

TEST_F(CudaNccl, RefusesWhatItCannotSay) {
  const auto gpus = connect();
  DeviceMemory memory(64);
  for (DType type : {DType::kBool, DType::kString})
    EXPECT_THROW(gpus->begin_all_reduce({memory.data(), type, {1}}, stream->handle()), Error);
  EXPECT_THROW(gpus->broadcast({memory.data(), DType::kF32, {1}}, 1, stream->handle()), Error);
  EXPECT_THROW(gpus->all_gather({memory.data(), DType::kF32, {2}}, {memory.data(), DType::kF32, {3}}, stream->handle()), Error);
  gpus->begin_all_reduce({memory.data(), DType::kF32, {1}}, stream->handle());  // it can still be used
}

// What is begun comes after what the stream does, and what the stream does after wait() comes after it.
TEST_F(CudaNccl, StandsInTheOrderOfTheStream) {
  const auto gpus = connect();
  const Buffer host_memory = device->allocate_pinned(8, "test");
  const Buffer memory = device->allocate(8, "test");
  auto* const values = reinterpret_cast<float*>(host_memory.data());
  values[0] = 3;
  values[1] = 0;
  stream->copy_to_device(memory.data(), host_memory.data(), 4);
  gpus->begin_all_reduce({memory.data(), DType::kF32, {1}}, stream->handle());
  gpus->all_gather({memory.data(), DType::kF32, {1}}, {memory.data() + 4, DType::kF32, {1}}, stream->handle());
  gpus->wait(memory.data(), stream->handle());
  stream->copy_to_host(host_memory.data() + 4, memory.data() + 4, 4);
  gpus->synchronize(stream->handle());
  EXPECT_EQ(values[1], 3);
}

// Each call that may fail, one after the other.
TEST_F(CudaNccl, EveryFailureIsToldOnceAndGivenBack) {
  if (!fake) GTEST_SKIP() << "the real library does not fail when it is told to";
  std::set<std::string> told;
  for (int n = 1;; ++n) {
    *fake = {.fail_in = n, .fail_status = kSystemError};
    const Error error = error_of([&] { use_all(); });
    const std::string failed = fake->last_call;
    EXPECT_EQ(fake->alive, 0) << "call " << n;
    if (fake->fail_in > 0) break;                                       // there are not as many
    if (std::string(error.what()) == "(nothing was thrown)") continue;  // while it was closed
    EXPECT_EQ(error.code(), ErrorCode::kDevice);
    EXPECT_THAT(error.what(), HasSubstr(" failed with status 2: unhandled system error, told by the stand-in"));
    EXPECT_THAT(error.what(), HasSubstr("] rank 0 of 1: "));
    told.insert(std::string(error.what()).substr(0, std::string(error.what()).find(" failed")));
  }
  EXPECT_EQ(told,
            (std::set<std::string>{"[connect] rank 0 of 1: ncclGetUniqueId", "[connect] rank 0 of 1: ncclCommInitRankConfig",
                                   "[all_reduce] rank 0 of 1: ncclAllReduce", "[broadcast] rank 0 of 1: ncclBroadcast",
                                   "[all_gather] rank 0 of 1: ncclAllGather", "[synchronize] rank 0 of 1: a collective"}));
}

TEST_F(CudaNccl, AfterAFailureEveryCallSaysTheSame) {
  if (!fake) GTEST_SKIP() << "the real library does not fail when it is told to";
  const auto gpus = connect();
  DeviceMemory memory(64);
  const TensorView values{memory.data(), DType::kF32, {16}};
  fake->fail_in = 1, fake->fail_status = kSystemError;
  const std::string text = error_of([&] { gpus->begin_all_reduce(values, stream->handle(), "gradients.7"); }).what();
  EXPECT_EQ(text,
            "[all_reduce] rank 0 of 1: ncclAllReduce failed with status 2: unhandled system error, told by the stand-in (bucket "
            "'gradients.7')");
  EXPECT_EQ(error_of([&] { gpus->begin_all_reduce(values, stream->handle()); }).what(), text);
  EXPECT_EQ(error_of([&] { gpus->wait(memory.data(), stream->handle()); }).what(), text);
  EXPECT_EQ(error_of([&] { gpus->synchronize(stream->handle()); }).what(), text);
  EXPECT_EQ(fake->aborted, 1);
}

TEST_F(CudaNccl, WhatFailsWhileTheGpuWorksIsFoundByWhoWaits) {
  if (!fake) GTEST_SKIP() << "the real library does not fail when it is told to";
  const auto gpus = connect();
  DeviceMemory memory(64);
  gpus->begin_all_reduce({memory.data(), DType::kF32, {16}}, stream->handle());
  gpus->wait(memory.data(), stream->handle());
  fake->asynchronous_error = kRemoteError;
  const Error error = error_of([&] { gpus->synchronize(stream->handle()); });
  EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
  EXPECT_THAT(error.what(), HasSubstr("rank 0 of 1: a collective failed with status 6: remote process exited"));
  EXPECT_EQ(fake->aborted, 1);
}

TEST_F(CudaNccl, AWaitHasTheGroupsDeadline) {
  if (!fake) GTEST_SKIP() << "the real library does not hang when it is told to";
  host = std::move(make_thread_group(1, {.deadline = std::chrono::milliseconds(400)})[0]);
  const auto gpus = connect();
  DeviceMemory memory(64);
  fake->never_done = true;
  const Error error = error_of([&] { gpus->begin_all_reduce({memory.data(), DType::kF32, {16}}, stream->handle()); });
  EXPECT_EQ(error.code(), ErrorCode::kDeadlineExceeded);
  EXPECT_THAT(error.what(), HasSubstr("ncclAllReduce was not done within the deadline of 400 ms"));
}

TEST_F(CudaNccl, ALostGroupIsNotWaitedFor) {
  if (!fake) GTEST_SKIP() << "the real library does not hang when it is told to";
  const auto gpus = connect();
  DeviceMemory memory(64);
  fake->never_done = true;
  host->abort("disk full");
  const Error error = error_of([&] { gpus->begin_all_reduce({memory.data(), DType::kF32, {16}}, stream->handle()); });
  EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
  EXPECT_THAT(error.what(), HasSubstr("disk full"));
}

TEST_F(CudaNccl, AllRanksDecideAlike) {
  const auto problems = [&](std::shared_ptr<Device> of_rank_1) {
    std::vector<std::string> found(2);
    for (const std::string& end : run_as_threads(2, [&](Communicator& ranks) {
           const ConnectedDevices connected = connect_devices(ranks, ranks.rank() == 0 ? device : of_rank_1);
           EXPECT_EQ(connected.communicator, nullptr);
           found[static_cast<size_t>(ranks.rank())] = connected.problem;
         }))
      EXPECT_EQ(end, "");
    EXPECT_EQ(found[0], found[1]);
    return found[0];
  };
  EXPECT_EQ(problems(nullptr), "rank 1: it computes on the CPU");
  EXPECT_EQ(problems(device), "ranks 0 and 1 share a GPU, and NCCL wants one a rank");
}

// The wait for the end of a run, while the GPU is at work.
class CudaNcclWait : public CudaNccl {
 protected:
  void SetUp() override {
    CudaNccl::SetUp();
    if (!IsSkipped() && !fake) GTEST_SKIP() << "the real library does not dawdle when it is told to";
  }
  // Waits for some pieces of work, each of which takes a while.
  Error dawdle(DeviceCommunicator& gpus, int milliseconds, const std::function<void()>& before_the_wait = [] {}) {
    fake->milliseconds = milliseconds;
    DeviceMemory memory(64);
    return error_of([&] {
      for (int i = 0; i < 7; ++i) gpus.broadcast({memory.data(), DType::kF32, {16}}, 0, stream->handle());
      before_the_wait();
      gpus.synchronize(stream->handle());
    });
  }
};

TEST_F(CudaNcclWait, GoesOnWhileAllIsWell) { EXPECT_STREQ(dawdle(*connect(), 40).what(), "(nothing was thrown)"); }

TEST_F(CudaNcclWait, HasTheGroupsDeadline) {
  host = std::move(make_thread_group(1, {.deadline = std::chrono::milliseconds(400)})[0]);
  const Error error = dawdle(*connect(), 80);
  EXPECT_EQ(error.code(), ErrorCode::kDeadlineExceeded);
  EXPECT_THAT(error.what(), HasSubstr(" was not done within the deadline of 400 ms"));
  EXPECT_EQ(fake->aborted, 1);
}

TEST_F(CudaNcclWait, EndsWhenTheGroupIsLost) {
  const auto gpus = connect();
  const Error error = dawdle(*gpus, 40, [&] { host->abort("disk full"); });
  EXPECT_EQ(error.code(), ErrorCode::kUnavailable);
  EXPECT_THAT(error.what(), HasSubstr("a collective was given up: rank 0 aborted: disk full"));
  EXPECT_EQ(fake->aborted, 1);
}

Graph with_all_reduce() {
  Graph graph;
  const ValueId x = graph.add_input("x", DType::kF32, {"batch", 3});
  const ValueId y = testing::add(graph, "Sigmoid", {x});
  const auto begun = graph.add_node(newest_op("AllReduceStart", "tandem"), {y}, 2, {{"bucket", "b"}});
  const ValueId beside = testing::add(graph, "Tanh", {x});
  const ValueId sum = testing::add(graph, "AllReduceWait", {begun[0], begun[1]}, {}, "tandem");
  graph.outputs = {testing::add(graph, "Add", {sum, beside})};
  return graph;
}

// The bits of the way through the host, from a run that is captured as one.
TEST_F(CudaNccl, APlanKeepsItsValuesOnTheGpu) {
  const auto gpus = connect();
  const PlanOptions through_host{.default_bound = 8, .target = Space::kDevice};
  PlanOptions on_gpu = through_host;
  on_gpu.device_collectives = true;
  const ExecutorOptions options{.communicator = host.get(), .device = device};
  Executor with(make_plan(with_all_reduce(), on_gpu), options), without(make_plan(with_all_reduce(), through_host), options);
  const auto host_steps = [](const Plan& plan) { return std::ranges::count(plan.steps, StepKind::kHost, &Step::kind); };
  EXPECT_EQ(host_steps(with.plan()), 0);
  EXPECT_EQ(host_steps(without.plan()), 2);
  for (int run = 0; run < 6; ++run) {
    Tensor x(DType::kF32, {5, 3});
    std::iota(x.as<float>().begin(), x.as<float>().end(), static_cast<float>(run) - 7);
    const ConstTensorView inputs[] = {std::as_const(x).view()};
    const auto expected = without.run(inputs)[0].as<float>(), actual = with.run(inputs)[0].as<float>();
    EXPECT_TRUE(std::ranges::equal(actual, expected)) << "run " << run;
  }
  EXPECT_THAT(with.capture_report(), StartsWith("captured: 1 graph, "));
  if (fake) {
    EXPECT_EQ(fake->all_reduces, 2) << "a run, and the one that is captured";
  }
}

TEST_F(CudaNccl, AFailureInACaptureIsToldToo) {
  if (!fake) GTEST_SKIP() << "the real library does not fail when it is told to";
  const auto gpus = connect();
  Executor executor(make_plan(with_all_reduce(), {.default_bound = 8, .target = Space::kDevice, .device_collectives = true}),
                    {.communicator = host.get(), .device = device});
  Tensor x(DType::kF32, {5, 3});
  const ConstTensorView inputs[] = {std::as_const(x).view()};
  executor.run(inputs);
  fake->fail_in = 1, fake->fail_status = kSystemError;
  EXPECT_THAT(error_of([&] { executor.run(inputs); }).what(),
              StartsWith("[all_reduce] rank 0 of 1: ncclAllReduce failed with status 2: unhandled system error"));
}

}  // namespace
}  // namespace tandem::test
