// Lists of axes, starts, pads and the like, which ONNX passes as attributes in old versions and as small integer tensors in new
// ones.
#pragma once

#include <array>

#include "runtime/graph/contexts.h"

namespace tandem {

// At most two numbers an axis (Pad), held inline: kernels read them on every run and must not allocate.
class IndexList {
 public:
  static constexpr size_t kMost = 2 * Shape::kMaxRank;

  IndexList() = default;
  explicit IndexList(std::span<const int64_t> values) {
    for (int64_t value : values) push_back(value);
  }
  // The elements of an i32 or i64 tensor. Throws InvalidArgument for another type or more than kMost of them.
  explicit IndexList(ConstTensorView view) {
    if (view.dtype == DType::kI32)
      for (int32_t value : view.as<int32_t>()) push_back(value);
    else
      for (int64_t value : view.as<int64_t>()) push_back(value);
  }

  void push_back(int64_t value) {
    require(size_ < kMost, "more indices than two an axis", kMost);
    values_[size_++] = value;
  }
  size_t size() const { return size_; }
  int64_t operator[](size_t i) const { return values_[i]; }
  int64_t& operator[](size_t i) { return values_[i]; }
  operator std::span<const int64_t>() const { return {values_.data(), size_}; }
  std::span<const int64_t> first(size_t n) const { return {values_.data(), n}; }

 private:
  size_t size_ = 0;
  std::array<int64_t, kMost> values_{};
};

// The list in input i as far as the graph tells: all numbers or nothing. In what the graph computes, an unknown dimension looks
// like -1, which is a number in constants only (plans make constants of what they have computed).
inline std::optional<std::vector<int64_t>> known_indices(const InferenceContext& node, int i) {
  const auto content = node.content(i);
  if (!content) return std::nullopt;
  const bool exact = node.constant(i) != nullptr;
  std::vector<int64_t> values;
  for (const Dim& dim : *content) {
    if (!dim.symbol.empty() || (!exact && dim == Dim())) return std::nullopt;
    values.push_back(dim.size);
  }
  return values;
}

// Throws unless every axis is in [-rank, rank) and named once; returns them as bits.
inline uint32_t axis_mask(const NodeContext& node, std::span<const int64_t> axes, int rank) {
  uint32_t mask = 0;
  for (int64_t axis : axes) {
    const uint32_t bit = uint32_t{1} << node.normalized_axis(axis, rank);
    node.require(!(mask & bit), "an axis is named twice", axis);
    mask |= bit;
  }
  return mask;
}

}  // namespace tandem
