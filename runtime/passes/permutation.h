// Orders of axes, as Transpose has them: output axis a is input axis order[a].
#pragma once

#include <algorithm>
#include <optional>

#include "runtime/graph/contexts.h"

namespace tandem {

using Permutation = std::vector<int>;

inline bool is_identity(const Permutation& order) { return std::ranges::is_sorted(order); }

// What `first` and then `second` do.
inline Permutation composed(const Permutation& first, const Permutation& second) {
  Permutation order;
  for (int axis : second) order.push_back(first[static_cast<size_t>(axis)]);
  return order;
}

inline Permutation inverse(const Permutation& order) {
  Permutation back(order.size());
  for (size_t a = 0; a < order.size(); ++a) back[static_cast<size_t>(order[a])] = static_cast<int>(a);
  return back;
}

// What is left of an order if the axes of the output that are marked are gone, from both sides.
inline Permutation without(const Permutation& order, const std::vector<bool>& gone) {
  std::vector<int> rank_of(order.size());  // of an input axis among those that stay
  for (size_t a = 0; a < order.size(); ++a) rank_of[static_cast<size_t>(order[a])] = !gone[a];
  int next = 0;
  for (int& rank : rank_of) rank = rank ? next++ : -1;
  Permutation left;
  for (size_t a = 0; a < order.size(); ++a)
    if (!gone[a]) left.push_back(rank_of[static_cast<size_t>(order[a])]);
  return left;
}

// Of the Transpose from [batch, spatial..., channels] to [batch, channels, spatial...]; its inverse is that back.
inline Permutation order_to_channels_first(size_t rank) {
  Permutation order = {0, static_cast<int>(rank) - 1};
  for (size_t a = 1; a + 1 < rank; ++a) order.push_back(static_cast<int>(a));
  return order;
}

template <class List>
List permuted(const List& list, const Permutation& order) {
  List result;
  for (int axis : order) result.push_back(list[static_cast<size_t>(axis)]);
  return result;
}

// Whether a tensor of these dimensions lies in memory in either order in the same way: only axes of size 1 change places.
inline bool moves_only_ones(const Permutation& order, const Dims& dims) {
  int last = -1;
  for (int axis : order) {
    if (dims[static_cast<size_t>(axis)].size == 1) continue;
    if (axis < last) return false;
    last = axis;
  }
  return true;
}

// Of a Transpose whose input has this rank. Nothing if `perm` is no permutation.
inline std::optional<Permutation> permutation_of(const Node& node, size_t rank) {
  const NodeContext context(node);
  Permutation order(rank);
  if (!context.has_attribute("perm")) {
    for (size_t a = 0; a < rank; ++a) order[a] = static_cast<int>(rank - 1 - a);
    return order;
  }
  const std::vector<int64_t> given = context.get_ints("perm");
  if (given.size() != rank) return std::nullopt;
  std::vector<bool> seen(rank);
  for (size_t a = 0; a < rank; ++a) {
    const int64_t axis = given[a] < 0 ? given[a] + static_cast<int64_t>(rank) : given[a];
    if (axis < 0 || axis >= static_cast<int64_t>(rank) || seen[static_cast<size_t>(axis)]) return std::nullopt;
    seen[static_cast<size_t>(axis)] = true;
    order[a] = static_cast<int>(axis);
  }
  return order;
}

}  // namespace tandem
