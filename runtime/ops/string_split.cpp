// StringConcat and StringSplit (ONNX 20). Their text is new: the tensors they make own it.
#include <string>

#include "kernels/api/movement.h"
#include "runtime/graph/evaluate_context.h"
#include "runtime/graph/op_def.h"

namespace tandem {
namespace {

constexpr std::string_view kSplit[] = {"delimiter", "maxsplit"};
constexpr std::string_view kBlanks = " \t\n\v\f\r";

void infer_concat(InferenceContext& node) {
  node.require_dtype(0, DType::kString);
  node.require_dtype(1, DType::kString);
  node.set_output(0, DType::kString, node.broadcast_dims(0, 1));
}

Tensor expanded(const EvaluateContext& node, const Tensor& x, const Shape& shape) {
  if (x.shape() == shape) return x;
  Tensor y(DType::kString, shape);
  cpu::expand({.threads = node.threads()}, x.view(), y.view());
  return y;
}

void evaluate_concat(EvaluateContext& node) {
  const Shape shape = broadcast(node.tensor(0).shape(), node.tensor(1).shape());
  const Tensor a = expanded(node, node.tensor(0), shape), b = expanded(node, node.tensor(1), shape);
  std::vector<std::string> joined;
  joined.reserve(static_cast<size_t>(shape.elements()));
  for (size_t i = 0; i < static_cast<size_t>(shape.elements()); ++i)
    joined.push_back(std::string(a.as<std::string_view>()[i]).append(b.as<std::string_view>()[i]));
  node.set_output(0, Tensor::strings(shape, joined));
}

void infer_split(InferenceContext& node) {
  node.require_dtype(0, DType::kString);
  std::optional<Dims> parts, counts;
  if (node.has_rank(0)) {
    counts = node.dims(0);
    parts = counts;
    parts->push_back(Dim());
  }
  node.set_output(0, DType::kString, std::move(parts));
  node.set_output(1, DType::kI64, std::move(counts));
}

using Parts = std::vector<std::string_view>;

// At most `most` cuts. Delimiters next to each other have empty text between them.
Parts split_at(std::string_view text, std::string_view delimiter, size_t most) {
  Parts parts;
  for (size_t cuts = 0; cuts < most; ++cuts) {
    const size_t at = text.find(delimiter);
    if (at == std::string_view::npos) break;
    parts.push_back(text.substr(0, at));
    text.remove_prefix(at + delimiter.size());
  }
  parts.push_back(text);
  return parts;
}

// At runs of white space; that at the ends is dropped, also from what a limit leaves whole.
Parts split_at_blanks(std::string_view text, size_t most) {
  Parts parts;
  while (true) {
    const size_t start = text.find_first_not_of(kBlanks);
    if (start == std::string_view::npos) return parts;
    text.remove_prefix(start);
    const size_t end = text.find_first_of(kBlanks);
    if (end == std::string_view::npos || parts.size() == most) break;
    parts.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  if (parts.size() < most) text = text.substr(0, text.find_first_of(kBlanks));
  const size_t last = text.find_last_not_of(kBlanks);
  parts.push_back(text.substr(0, last + 1));
  return parts;
}

void evaluate_split(EvaluateContext& node) {
  const Tensor& x = node.tensor(0);
  const std::string delimiter = node.get_string("delimiter", "");
  const int64_t limit = node.get_int("maxsplit", -1);
  const size_t most = limit < 0 ? SIZE_MAX : static_cast<size_t>(limit);
  std::vector<Parts> rows;
  size_t width = 0;
  Tensor counts(DType::kI64, x.shape());
  for (std::string_view text : x.as<std::string_view>()) {
    rows.push_back(delimiter.empty() ? split_at_blanks(text, most) : split_at(text, delimiter, most));
    width = std::max(width, rows.back().size());
    counts.as<int64_t>()[rows.size() - 1] = static_cast<int64_t>(rows.back().size());
  }
  Shape shape = x.shape();
  shape.push_back(static_cast<int64_t>(width));
  checked_mul(x.elements(), static_cast<int64_t>(width), "parts of text");
  Parts all;
  for (Parts& row : rows) {
    row.resize(width);
    all.insert(all.end(), row.begin(), row.end());
  }
  node.set_output(0, Tensor::strings(shape, std::span<const std::string_view>(all)));
  node.set_output(1, std::move(counts));
}

constexpr OpDef string_concat_op = {
    .name = "StringConcat", .since = 20, .min_inputs = 2, .max_inputs = 2, .infer = infer_concat, .evaluate = evaluate_concat};
constexpr OpDef string_split_op = {
    .name = "StringSplit", .since = 20, .max_outputs = 2, .attributes = kSplit, .infer = infer_split, .evaluate = evaluate_split};

constexpr const OpDef* kOps[] = {&string_concat_op, &string_split_op};

}  // namespace

extern const OpFamily string_split_ops;
constinit const OpFamily string_split_ops = kOps;

}  // namespace tandem
