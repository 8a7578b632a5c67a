#include "runtime/passes/transposed_reshape.h"

#include "runtime/ops/dim_sum.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

bool is_one(const Dim& dim) { return dim.size == 1; }
bool is_usable(const Dim& dim) { return dim.known() ? dim.size > 0 : !is_unknown(dim); }

// a * b; unknown if it is too large.
Dim joined(const Dim& a, const Dim& b) {
  int64_t all = 0;
  if (!a.known() || !b.known()) return product(Dims{a, b});
  return __builtin_mul_overflow(a.size, b.size, &all) ? Dim() : Dim(all);
}

// The axes of input and output from i and o on that hold the same elements.
struct Group {
  size_t i = 0, i_end = 0, o = 0, o_end = 0;
};

std::optional<Group> next_group(const Dims& from, const Dims& to, size_t i, size_t o) {
  if (i == from.size() || o == to.size()) return std::nullopt;
  Group group{i, i + 1, o, o + 1};
  Dim left = from[i], right = to[o];
  while (is_usable(left) && is_usable(right)) {
    if (left == right) return group;
    const bool cuts = quotient(left, right) != Dim(), joins = quotient(right, left) != Dim();
    if (cuts && group.o_end < to.size())
      right = joined(right, to[group.o_end++]);
    else if (joins && group.i_end < from.size())
      left = joined(left, from[group.i_end++]);
    else
      return std::nullopt;
  }
  return std::nullopt;
}

std::optional<std::vector<Group>> groups_of(const Dims& from, const Dims& to) {
  std::vector<Group> groups;
  size_t i = 0, o = 0;
  while (i < from.size()) {
    const auto group = next_group(from, to, i, o);
    if (!group) return std::nullopt;
    groups.push_back(*group);
    i = group->i_end, o = group->o_end;
  }
  for (; o < to.size() && is_one(to[o]) && !groups.empty(); ++o) ++groups.back().o_end;
  return o == to.size() ? std::optional(groups) : std::nullopt;
}

}  // namespace

std::optional<TransposedReshape> transposed_reshape(const Dims& from, const Dims& to, const Permutation& order) {
  const auto groups = groups_of(from, to);
  if (!groups) return std::nullopt;
  std::vector<std::pair<size_t, size_t>> pieces(order.size());  // of an axis before the Transpose: axes [first, last) of the output
  for (const Group& group : *groups) {
    for (size_t a = group.i + 1; a < group.i_end; ++a)
      if (order[a] != order[a - 1] + 1) return std::nullopt;
    pieces[static_cast<size_t>(order[group.i])] = {group.o, group.o_end};
  }
  Permutation back;  // axes of the output in the order before the Transpose
  for (const auto& [first, last] : pieces)
    for (size_t a = first; a < last; ++a) back.push_back(static_cast<int>(a));
  const auto target = reshape_target(permuted(from, inverse(order)), permuted(to, back));
  if (!target) return std::nullopt;
  return TransposedReshape{inverse(back), *target};
}

}  // namespace tandem
