// Where a node of random numbers has them from: a key, and a count of the runs of its plan.
#pragma once

#include <atomic>
#include <bit>
#include <memory>
#include <random>

#include "kernels/api/random.h"
#include "runtime/graph/contexts.h"

namespace tandem {

class RandomSource {
 public:
  // The attribute `seed`, a float or (Dropout) an integer, is the key; without it, the system gives one.
  explicit RandomSource(const BindContext& node) : key_(key_of(node)) {}
  // Each call gives other numbers. Copies share their count.
  RandomStream next() const { return {key_, runs_->fetch_add(1)}; }

 private:
  static uint64_t key_of(const BindContext& node) {
    const auto seed = node.node().attributes.find("seed");
    if (seed == node.node().attributes.end()) {
      std::random_device device;
      return uint64_t{device()} << 32 | device();
    }
    if (const auto* number = std::get_if<int64_t>(&seed->second)) return static_cast<uint64_t>(*number);
    return std::bit_cast<uint32_t>(node.get_float("seed", 0));
  }

  uint64_t key_;
  std::shared_ptr<std::atomic<uint64_t>> runs_ = std::make_shared<std::atomic<uint64_t>>(0);
};

}  // namespace tandem
