// Two ranks, each a process with a GPU of its own, on the emulator with the stand-in of NCCL: this program runs itself again, as
// `nccl_ranks_test MODE FOLDER`, for each rank.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>

#include "runtime/comm/device_communicator.h"
#include "runtime/comm/launcher.h"
#include "runtime/io/file.h"
#include "tests/models/run/training_job.h"
#include "tests/support/cuda_emulator/script.h"
#include "tests/support/device_memory.h"
#include "tests/support/fake_libraries/use_nccl.h"

namespace tandem::test {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr int64_t kBatch = 4, kSteps = 5;
constexpr int kRanks = 2, kFailed = 75;

fs::path file_of(const fs::path& folder, const std::string& what, int rank) { return folder / (what + std::to_string(rank)); }

template <class T>
std::vector<T> content(const DeviceMemory& memory) {
  const std::vector<std::byte> bytes = memory.read();
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), bytes.size());
  return values;
}

// Sums, broadcasts and gathers of more than one round, against their definitions.
void try_collectives(DeviceCommunicator& gpus, Device& device) {
  const auto stream = device.make_stream();
  const int64_t count = 40001;
  const auto number = [](int rank, int64_t i) { return static_cast<float>((i * (rank + 3)) % 1009) * 0.1f; };
  std::vector<float> own(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) own[static_cast<size_t>(i)] = number(gpus.rank(), i);
  DeviceMemory sum(own.size() * 4), of_root(own.size() * 4), whole(own.size() * 4 * kRanks);
  sum.write(reinterpret_cast<const std::byte*>(own.data()));
  of_root.write(reinterpret_cast<const std::byte*>(own.data()));
  gpus.broadcast({of_root.data(), DType::kF32, {count}}, 1, stream->handle());
  gpus.all_gather({sum.data(), DType::kF32, {count}}, {whole.data(), DType::kF32, {kRanks * count}}, stream->handle());
  gpus.begin_all_reduce({sum.data(), DType::kF32, {count}}, stream->handle(), "grad.0");
  gpus.wait(sum.data(), stream->handle());
  gpus.synchronize(stream->handle());
  const auto sums = content<float>(sum), roots = content<float>(of_root), all = content<float>(whole);
  for (int64_t i = 0; i < count; ++i) {
    const auto at = static_cast<size_t>(i);
    check(sums[at] == number(0, i) + number(1, i), ErrorCode::kInternal, "wrong sum", i, sums[at]);
    check(roots[at] == number(1, i), ErrorCode::kInternal, "wrong broadcast", i, roots[at]);
    for (int r = 0; r < kRanks; ++r)
      check(all[static_cast<size_t>(r * count + i)] == number(r, i), ErrorCode::kInternal, "wrong gather", i, r);
  }
}

// The states after some steps, as bytes.
std::string train(Communicator& ranks, std::shared_ptr<Device> device) {
  const Job job = load("digits", kBatch * kRanks * kSteps);
  const auto trainer = trainer_of(job, kBatch, {.communicator = &ranks, .device = std::move(device)}, {.world_size = kRanks});
  std::string bytes;
  for (const double loss : losses(*trainer, job, kBatch, kSteps)) bytes += std::to_string(loss) + "\n";
  if (ranks.rank() == 1) bytes.clear();  // it has a loss of its own, and the same states
  for (const auto& [name, state] : trainer->states().all()) {
    const ConstTensorView view = trainer->states().read(name)->view();
    bytes.append(name).append(reinterpret_cast<const char*>(view.data), view.bytes());
  }
  return bytes;
}

void run_rank(Communicator& ranks, std::string_view mode, const fs::path& folder) {
  emulator::set_device_count(kRanks);
  const std::shared_ptr<Device> device = open_cuda(ranks.rank());
  if (mode == "host") return write_file(file_of(folder, "states", ranks.rank()), train(ranks, device));
  const ConnectedDevices gpus = connect_devices(ranks, device);
  check(gpus.communicator != nullptr, ErrorCode::kInternal, gpus.problem);
  if (mode == "collectives") return try_collectives(*gpus.communicator, *device);
  if (mode == "train") return write_file(file_of(folder, "states", ranks.rank()), train(ranks, device));
  if (ranks.rank() == 1) fail(ErrorCode::kUnavailable, "disk full");  // "leave"
  try_collectives(*gpus.communicator, *device);
}

int rank_main(std::string_view mode, const fs::path& folder) {
  const std::unique_ptr<Communicator> ranks = join_launched_group({.deadline = std::chrono::seconds(60)});
  try {
    run_rank(*ranks, mode, folder);
    return 0;
  } catch (const Error& error) {
    write_file(file_of(folder, "error", ranks->rank()), error.what());
    ranks->abort(error.what());
    return kFailed;
  }
}

class NcclRanks : public ::testing::Test {
 protected:
  void SetUp() override {
    if (fake_library_folder("nccl").empty()) GTEST_SKIP() << "no stand-in was built";
    std::string pattern = ::testing::TempDir() + "/tandem-nccl-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder = pattern;
  }
  void TearDown() override {
    if (!folder.empty()) fs::remove_all(folder);
  }
  int launch(const std::string& mode) const {
    return launch_ranks({.ranks = kRanks, .arguments = {"nccl_ranks_test", mode, folder.string()}}).exit_code;
  }
  std::string read(const std::string& what, int rank) const {
    return fs::exists(file_of(folder, what, rank)) ? read_file(file_of(folder, what, rank), 1 << 24) : "(nothing)";
  }

  fs::path folder;
};

TEST_F(NcclRanks, SumBroadcastAndGather) { EXPECT_EQ(launch("collectives"), 0) << read("error", 0) << "; " << read("error", 1); }

TEST_F(NcclRanks, TrainWithTheBitsOfTheHostsWay) {
  ASSERT_EQ(launch("host"), 0) << read("error", 0) << "; " << read("error", 1);
  const std::string expected[] = {read("states", 0), read("states", 1)};
  fs::remove(file_of(folder, "states", 0));
  ASSERT_EQ(launch("train"), 0) << read("error", 0) << "; " << read("error", 1);
  EXPECT_GT(expected[0].size(), 1000u);
  EXPECT_TRUE(read("states", 0) == expected[0]);
  EXPECT_TRUE(read("states", 1) == expected[1]);
}

TEST_F(NcclRanks, ARankThatLeavesIsNotWaitedFor) {
  EXPECT_EQ(launch("leave"), kFailed);
  EXPECT_EQ(read("error", 1), "disk full");
  EXPECT_THAT(read("error", 0), HasSubstr("] rank 0 of 2: "));
}

}  // namespace
}  // namespace tandem::test

int main(int argc, char** argv) {
  tandem::test::use_fake_nccl();
  if (tandem::is_launched_rank() && argc == 3) return tandem::test::rank_main(argv[1], argv[2]);
  ::testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
