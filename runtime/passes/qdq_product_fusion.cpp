// Products and convolutions between DequantizeLinear and QuantizeLinear as one node on integers:
//
//   DQ(x), DQ(w), DQ(b) or b -> Conv | MatMul | Gemm (-> Add of a bias) (-> Relu | Clip) -> Q   =>   tandem.QuantizedConv |
//   QuantizedMatMul
//
// whose result is that of these nodes in exact arithmetic (kernels/api/requantize.h). What DQ makes may have other readers, and
// what Q makes too; what lies between may not. Left alone: operands whose scales are no constants, in blocks or of another type
// than f32; sums that may not fit i32; a Gemm with factors or a transposed A.
#include <algorithm>
#include <cmath>
#include <limits>

#include "runtime/graph/contexts.h"
#include "runtime/ops/all_ops.h"
#include "runtime/passes/pass.h"
#include "runtime/passes/quantized_values.h"

namespace tandem {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Clamp {
  float lowest = -kInfinity, highest = kInfinity;
};

// A match from its last node back.
struct Match {
  const Node* linear = nullptr;  // Conv, MatMul or Gemm
  QuantizedForm x, w, y;
  ValueId bias = kNoValue, bias_scale = kNoValue;
  Clamp clamp;
  std::vector<ValueId> leaves;
  std::string obstacle;  // why it is none, where it nearly was one
};

bool is_linear(const Node& node) {
  return PatternGraph::is(node, "Conv") || PatternGraph::is(node, "MatMul") || PatternGraph::is(node, "Gemm");
}

// The largest |q - zero| of a form's integers.
int64_t largest_difference(const Graph& graph, const QuantizedForm& form) {
  const bool is_signed = graph.value(form.integers).type.dtype == DType::kI8;
  const int64_t low = is_signed ? -128 : 0, high = is_signed ? 127 : 255;
  if (!form.per_tensor() && form.zero != kNoValue) return 255;
  const int64_t zero = form.per_tensor() ? zero_number(graph, form) : 0;
  return std::max(zero - low, high - zero);
}

Tensor transposed(const Tensor& matrix) {
  const int64_t rows = matrix.shape()[0], columns = matrix.shape()[1];
  Tensor result(matrix.dtype(), {columns, rows});
  const std::byte* from = matrix.view().data;
  std::byte* to = result.view().data;
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < columns; ++j) to[j * rows + i] = from[i * columns + j];
  return result;
}

class Fusion {
 public:
  Fusion(Graph& graph, PassNotes& notes) : graph_(graph), notes_(notes), pattern_(graph) {}

  int run() {
    int changes = 0;
    for (size_t n = 0; n < graph_.nodes.size(); ++n) changes += fuse(n);
    pattern_.finish();
    if (changes > 0) dead_code_pass.apply(graph_);
    return changes;
  }

 private:
  bool fuse(size_t anchor) {
    const auto y = quantized_form(graph_, graph_.nodes[anchor]);
    if (!y) return false;
    Match match;
    match.y = *y;
    if (!read(graph_.nodes[anchor].inputs[0], match)) return false;
    if (match.obstacle.empty()) {
      const Cut cut = pattern_.cut(anchor, match.leaves);
      match.obstacle = cut.obstacle;
      if (cut) {
        pattern_.replace(anchor, cut, fused_node(match));
        return true;
      }
    }
    notes_.near_miss(graph_, *match.linear, "not run on integers: " + match.obstacle);
    return false;
  }

  // Whether there is a product or convolution with a dequantized operand; all else is an obstacle.
  bool read(ValueId value, Match& match) {
    const Node* node = read_clamp(pattern_.maker(value), match.clamp);
    ValueId addend = kNoValue;
    if (node && PatternGraph::is(*node, "Add")) {
      const Node* left = pattern_.maker(node->inputs[0]);
      const bool is_left = left && is_linear(*left);
      addend = node->inputs[is_left ? 1 : 0];
      node = is_left ? left : pattern_.maker(node->inputs[1]);
    }
    if (!node || !is_linear(*node)) return false;
    match.linear = node;
    if (!read_operand(node->inputs[0], match.x, match) | !read_operand(node->inputs[1], match.w, match)) {
      if (match.leaves.empty()) return false;
      match.obstacle = "one of its operands is not DequantizeLinear of 8-bit integers by constant scales";
      return true;
    }
    match.obstacle = PatternGraph::is(*node, "Conv") ? obstacle_of_conv(match) : obstacle_of_product(match);
    if (match.obstacle.empty()) match.obstacle = read_bias(addend, match);
    return true;
  }

