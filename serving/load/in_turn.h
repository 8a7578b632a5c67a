// The requests of a load: one after the other, and again from the first.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

#include "kernels/base/error.h"

namespace tandem {

template <class T>
class InTurn {
 public:
  // Throws InvalidArgument if there is none.
  explicit InTurn(std::vector<T> items) : items_(std::move(items)) { require(!items_.empty(), "a load needs a request to send"); }
  // Stays where it is.
  const T& next() {
    const T& item = items_[next_];
    next_ = (next_ + 1) % items_.size();
    return item;
  }

 private:
  const std::vector<T> items_;
  size_t next_ = 0;
};

}  // namespace tandem
