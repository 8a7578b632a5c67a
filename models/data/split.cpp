#include "models/data/split.h"

#include <algorithm>
#include <cmath>

#include "kernels/base/error.h"
#include "kernels/base/philox.h"
#include "runtime/io/file.h"

namespace tandem {
namespace {

enum Side : char { kTrain = 0, kValidation = 1, kTest = 2 };

struct KeyedRow {
  std::array<uint32_t, 4> key;  // Philox of the digest under the seed
  Digest digest;
  int64_t row;
  // Equal rows are neighbours; among them the row number decides nothing but the order in memory.
  auto operator<=>(const KeyedRow&) const = default;
};

// The end of the run of `wanted` rows starting at `first`, moved past rows equal to the last one taken.
size_t end_of_share(const std::vector<KeyedRow>& rows, size_t first, size_t wanted) {
  size_t end = std::min(first + wanted, rows.size());
  while (end > first && end < rows.size() && rows[end].digest == rows[end - 1].digest) ++end;
  return end;
}

std::string split_id(const std::vector<KeyedRow>& rows, const std::vector<Side>& sides) {
  std::vector<std::string> entries;
  for (const KeyedRow& row : rows) {
    std::string entry(reinterpret_cast<const char*>(row.digest.data()), sizeof(Digest));
    entries.push_back(entry += sides[static_cast<size_t>(row.row)]);
  }
  std::sort(entries.begin(), entries.end());
  std::string all;
  for (const std::string& entry : entries) all += entry;
  return sha256(all);
}

}  // namespace

Split split_rows(const Dataset& data, const SplitOptions& options) {
  const auto is_share = [](double share) { return share >= 0 && share < 1; };
  require(is_share(options.test) && is_share(options.validation) && options.test + options.validation < 1,
          "split shares must lie in [0, 1) and leave some rows for training", options.test, options.validation);
  const Target& target = data.target();
  const size_t strata = target.kind == TargetKind::kClass ? target.class_names.size() : 1;
  std::vector<std::vector<KeyedRow>> rows_of(strata);
  std::vector<KeyedRow> all;
  for (int64_t row = 0; row < data.rows(); ++row) {
    const Digest digest = data.digest(row);
    all.push_back({philox(options.seed, digest[0], digest[1]), digest, row});
    rows_of[strata == 1 ? 0 : static_cast<size_t>(target.classes[static_cast<size_t>(row)])].push_back(all.back());
  }

  std::vector<Side> sides(all.size(), kTrain);
  for (std::vector<KeyedRow>& rows : rows_of) {
    std::sort(rows.begin(), rows.end());
    const auto share = [&](double part) { return static_cast<size_t>(std::llround(part * static_cast<double>(rows.size()))); };
    const size_t test_end = end_of_share(rows, 0, share(options.test));
    const size_t validation_end = end_of_share(rows, test_end, share(options.validation));
    for (size_t i = 0; i < validation_end; ++i) sides[static_cast<size_t>(rows[i].row)] = i < test_end ? kTest : kValidation;
  }

  Split split;
  for (size_t row = 0; row < sides.size(); ++row)
    (sides[row] == kTrain  ? split.train
     : sides[row] == kTest ? split.test
                           : split.validation)
        .push_back(static_cast<int64_t>(row));
  split.id = split_id(all, sides);
  require(!split.train.empty(), "no rows are left for training", data.rows());
  require(options.test == 0 || !split.test.empty(), "too few rows for a test split", data.rows());
  require(options.validation == 0 || !split.validation.empty(), "too few rows for a validation split", data.rows());
  return split;
}

}  // namespace tandem
