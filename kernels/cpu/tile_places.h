// Where the instructions of a tile program leave their results: an output's own tile, or a register.
//
// A result that is no output waits in the tile of one that is made later, if it may: then a chain of instructions takes no memory but its
// output's. Else linear scan: a register is free again after the last instruction that reads it. The first output may be the memory of any input
// of its shape and element size, so nothing waits there before the last read of such inputs.
#pragma once

#include <span>
#include <vector>

#include "kernels/api/tile_program.h"

namespace tandem::cpu {

struct TilePlace {
  int output = -1;  // in whose tile the result lies
  int reg = -1;     // else: in which register
};

struct TilePlaces {
  std::vector<TilePlace> results;  // of the instructions
  int registers = 0;
  bool last_is_copied = false;  // the last result waits in its register until the tile is done
};

// `sizes`: for each input the bytes of an element if it has the shape of the outputs; 0 if it is broadcast.
TilePlaces place_results(const TileProgram&, std::span<const size_t> sizes);

}  // namespace tandem::cpu
