// How many bytes the values hold that a run makes for itself, and the most it ever were.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <unordered_map>

#include "runtime/graph/run_value.h"

namespace tandem {

// Values may share memory (a Reshape of one that is still needed): it counts once.
class LiveBytes {
 public:
  // `fresh`: nobody else has a handle on its memory, and only values that come here ever will.
  void add(const RunValue& value, bool fresh = false) {
    visit(value, [&](const Tensor& tensor) {
      Holders& holders = holders_[tensor.view().data];
      if (holders.count++ == 0) {
        live_ += static_cast<int64_t>(tensor.bytes());
        holders.fresh = fresh;
      }
    });
    peak_ = std::max(peak_, live_);
  }
  // One value alone has this memory, and it was fresh.
  bool is_sole(const Tensor& tensor) const {
    const auto found = holders_.find(tensor.view().data);
    return found != holders_.end() && found->second.count == 1 && found->second.fresh;
  }
  // Bytes that are there beside the values for a moment.
  void note(int64_t beside) { peak_ = std::max(peak_, live_ + beside); }
  // What values take that were never added: those that an op on subgraphs carries from one run of a body to the next.
  int64_t beside(std::span<const RunValue> values) const {
    int64_t bytes = 0;
    for (const RunValue& value : values)
      visit(value, [&](const Tensor& tensor) { bytes += holders_.contains(tensor.view().data) ? 0 : static_cast<int64_t>(tensor.bytes()); });
    return bytes;
  }
  // Passes over values that were never added: the caller's own.
  void remove(const RunValue& value) {
    visit(value, [&](const Tensor& tensor) {
      const auto found = holders_.find(tensor.view().data);
      if (found == holders_.end() || --found->second.count > 0) return;
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

  struct Holders {
    int count = 0;
    bool fresh = false;
  };
  std::unordered_map<const std::byte*, Holders> holders_;
  int64_t live_ = 0, peak_ = 0;
};

}  // namespace tandem
