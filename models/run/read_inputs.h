// Files as feeds of a graph: what `tandem run --input` accepts.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "runtime/train/trainer.h"

namespace tandem {

// Each spec is "name=rows.npy" for one input, or a file whose arrays or columns bear the inputs' names: rows.npz, rows.json (a
// list of objects, or an object of lists), rows.csv (.gz, .xz). Columns become [rows, 1] or [rows], as the input asks; a number
// column feeds f32, a text column strings. Columns that no input asks for are ignored. Throws InvalidArgument naming the input
// that got nothing, or a spec that fits no input.
Feed read_inputs(const Graph& graph, const std::vector<std::string>& specs);

// The names that the specs say themselves ("name=rows.npy", the arrays of a .npz): inputs with a default are then read in its place.
std::set<std::string, std::less<>> names_given(const std::vector<std::string>& specs);

}  // namespace tandem
