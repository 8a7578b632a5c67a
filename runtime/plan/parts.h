// Where ops that only copy would find, or leave, what they copy: a part of a tensor that lies there in one piece needs no copy.
//
// An offset must hold for every run of the plan, not only at the bounds. A dimension that is 1 at its bound is 1 or leaves nothing to be read.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "runtime/graph/graph.h"

namespace tandem {

class Parts {
 public:
  // `shapes` are those at the bounds, indexed by ValueId.
  Parts(const Graph& graph, std::span<const Shape> shapes);

  // The byte at which output `output` of a Slice, Split or Gather (of one index) begins in input 0. Nothing if it is not in one piece, or the
  // offset is not known.
  std::optional<int64_t> offset_in_input(const Node& node, size_t output) const;
  // The byte at which input `input` of a Concat begins in the output. Nothing if it is not in one piece there, or the offset is not known.
  std::optional<int64_t> offset_in_output(const Node& node, size_t input) const;

 private:
  struct Axis;
  const Shape& shape(ValueId id) const { return shapes_[static_cast<size_t>(id)]; }
  bool is_known(ValueId id, int axis) const;
  bool is_fixed(ValueId id, int axis) const;  // or at most 1: what is 0 in a run has no parts either
  std::optional<int64_t> bytes_behind(ValueId id, int axis) const;
  bool is_one_row(ValueId id, int axis) const;
  std::optional<int64_t> slice_offset(const Node& node) const;
  std::optional<int64_t> gather_offset(const Node& node) const;
  std::optional<int64_t> split_offset(const Node& node, size_t output) const;
  std::optional<int64_t> offset_of(ValueId whole, std::span<const Axis> axes) const;

  const Graph& graph_;
  std::span<const Shape> shapes_;
  bool all_fixed_;  // no input of the graph has a symbol
};

}  // namespace tandem