  const Node* read_clamp(const Node* node, Clamp& clamp) {
    if (node && PatternGraph::is(*node, "Relu")) {
      clamp.lowest = 0;
      return pattern_.maker(node->inputs[0]);
    }
    if (!node || !PatternGraph::is(*node, "Clip")) return node;
    const NodeContext context(*node);
    const auto bound = [&](int input, std::string_view attribute, float fallback) -> std::optional<float> {
      if (!context.has_input(input)) return context.get_float(attribute, fallback);
      const auto number = pattern_.number(node->inputs[static_cast<size_t>(input)]);
      return number ? std::optional(static_cast<float>(*number)) : std::nullopt;
    };
    const auto low = bound(1, "min", -kInfinity), high = bound(2, "max", kInfinity);
    if (!low || !high || !(*low <= *high)) return node;
    clamp = {*low, *high};
    return pattern_.maker(node->inputs[0]);
  }

  bool read_operand(ValueId value, QuantizedForm& form, Match& match) {
    const Node* node = pattern_.maker(value, "DequantizeLinear");
    const auto found = node ? dequantized_form(graph_, *node) : std::nullopt;
    if (!found) return false;
    form = *found;
    match.leaves.push_back(value);
    return true;
  }

  std::string obstacle_of_sums(const Match& match, const Dims& w, size_t first, size_t last) const {
    int64_t terms = 1;
    for (size_t axis = first; axis < last; ++axis) {
      if (!w[axis].known()) return "the number of terms of its sums is not known";
      terms *= std::max<int64_t>(1, w[axis].size);
    }
    const int64_t each = largest_difference(graph_, match.x) * largest_difference(graph_, match.w);
    return terms > std::numeric_limits<int32_t>::max() / each ? "its sums may not fit 32 bits" : "";
  }

  std::string obstacle_of_conv(const Match& match) const {
    if (!match.x.per_tensor()) return "its input has more than one scale";
    if (!match.w.per_tensor() && match.w.axis != 0) return "the scales of its weight are not one a filter";
    const auto& w = pattern_.type(match.w.integers).dims;
    if (!w || !pattern_.type(match.x.integers).dims) return "the rank of an operand is not known";
    return obstacle_of_sums(match, *w, 1, w->size());
  }

  std::string obstacle_of_product(const Match& match) const {
    const NodeContext context(*match.linear);
    const auto &a = pattern_.type(match.x.integers).dims, &b = pattern_.type(match.w.integers).dims;
    if (!a || !b || a->size() < 2 || b->size() < 2) return "an operand is a vector, or its rank is not known";
    const bool transposed_b = context.get_int("transB", 0) != 0;
    if (context.get_float("alpha", 1) != 1 || context.get_int("transA", 0) != 0) return "alpha is not 1, or A is transposed";
    if (transposed_b && graph_.value(match.w.integers).kind != ValueKind::kConstant) return "B is transposed and no constant";
    if (!match.x.per_tensor()) return "its first operand has more than one scale";
    const size_t columns = transposed_b ? 0 : b->size() - 1, terms = transposed_b ? 1 : b->size() - 2;
    if (!match.w.per_tensor() && (b->size() != 2 || match.w.axis != static_cast<int>(columns)))
      return "the scales of its weight are not one a column";
    return obstacle_of_sums(match, *b, terms, terms + 1);
  }

