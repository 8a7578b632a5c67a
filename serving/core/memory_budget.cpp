#include "serving/core/memory_budget.h"

#include <charconv>
#include <utility>

namespace tandem {
namespace {

std::string text_of(std::string_view who, int64_t bytes, int64_t used, int64_t limit) {
  return std::string(who) + " needs " + std::to_string(bytes) + " bytes more, but --memory-limit is " + std::to_string(limit) +
         " bytes, of which other models hold " + std::to_string(used);
}

}  // namespace

int64_t MemoryBudget::used() const {
  const std::lock_guard lock(mutex_);
  return used_;
}

int64_t MemoryBudget::additional(const std::vector<MemoryPart>& shared, int64_t own) const {
  const std::lock_guard lock(mutex_);
  return additional_locked(shared, own);
}

int64_t MemoryBudget::additional_locked(const std::vector<MemoryPart>& shared, int64_t own) const {
  int64_t bytes = own;
  for (const MemoryPart& part : shared) {
    const auto found = shared_.find(part.id);
    bytes += found == shared_.end() ? part.bytes : std::max<int64_t>(0, part.bytes - found->second.bytes);
  }
  return bytes;
}

void MemoryBudget::require_room(std::string_view who, int64_t bytes) const {
  const std::lock_guard lock(mutex_);
  if (bytes > limit_ - used_)
    throw DoesNotFit(text_of(std::string(who) + ", whose files are to be read,", bytes, used_, limit_), bytes - (limit_ - used_));
}

// Of shared storage the largest size that was told is held until the last holder goes.
void MemoryBudget::add(const std::vector<MemoryPart>& shared, int64_t own, int sign) {
  used_ += sign * own;
  for (const MemoryPart& part : shared) {
    Shared& entry = shared_[part.id];
    entry.holders += sign;
    if (sign > 0 && part.bytes > entry.bytes) used_ += part.bytes - std::exchange(entry.bytes, part.bytes);
    if (entry.holders > 0) continue;
    used_ -= entry.bytes;
    shared_.erase(part.id);
  }
}

MemoryHold::~MemoryHold() {
  const std::lock_guard lock(budget_.mutex_);
  budget_.add(shared_, own_, -1);
}

void MemoryHold::resize(std::vector<MemoryPart> shared, int64_t own) {
  const std::lock_guard lock(budget_.mutex_);
  budget_.add(shared_, own_, -1);
  const int64_t more = budget_.additional_locked(shared, own), room = budget_.limit_ - budget_.used_;
  if (more > room) {
    const int64_t others = budget_.used_;
    budget_.add(shared_, own_, 1);
    throw DoesNotFit(text_of(who_, more, others, budget_.limit_), more - room, std::move(shared));
  }
  shared_ = std::move(shared);
  own_ = own;
  budget_.add(shared_, own_, 1);
}

int64_t parse_bytes(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  const int64_t factor = unit.empty() ? 1 : unit == "K" ? 1 << 10 : unit == "M" ? 1 << 20 : unit == "G" ? 1 << 30 : 0;
  const double bytes = number * static_cast<double>(factor);
  require(error == std::errc() && factor > 0 && bytes >= 1 && bytes <= 1e18, "a size must be written as 4G, 512M, 64K or in bytes", text);
  return static_cast<int64_t>(bytes);
}

}  // namespace tandem
