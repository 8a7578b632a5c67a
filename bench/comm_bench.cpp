// All-reduce between processes of this machine, beside memcpy by the same ranks at the same time: the rate of both, and their
// ratio.
//
// comm_bench [RANKS], 2 by default. Validates each size, then times all-reduce and memcpy in turn and prints medians. GB/s is
// size / time (not the "bus" figure), for memcpy the bytes copied by one rank / time.
#include <fmt/core.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <functional>

#include "kernels/base/error.h"
#include "runtime/comm/launcher.h"

namespace {

using tandem::Communicator;

constexpr int kRepeats = 15;
constexpr double kTimedBytes = 64e6;  // small sizes are repeated within one measurement

double seconds_of(const std::function<void()>& work) {
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

double median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + static_cast<ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

void validate(Communicator& ranks, std::vector<float>& values) {
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 97) + static_cast<float>(ranks.rank());
  ranks.all_reduce_sum(values);
  const int n = ranks.size();
  for (size_t i = 0; i < values.size(); ++i)
    tandem::ensure(values[i] == static_cast<float>(n * static_cast<int>(i % 97) + n * (n - 1) / 2), "wrong sum at", i, values[i]);
}

void bench_size(Communicator& ranks, size_t bytes) {
  std::vector<float> values(bytes / sizeof(float)), source(values.size(), 1.0f);
  validate(ranks, values);
  std::fill(values.begin(), values.end(), 0.0f);  // sums of zeros stay normal numbers
  const int inner = std::max(1, static_cast<int>(kTimedBytes / static_cast<double>(bytes)));
  std::vector<double> reduce_times, copy_times;
  for (int repeat = 0; repeat < kRepeats; ++repeat) {
    ranks.barrier();
    reduce_times.push_back(seconds_of([&] {
      for (int i = 0; i < inner; ++i) ranks.all_reduce_sum(values);
    }));
    ranks.barrier();
    copy_times.push_back(seconds_of([&] {
      for (int i = 0; i < inner; ++i) {
        std::memcpy(source.data(), values.data(), bytes);
        asm volatile("" : : "r"(source.data()) : "memory");
      }
    }));
  }
  if (ranks.rank() != 0) return;
  const double reduce = median(reduce_times) / inner, copy = median(copy_times) / inner, size = static_cast<double>(bytes);
  fmt::print("{:>10} KiB {:>10.1f} us {:>8.2f} GB/s {:>12.2f} GB/s {:>8.0f} %\n", bytes >> 10, reduce * 1e6, size / reduce * 1e-9,
             size / copy * 1e-9, 100 * copy / reduce);
}

void bench_rank() {
  const std::unique_ptr<Communicator> ranks = tandem::join_launched_group();
  if (ranks->rank() == 0) fmt::print("{:>14} {:>13} {:>13} {:>17} {:>10}\n", "size", "all-reduce", "", "memcpy", "ratio");
  for (size_t bytes = size_t{64} << 10; bytes <= size_t{64} << 20; bytes *= 4) bench_size(*ranks, bytes);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    if (tandem::is_launched_rank()) {
      bench_rank();
      return 0;
    }
    const int ranks = argc > 1 ? std::atoi(argv[1]) : 2;
    const tandem::LaunchResult result = tandem::launch_ranks({.ranks = ranks, .arguments = {argv, argv + argc}});
    if (!result.message.empty()) fmt::print(stderr, "{}\n", result.message);
    return result.exit_code;
  } catch (const tandem::Error& error) {
    fmt::print(stderr, "{}\n", error.what());
    return 1;
  }
}
