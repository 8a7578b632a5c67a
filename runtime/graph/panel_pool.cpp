#include "runtime/graph/panel_pool.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace tandem {
namespace {

bool same_bits(const Panels& a, const Panels& b) {
  return std::ranges::equal(a.runs, b.runs, [](std::span<const std::byte> x, std::span<const std::byte> y) {
    return x.size() == y.size() && (x.empty() || std::memcmp(x.data(), y.data(), x.size()) == 0);
  });
}

}  // namespace

std::shared_ptr<const Panels> PanelPool::share(const std::string& form, Panels made) {
  const std::lock_guard lock(mutex_);
  for (auto [at, end] = panels_.equal_range(form); at != end; ++at)
    if (auto other = at->second.lock(); other && same_bits(*other, made)) return other;
  forget_the_gone();
  auto panels = std::make_shared<const Panels>(std::move(made));
  panels_.emplace(form, panels);
  return panels;
}

// Each time their number has doubled: a look costs each of them a constant.
void PanelPool::forget_the_gone() {
  if (panels_.size() < look_at_) return;
  std::erase_if(panels_, [](const auto& entry) { return entry.second.expired(); });
  look_at_ = std::max<size_t>(64, 2 * panels_.size());
}

}  // namespace tandem
