// Which values share memory, and for how long each piece of memory is needed.
#pragma once

#include <span>
#include <vector>

#include "runtime/plan/plan.h"

namespace tandem {

// A piece of memory of its own: of the caller, of a constant, of a state, or a block of the arena.
struct Storage {
  Placement placement = Placement::kArena;
  ValueId owner = kNoValue;  // the value it was made for
  int64_t bytes = 0;
  int first = 0, last = -1;  // steps between which it is needed, inclusive
};

struct StorageMap {
  struct Place {
    int storage = -1;    // index into storages; -1: never materialised
    int64_t offset = 0;  // bytes from its start
  };
  std::vector<Storage> storages;
  std::vector<Place> places;  // indexed by ValueId
  std::vector<bool> in_place; // by node: it would copy, but all that it makes lies in its place already
};

// Views share the memory they look at, updates that of their state, in-place outputs that of an input nobody needs any more, and
// the inputs of tandem.Pack and Concat lie inside its output. What is a part of a tensor in one piece (parts.h) is a view of it, unless that
// keeps more memory alive; so it is with the inputs of Concat. What shares memory lies in one space: values cross by copies only.
// `dynamic` values (indexed by ValueId) have no storage: a run makes it.
// `has_feeds`: what brings an input of the graph to a GPU writes into the executor's feed buffer.
StorageMap assign_storage(const Graph& graph, std::span<const Shape> shapes, const std::vector<bool>& dynamic, bool has_feeds);

}  // namespace tandem
