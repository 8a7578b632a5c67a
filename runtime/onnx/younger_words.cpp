#include "runtime/onnx/younger_words.h"

#include <algorithm>
#include <variant>

#include "runtime/graph/op_def.h"

namespace tandem {
namespace {

struct Ones {};     // a list of ones, of whatever length
struct Nothing {};  // whatever it says has no older form

struct YoungerWord {
  std::string_view op, word;
  int since;
  std::variant<int64_t, std::string_view, Ones, Nothing> neutral = Nothing{};  // what its absence means
  size_t input = 0;                                                            // not 0: an input, not an attribute
};

// From opset 12 on, as ONNX's schemas have them.
constexpr YoungerWord kWords[] = {
    {"ArgMax", "select_last_index", 12, int64_t{0}},
    {"ArgMin", "select_last_index", 12, int64_t{0}},
    {"AveragePool", "dilations", 19, Ones{}},
    {"Cast", "round_mode", 24, "up"},
    {"Cast", "saturate", 19, int64_t{1}},
    {"CastLike", "round_mode", 24, "up"},
    {"CastLike", "saturate", 19, int64_t{1}},
    {"DequantizeLinear", "axis", 13, int64_t{1}},
    {"DequantizeLinear", "block_size", 21, int64_t{0}},
    {"DequantizeLinear", "output_dtype", 23, int64_t{0}},
    {"GRU", "layout", 14, int64_t{0}},
    {"GatherND", "batch_dims", 12, int64_t{0}},
    {"LSTM", "layout", 14, int64_t{0}},
    {"LpPool", "ceil_mode", 18, int64_t{0}},
    {"LpPool", "dilations", 18, Ones{}},
    {"Pad", "axes", 18, Nothing{}, 3},
    {"QuantizeLinear", "axis", 13, int64_t{1}},
    {"QuantizeLinear", "block_size", 21, int64_t{0}},
    {"QuantizeLinear", "output_dtype", 21, int64_t{0}},
    {"QuantizeLinear", "precision", 23, int64_t{0}},
    {"QuantizeLinear", "saturate", 19, int64_t{1}},
    {"RNN", "layout", 14, int64_t{0}},
    {"Range", "stash_type", 27, int64_t{1}},
    {"Reshape", "allowzero", 14, int64_t{0}},
    {"Resize", "antialias", 18, int64_t{0}},
    {"Resize", "axes", 18},
    {"Resize", "keep_aspect_ratio_policy", 18, "stretch"},
    {"Shape", "end", 15},
    {"Shape", "start", 15, int64_t{0}},
    {"SpaceToDepth", "mode", 28, "DCR"},
};

bool is_neutral(const YoungerWord& word, const Attribute& said) {
  if (const auto* number = std::get_if<int64_t>(&said)) {
    const auto* neutral = std::get_if<int64_t>(&word.neutral);
    return neutral && *number == *neutral;
  }
  if (const auto* text = std::get_if<std::string>(&said)) {
    const auto* neutral = std::get_if<std::string_view>(&word.neutral);
    return neutral && *text == *neutral;
  }
  const auto* list = std::get_if<std::vector<int64_t>>(&said);
  return list && std::holds_alternative<Ones>(word.neutral) && std::ranges::all_of(*list, [](int64_t n) { return n == 1; });
}

bool is_said(const YoungerWord& word, const Node& node) {
  if (word.input == 0) return node.attributes.contains(word.word);
  return node.inputs.size() > word.input && node.inputs[word.input] != kNoValue;
}

// Whether its absence would mean the same.
bool is_neutral(const YoungerWord& word, const Node& node) {
  return word.input == 0 && is_neutral(word, node.attributes.find(word.word)->second);
}

// Calls f for each word of the node that `opset` does not have.
template <class F>
void for_each_younger(const Node& node, int opset, F f) {
  if (!node.def->domain.empty()) return;
  for (const YoungerWord& word : kWords)
    if (word.op == node.def->name && opset < word.since && is_said(word, node)) f(word);
}

}  // namespace

void drop_younger_words(Node& node, int opset) {
  for_each_younger(node, opset, [&](const YoungerWord& word) {
    if (is_neutral(word, node)) node.attributes.erase(node.attributes.find(word.word));
  });
}

int first_opset_with_words(const Node& node) {
  int first = 1;
  for_each_younger(node, 1,
                   [&](const YoungerWord& word) { first = is_neutral(word, node) ? first : std::max(first, word.since); });
  return first;
}

std::string_view younger_word(const Node& node, int opset) {
  std::string_view first;
  for_each_younger(node, opset, [&](const YoungerWord& word) { first = first.empty() ? word.word : first; });
  return first;
}

}  // namespace tandem
