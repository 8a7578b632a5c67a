// What kernels made of constants (weights packed into panels), one for each constant and layout. Kernels bound for other shapes, in other plans
// of the same graph and on other lanes find it here, so a constant that every reader has packed need not stay. Any thread.
#pragma once

#include <any>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

#include "runtime/graph/panel_pool.h"

namespace tandem {

class PackedConstants {
 public:
  // `pool`: where other models' panels are looked for; null: nowhere.
  explicit PackedConstants(std::shared_ptr<PanelPool> pool = {}) : pool_(std::move(pool)) {}

  // `constant` is a name in the graph; `layout` tells apart what else the result hangs on. T is a handle (copies share their storage) with
  // bytes(). `make` is called if there is none yet. `source`: type and shape of the constant; "": not to be shared with other models.
  template <class T, class Make>
  T find_or_make(const std::string& constant, std::string_view layout, Make&& make, std::string_view source = {}) {
    const std::lock_guard lock(mutex_);
    std::shared_ptr<const Panels>& slot = packed_[{constant, std::string(layout)}];
    if (!slot) {
      T made = make();
      const auto bytes = static_cast<int64_t>(made.bytes());
      slot = shared(std::string(typeid(T).name()).append(" ").append(layout), source, panels_of(std::move(made)));
      if (counted_.insert(slot.get()).second) bytes_ += bytes;
    }
    return std::any_cast<const T&>(slot->handle);
  }
  // All together, what other models have too among them.
  int64_t bytes() const {
    const std::lock_guard lock(mutex_);
    return bytes_;
  }
  // Where they lie: what two models share has the same place.
  std::vector<std::span<const std::byte>> runs() const {
    const std::lock_guard lock(mutex_);
    std::vector<std::span<const std::byte>> runs;
    for (const Panels* panels : counted_) runs.insert(runs.end(), panels->runs.begin(), panels->runs.end());
    return runs;
  }

 private:
  std::shared_ptr<const Panels> shared(std::string form, std::string_view source, Panels made) {
    if (!pool_ || source.empty() || made.runs.empty()) return std::make_shared<const Panels>(std::move(made));
    return pool_->share(form.append(" ").append(source), std::move(made));
  }

  const std::shared_ptr<PanelPool> pool_;
  mutable std::mutex mutex_;
  std::map<std::pair<std::string, std::string>, std::shared_ptr<const Panels>> packed_;
  std::set<const Panels*> counted_;
  int64_t bytes_ = 0;
};

}  // namespace tandem
