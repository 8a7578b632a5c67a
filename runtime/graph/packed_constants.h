// What kernels made of constants (weights packed into panels), one for each constant and layout. Kernels bound for other shapes, in other plans
// of the same graph and on other lanes find it here, so a constant that every reader has packed need not stay. Any thread.
#pragma once

#include <any>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>

namespace tandem {

class PackedConstants {
 public:
  // `constant` is a name in the graph; `layout` tells apart what else the result hangs on. T is a handle (copies share their storage) with
  // bytes(). `make` is called if there is none yet.
  template <class T, class Make>
  T find_or_make(const std::string& constant, std::string_view layout, Make&& make) {
    const std::lock_guard lock(mutex_);
    std::any& slot = packed_[{constant, std::string(layout)}];
    if (!slot.has_value()) {
      T made = make();
      bytes_ += static_cast<int64_t>(made.bytes());
      slot = std::move(made);
    }
    return std::any_cast<const T&>(slot);
  }
  int64_t bytes() const {
    const std::lock_guard lock(mutex_);
    return bytes_;
  }

 private:
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, std::any> packed_;
  int64_t bytes_ = 0;
};

}  // namespace tandem
