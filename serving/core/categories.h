// The texts that a model knows, by input: what a OneHotEncoder or a LabelEncoder behind a text input was fitted on.
// Anything else a client sends gets the encoder's defined answer (all zeros, the default value), and is counted.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "runtime/graph/graph.h"

namespace tandem {

using CategorySet = std::set<std::string, std::less<>>;

class Categories {
 public:
  // Follows each text input through nodes that hand texts on (Reshape, Identity, Where, ...) to the encoders that read them.
  // Texts that the graph compares the input with (a marker of missing values) count as known. An input without an encoder has no
  // entry.
  static Categories of(const Graph& graph);

  const std::map<std::string, CategorySet, std::less<>>& by_input() const { return by_input_; }
  // How many elements of `texts` are unknown to this input; 0 if the input has no encoder, or `texts` are no strings.
  int64_t count_unknown(std::string_view input, ConstTensorView texts) const;

 private:
  std::map<std::string, CategorySet, std::less<>> by_input_;
};

}  // namespace tandem
