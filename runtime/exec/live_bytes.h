// How many bytes the values hold that a run makes for itself, and the most it ever were.
#pragma once

#include <algorithm>
#include <cstdint>
#include <unordered_map>

#include "runtime/graph/run_value.h"

namespace tandem {

// Values may share memory (a Reshape of one that is still needed): it counts once.
class LiveBytes {
 public:
  void add(const RunValue& value) {
    visit(value, [&](const Tensor& tensor) {
      if (holders_[tensor.view().data]++ == 0) live_ += static_cast<int64_t>(tensor.bytes());
    });
    peak_ = std::max(peak_, live_);
  }
  // Bytes that are there beside the values for a moment.
  void note(int64_t beside) { peak_ = std::max(peak_, live_ + beside); }
  // Passes over values that were never added: the caller's own.
  void remove(const RunValue& value) {
    visit(value, [&](const Tensor& tensor) {
      const auto found = holders_.find(tensor.view().data);
      if (found == holders_.end() || --found->second > 0) return;
      holders_.erase(found);
      live_ -= static_cast<int64_t>(tensor.bytes());
    });
  }
  void clear() { holders_.clear(), live_ = 0; }
  int64_t peak() const { return peak_; }

 private:
  template <class F>
  static void visit(const RunValue& value, F&& f) {
    if (value.tensor) f(value.tensor);
    for (const Tensor& tensor : value.sequence)
      if (tensor) f(tensor);
  }

  std::unordered_map<const std::byte*, int> holders_;
  int64_t live_ = 0, peak_ = 0;
};

}  // namespace tandem
