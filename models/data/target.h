// What a model is to predict: a class or a number for each row.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tandem {

enum class TargetKind { kNone, kClass, kValue };

struct Target {
  TargetKind kind = TargetKind::kNone;
  std::vector<int64_t> classes = {};          // kClass: 0 .. class_names.size() - 1, one a row
  std::vector<std::string> class_names = {};  // kClass: by id; of two classes the second is the positive one
  std::vector<float> values = {};             // kValue: one a row
};

// Class ids from the labels as text. `names` fixes the ids: the labels' own texts in order, or, for labels 0 .. k-1, names to
// show for them. Without `names` the distinct labels sort as integers if all are, else as text. Throws InvalidArgument naming the
// row for a missing or unexpected label, or if there are fewer than two classes.
Target class_target(const std::vector<std::string>& labels, const std::vector<std::string>& names);
Target class_target(const std::vector<int64_t>& labels, const std::vector<std::string>& names);

// Throws InvalidArgument naming the row for a value that is not finite as f32.
Target value_target(const std::vector<double>& values);

}  // namespace tandem
