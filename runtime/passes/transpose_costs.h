// What moving Transposes about costs and saves, for each set of moves that only make sense together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace tandem {

// Components, joined as moves meet (union-find), with what each transposes before and after.
class TransposeCosts {
 public:
  struct Cost {
    int64_t bytes_before = 0, bytes_after = 0;
    int count_before = 0, count_after = 0;
    bool pays() const { return bytes_after < bytes_before || (bytes_after == bytes_before && count_after < count_before); }
  };
  // A component of its own; its number.
  int add() {
    parents_.push_back(static_cast<int>(parents_.size()));
    costs_.emplace_back();
    return parents_.back();
  }
  // The number that a component goes by now.
  int find(int c) {
    while (parent(c) != c) c = parent(c) = parent(parent(c));
    return c;
  }
  int join(int a, int b) {
    a = find(a), b = find(b);
    if (a == b) return a;
    parent(b) = a;
    Cost &sum = costs_[static_cast<size_t>(a)], &other = costs_[static_cast<size_t>(b)];
    sum.bytes_before += other.bytes_before, sum.bytes_after += other.bytes_after;
    sum.count_before += other.count_before, sum.count_after += other.count_after;
    return a;
  }
  // Of all that was joined to the component.
  Cost& cost(int c) { return costs_[static_cast<size_t>(find(c))]; }

 private:
  int& parent(int c) { return parents_[static_cast<size_t>(c)]; }
  std::vector<int> parents_;
  std::vector<Cost> costs_;
};

}  // namespace tandem