  // Conv's or Gemm's own bias, or one that is added behind.
  std::string read_bias(ValueId addend, Match& match) {
    const NodeContext context(*match.linear);
    const bool is_matmul = PatternGraph::is(*match.linear, "MatMul"), has_own = !is_matmul && context.has_input(2);
    if (!has_own && addend == kNoValue) return "";
    if (has_own && addend != kNoValue) return "there is more than one bias";
    if (has_own && PatternGraph::is(*match.linear, "Gemm") && context.get_float("beta", 1) != 1) return "beta is not 1";
    const ValueId value = has_own ? match.linear->inputs[2] : addend;
    const Node* node = pattern_.maker(value, "DequantizeLinear");
    const QuantizedForm form = node ? dequantized_form(graph_, *node, true).value_or(QuantizedForm{}) : QuantizedForm{};
    const bool is_quantized = form.integers != kNoValue;
    const ValueId content = is_quantized ? form.integers : value;
    const auto channels = channels_of(match);
    if (!channels || !is_vector(match, content, *channels, has_own)) return "its bias is not one constant a channel";
    if (form.zero != kNoValue && !all_zero(graph_.value(form.zero).data)) return "its bias has a zero point";
    match.bias = flattened(content);
    if (is_quantized) {
      match.bias_scale = form.scale;
      match.leaves.push_back(value);
    }
    return "";
  }

  static bool all_zero(const Tensor& zeros) {
    return std::ranges::all_of(zeros.as<int32_t>(), [](int32_t zero) { return zero == 0; });
  }

  std::optional<int64_t> channels_of(const Match& match) const {
    const Dims& w = *pattern_.type(match.w.integers).dims;
    const bool first = PatternGraph::is(*match.linear, "Conv") || NodeContext(*match.linear).get_int("transB", 0) != 0;
    const Dim& channels = first ? w.front() : w.back();
    return channels.known() ? std::optional(channels.size) : std::nullopt;
  }

  // A constant of i32 or f32 with one number a channel; one that is added behind has its channels where the result has them.
  bool is_vector(const Match& match, ValueId id, int64_t channels, bool has_own) const {
    const Value& value = graph_.value(id);
    if (value.kind != ValueKind::kConstant || value.data.elements() != channels) return false;
    if (value.data.dtype() != DType::kI32 && value.data.dtype() != DType::kF32) return false;
    const Shape& shape = value.data.shape();
    const bool is_conv = PatternGraph::is(*match.linear, "Conv");
    if (has_own && is_conv) return shape.rank() == 1;
    const auto& y = pattern_.type(match.linear->outputs[0]).dims;
    if (!y || shape.rank() < 1 || shape.rank() > static_cast<int>(y->size())) return false;
    const int axis = is_conv ? shape.rank() - (static_cast<int>(y->size()) - 1) : shape.rank() - 1;
    return axis >= 0 && axis < shape.rank() && shape[axis] == channels;
  }

  ValueId flattened(ValueId id) {
    const Tensor data = graph_.value(id).data;
    return data.shape().rank() == 1 ? id : pattern_.add_constant(graph_.value(id).name, data.reshaped({data.elements()}));
  }

  Node fused_node(Match& match) {
    const bool is_conv = PatternGraph::is(*match.linear, "Conv");
    Node fused;
    fused.def = &newest_op(is_conv ? "QuantizedConv" : "QuantizedMatMul", "tandem");
    fused.name = match.linear->name;
    if (is_conv) fused.attributes = match.linear->attributes;
    if (match.clamp.lowest != -kInfinity) fused.attributes["lowest"] = match.clamp.lowest;
    if (match.clamp.highest != kInfinity) fused.attributes["highest"] = match.clamp.highest;
    if (NodeContext(*match.linear).get_int("transB", 0) != 0)
      match.w.integers =
          pattern_.add_constant(graph_.value(match.w.integers).name, transposed(graph_.value(match.w.integers).data));
    fused.inputs = {match.x.integers,
                    match.x.scale,
                    zero_or_new(pattern_, match.x),
                    match.w.integers,
                    match.w.scale,
                    zero_or_new(pattern_, match.w),
                    match.y.scale,
                    zero_or_new(pattern_, match.y)};
    if (match.bias != kNoValue) fused.inputs.push_back(match.bias);
    if (match.bias_scale != kNoValue) fused.inputs.push_back(match.bias_scale);
    return fused;
  }

  Graph& graph_;
  PassNotes& notes_;
  PatternGraph pattern_;
};

int apply(Graph& graph, PassNotes& notes) { return Fusion(graph, notes).run(); }

}  // namespace

const Pass qdq_product_fusion_pass = {
    "qdq_product_fusion", "run products and convolutions between DequantizeLinear and QuantizeLinear on integers", apply};

}  // namespace tandem
