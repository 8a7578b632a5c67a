// Which rows train, validate and test: stratified by class, decided by the rows' content.
//
// Within each class (all rows, if the target is no class) rows are ordered by a keyed hash of their digest; the first round(n *
// test) test, the next round(n * validation) validate, the rest train. So the split depends on the seed and the set of rows, not
// on their order in the file. Identical rows (features and label) have the same hash and always land on one side; the counts give
// way for that.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "models/data/dataset.h"

namespace tandem {

struct SplitOptions {
  double test = 0.2;  // shares of all rows, each in [0, 1), together below 1
  double validation = 0.1;
  uint64_t seed = 0;
};

struct Split {
  std::vector<int64_t> train;  // ascending row numbers
  std::vector<int64_t> validation;
  std::vector<int64_t> test;
  std::string id;  // SHA-256 of every row's digest and side, in digest order: equal for the same assignment of the same rows
};

// Throws InvalidArgument for shares out of range, or if a side with a share above 0, or training, gets no row.
Split split_rows(const Dataset& data, const SplitOptions& options);

}  // namespace tandem
