// ai.onnx.ml CastMap and DictVectorizer (1): a map becomes a row. Tandem has no maps: one is two tensors of one length, keys and
// values (value_type.h), and these ops are read as ONNX's own on them. No key is there twice, as in any map. Values of keys that
// have no column are put into one more, which is cut off.
#include <algorithm>
#include <unordered_map>

#include "runtime/onnx/contrib.h"

namespace tandem {
namespace {

constexpr std::string_view kCast[] = {"cast_to", "map_form", "max_map"};
constexpr std::string_view kVocabulary[] = {"int64_vocabulary", "string_vocabulary"};

enum Input { kKeys, kValues };

// A row of `columns` and one more, of 0 or "", with the values where `places` says.
ValueId scattered(ContribContext& node, ValueId values, ValueId places, int64_t columns) {
  Tensor nothing(node.dtype(values), {columns + 1});  // zeros
  return node.emit("ScatterElements", {node.constant(std::move(nothing)), places, values}, {{"axis", int64_t{0}}});
}

// Columns are the keys: from 0 on ("SPARSE"), or as many as there are, in their order.
void cast_map(ContribContext& node) {
  const std::string form = node.get_string("map_form", "DENSE"), to = node.get_string("cast_to", "TO_FLOAT");
  node.require(form == "DENSE" || form == "SPARSE", "map_form must be DENSE or SPARSE", form);
  node.require(to == "TO_FLOAT" || to == "TO_INT64" || to == "TO_STRING", "cast_to must be TO_FLOAT, TO_INT64 or TO_STRING", to);
  const ValueId keys = node.input(kKeys);
  node.require(node.dtype(keys) == DType::kI64, "the keys must be i64", name(node.dtype(keys)));
  const DType type = to == "TO_FLOAT" ? DType::kF32 : to == "TO_INT64" ? DType::kI64 : DType::kString;
  const ValueId values = node.cast(node.input(kValues), type);
  if (form == "DENSE") {
    const auto sorted =
        node.emit_many("TopK", {keys, node.size_value(keys, 0, true)}, 2, {{"largest", int64_t{0}}, {"axis", int64_t{0}}});
    return node.set_output(0, node.reshape(node.emit("Gather", {values, sorted[1]}), {1, -1}));
  }
  const int64_t columns = node.get_int("max_map", 1);
  node.require(columns >= 1 && columns < INT32_MAX, "max_map must be from 1 to 2^31 - 2", columns);
  const auto number = [&](int64_t value) { return node.constant(Tensor::scalar<int64_t>(value)); };
  const ValueId inside = node.emit("Min", {keys, number(columns)});
  const ValueId negative = node.emit("Less", {keys, number(0)});
  const ValueId places = node.emit("Where", {negative, number(columns + 1), inside});  // a negative key is refused by the scatter
  node.set_output(0, node.unsqueeze(node.slice(scattered(node, values, places, columns), 0, 0, columns), {0}));
}

// Columns are the entries of a vocabulary, in which an entry may stand twice.
template <class T>
void vectorize(ContribContext& node, const std::vector<T>& vocabulary, std::string_view attribute) {
  std::unordered_map<T, int64_t> places;
  std::vector<T> unique;
  std::vector<int64_t> columns, numbers;
  for (const T& entry : vocabulary) {
    const auto [found, is_new] = places.emplace(entry, static_cast<int64_t>(unique.size()));
    columns.push_back(found->second);
    if (!is_new) continue;
    numbers.push_back(static_cast<int64_t>(unique.size()));
    unique.push_back(entry);
  }
  const auto none = static_cast<int64_t>(unique.size());
  Attributes table = {{"values_int64s", numbers}, {"default_int64", none}};
  table[std::string(attribute)] = unique;
  const ValueId found = node.emit("LabelEncoder", {node.input(kKeys)}, std::move(table), "ai.onnx.ml");
  const ValueId row = scattered(node, node.input(kValues), found, none);
  node.set_output(0, node.unsqueeze(node.emit("Gather", {row, node.ints(columns)}), {0}));
}

void vectorize_map(ContribContext& node) {
  const auto texts = node.get_strings("string_vocabulary");
  const auto numbers = node.get_ints("int64_vocabulary");
  node.require(texts.empty() != numbers.empty(), "one vocabulary is needed, of strings or of integers (strings, integers)",
               texts.size(), numbers.size());
  const DType keys = node.dtype(node.input(kKeys));
  node.require(keys == (texts.empty() ? DType::kI64 : DType::kString), "the keys must be of the vocabulary's type", name(keys));
  if (texts.empty())
    vectorize(node, numbers, "keys_int64s");
  else
    vectorize(node, texts, "keys_strings");
}

constexpr ContribOp kOps[] = {contrib_op("CastMap", 2, 2, 1, kCast, cast_map, "ai.onnx.ml"),
                              contrib_op("DictVectorizer", 2, 2, 1, kVocabulary, vectorize_map, "ai.onnx.ml")};

}  // namespace

bool takes_maps(const OpDef& def) {
  return std::ranges::any_of(kOps, [&](const ContribOp& op) { return &op.def == &def; });
}

constinit const ContribFamily contrib_map_ops = kOps;

}  // namespace tandem
