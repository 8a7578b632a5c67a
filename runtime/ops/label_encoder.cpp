// ai.onnx.ml LabelEncoder (1, 2 and 4) and CategoryMapper (1): a table from keys to values, with a default for what it does not
// hold.
//
// Versions 2 and 4 name keys and values by type; 4 adds tensors of any type and takes a NaN key for every NaN. Version 1 and
// CategoryMapper map text to integers or back, whichever the input is not.
#include <memory>

#include "kernels/api/encoders.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes1[] = {"classes_strings", "default_int64", "default_string"};
constexpr std::string_view kAttributes2[] = {"default_float", "default_int64", "default_string", "keys_floats",   "keys_int64s",
                                             "keys_strings",  "values_floats", "values_int64s",  "values_strings"};
constexpr std::string_view kAttributes4[] = {"default_float", "default_int64", "default_string", "default_tensor",
                                             "keys_floats",   "keys_int64s",   "keys_strings",   "keys_tensor",
                                             "values_floats", "values_int64s", "values_strings", "values_tensor"};
constexpr std::string_view kMapperAttributes[] = {"cats_int64s", "cats_strings", "default_int64", "default_string"};

constexpr std::string_view kUnused = "_Unused";  // the default text of the specification

struct Table {
  Tensor keys, values;  // 1-D, as many of each
  Tensor fallback;      // a scalar like the values
};

template <class T>
Tensor list(const std::vector<T>& values) {
  return Tensor::of<T>({static_cast<int64_t>(values.size())}, values);
}
Tensor list(const std::vector<std::string>& values) {
  return Tensor::strings({static_cast<int64_t>(values.size())}, std::span<const std::string>(values));
}

// The one of <prefix>_strings, _int64s, _floats and _tensor that is there. An empty list counts as absent.
Tensor only_list(const NodeContext& node, const std::string& prefix) {
  Tensor found;
  const auto take = [&](Tensor candidate) {
    if (!candidate || candidate.elements() == 0) return;
    node.require(!found, "only one type of keys, and one of values, may be given", prefix);
    found = candidate.reshaped({candidate.elements()});
  };
  take(list(node.get_strings(prefix + "_strings")));
  take(list(node.get_ints(prefix + "_int64s")));
  take(list(node.get_floats(prefix + "_floats")));
  take(node.get_tensor(prefix + "_tensor"));
  node.require(static_cast<bool>(found), "no list is given of", prefix);
  return found;
}

Tensor text_scalar(std::string_view text) { return Tensor::strings({}, std::span<const std::string_view>(&text, 1)); }

Tensor fallback_of(const NodeContext& node, DType type) {
  if (const Tensor given = node.get_tensor("default_tensor")) {
    node.require(given.elements() == 1 && given.dtype() == type, "default_tensor must be one value of the values' type",
                 name(given.dtype()), name(type));
    return given.reshaped({});
  }
  if (type == DType::kString) return text_scalar(node.get_string("default_string", kUnused));
  if (type == DType::kI64) return Tensor::scalar<int64_t>(node.get_int("default_int64", -1));
  if (type == DType::kF32) return Tensor::scalar<float>(node.get_float("default_float", -0.0f));
  return visit_number(type,
                      [&]<class T>() { return Tensor::scalar<T>(std::is_floating_point_v<T> ? T(-0.0) : static_cast<T>(-1)); });
}

// Text to integer, or integer to text, by the type of the input.
Table either_way(const NodeContext& node, DType input, Tensor texts, Tensor numbers) {
  if (input == DType::kString)
    return {std::move(texts), std::move(numbers), Tensor::scalar<int64_t>(node.get_int("default_int64", -1))};
  return {std::move(numbers), std::move(texts), text_scalar(node.get_string("default_string", kUnused))};
}

Table table_1(const NodeContext& node, DType input) {
  const auto texts = node.get_strings("classes_strings");
  std::vector<int64_t> positions(texts.size());
  for (size_t i = 0; i < positions.size(); ++i) positions[i] = static_cast<int64_t>(i);
  return either_way(node, input, list(texts), list(positions));
}
Table table_2(const NodeContext& node, DType) {
  Table table = {only_list(node, "keys"), only_list(node, "values"), {}};
  table.fallback = fallback_of(node, table.values.dtype());
  return table;
}
Table mapper_table(const NodeContext& node, DType input) {
  return either_way(node, input, list(node.get_strings("cats_strings")), list(node.get_ints("cats_int64s")));
}

using MakeTable = Table (*)(const NodeContext&, DType);

template <MakeTable make>
void infer(InferenceContext& node) {
  const Table table = make(node, node.dtype(0));
  node.require(table.keys.elements() == table.values.elements(), "as many keys as values are needed (keys, values)",
               table.keys.elements(), table.values.elements());
  node.require_dtype(0, table.keys.dtype());
  node.set_output(0, table.values.dtype(), node.has_rank(0) ? std::optional(node.dims(0)) : std::nullopt);
}

template <MakeTable make, auto kernel>
BoundKernel bind(const BindContext& node) {
  const Table table = make(node, node.dtype(0));
  const auto keys = std::make_shared<const KeyIndex>(table.keys.view());
  return {
      .run = [keys, table](const KernelContext& context, Inputs in,
                           Outputs out) { kernel(context, in[0], out[0], *keys, table.values.view(), table.fallback.view()); },
      .constant_bytes = table.keys.bytes() + table.values.bytes()};
}

constexpr OpDef label_encoder_op_1 = {.name = "LabelEncoder",
                                      .domain = "ai.onnx.ml",
                                      .since = 1,
                                      .until = 2,
                                      .attributes = kAttributes1,
                                      .infer = infer<table_1>,
                                      .cpu = bind<table_1, cpu::encode_labels>,
                                      .cuda = on_cuda(bind<table_1, cuda::encode_labels>)};
constexpr OpDef label_encoder_op_2 = {.name = "LabelEncoder",
                                      .domain = "ai.onnx.ml",
                                      .since = 2,
                                      .until = 4,
                                      .attributes = kAttributes2,
                                      .infer = infer<table_2>,
                                      .cpu = bind<table_2, cpu::encode_labels>,
                                      .cuda = on_cuda(bind<table_2, cuda::encode_labels>)};
constexpr OpDef label_encoder_op_4 = {.name = "LabelEncoder",
                                      .domain = "ai.onnx.ml",
                                      .since = 4,
                                      .attributes = kAttributes4,
                                      .infer = infer<table_2>,
                                      .cpu = bind<table_2, cpu::encode_labels>,
                                      .cuda = on_cuda(bind<table_2, cuda::encode_labels>)};
constexpr OpDef category_mapper_op = {.name = "CategoryMapper",
                                      .domain = "ai.onnx.ml",
                                      .attributes = kMapperAttributes,
                                      .infer = infer<mapper_table>,
                                      .cpu = bind<mapper_table, cpu::encode_labels>,
                                      .cuda = on_cuda(bind<mapper_table, cuda::encode_labels>)};

constexpr const OpDef* kOps[] = {&label_encoder_op_1, &label_encoder_op_2, &label_encoder_op_4, &category_mapper_op};

}  // namespace

extern const OpFamily label_encoder_ops;
constinit const OpFamily label_encoder_ops = kOps;

}  // namespace tandem
