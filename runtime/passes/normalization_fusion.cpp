// Normalizations of rows that exporters write as several nodes:
//
//   d = x - mean(x);  d / sqrt(mean(d^2) + e) [* scale [+ bias]]    ->  LayerNormalization     PyTorch before opset 17, TensorFlow
//   x / sqrt(mean(x^2) + e) * scale                                 ->  RMSNormalization       T5, Llama
//
// The means go over the last axes. A square is Pow(d, 2) or d * d; the deviation divides, or its reciprocal (Reciprocal, or 1 / s)
// multiplies; x - mean(x) may be there twice, once for each use; x may be widened by Cast to f32 and the result narrowed again, as f16 and
// bf16 models do. scale and bias are constants of the shape of the normalized axes; without a scale it is one.
//
// The anchor is the quotient. What follows it, narrowing, scale and bias, is taken in as far as only the next step reads it.
#include <algorithm>

#include "kernels/base/half.h"
#include "runtime/graph/contexts.h"
#include "runtime/ops/all_ops.h"
#include "runtime/passes/pass.h"
#include "runtime/passes/pattern.h"

namespace tandem {
namespace {

// What a quotient normalizes.
struct Rows {
  ValueId x = kNoValue;
  size_t axes = 0;  // the last ones
  double epsilon = 0;
  bool centred = false;
};

// The node that will stand for all, and what it has taken in so far.
struct Whole {
  size_t anchor = 0;
  ValueId y = kNoValue, scale = kNoValue, bias = kNoValue;
};

class Fusion {
 public:
  Fusion(Graph& graph, PassNotes& notes) : pattern_(graph), notes_(notes) {
    readers_.resize(graph.values.size());
    for (size_t n = 0; n < graph.nodes.size(); ++n)
      for (ValueId id : graph.nodes[n].inputs)
        if (id != kNoValue) readers_[static_cast<size_t>(id)].push_back(n);
  }

  int run() {
    int changes = 0;
    for (size_t n = 0; n < pattern_.graph().nodes.size(); ++n) {
      if (pattern_.taken_out(n)) continue;
      const auto rows = quotient(pattern_.graph().nodes[n]);
      changes += rows && fuse(n, *rows);
    }
    pattern_.finish();
    return changes;
  }

 private:
  const TensorType& type(ValueId id) const { return pattern_.type(id); }

  bool miss(size_t n, const Rows& rows, std::string why) {
    notes_.near_miss(pattern_.graph(), pattern_.graph().nodes[n], (rows.centred ? "LayerNormalization: " : "RMSNormalization: ") + std::move(why));
    return false;
  }

  // From the quotient back to x.

  std::optional<Rows> quotient(const Node& node) const {
    if (PatternGraph::is(node, "Div")) {
      const Node* root = pattern_.maker(node.inputs[1], "Sqrt");
      return root ? rows_of(node.inputs[0], root->inputs[0]) : std::nullopt;
    }
    if (!PatternGraph::is(node, "Mul")) return std::nullopt;
    for (size_t i : {size_t{0}, size_t{1}})
      if (const ValueId square = square_of_inverse(node.inputs[i]); square != kNoValue)
        if (auto rows = rows_of(node.inputs[1 - i], square)) return rows;
    return std::nullopt;
  }

  // v where `id` is 1 / sqrt(v).
  ValueId square_of_inverse(ValueId id) const {
    const Node* node = pattern_.maker(id);
    ValueId root = kNoValue;
    if (node && PatternGraph::is(*node, "Reciprocal")) root = node->inputs[0];
    if (node && PatternGraph::is(*node, "Div") && pattern_.is_number(node->inputs[0], 1)) root = node->inputs[1];
    if (node && PatternGraph::is(*node, "Pow") && pattern_.is_number(node->inputs[1], -0.5)) return node->inputs[0];
    const Node* sqrt = root == kNoValue ? nullptr : pattern_.maker(root, "Sqrt");
    return sqrt ? sqrt->inputs[0] : kNoValue;
  }

  // `numerator` over the root of `sum` = mean(square) + epsilon.
  std::optional<Rows> rows_of(ValueId numerator, ValueId sum) const {
    const Node* add = pattern_.maker(sum, "Add");
    if (!add) return std::nullopt;
    for (size_t i : {size_t{0}, size_t{1}}) {
      const auto epsilon = pattern_.number(add->inputs[i]);
      const auto axes = epsilon ? mean_axes(add->inputs[1 - i]) : std::nullopt;
      if (!axes) continue;
      const ValueId squared = base_of_square(pattern_.maker(add->inputs[1 - i])->inputs[0]);
      if (squared == kNoValue) continue;
      const ValueId x = centred_from(squared, *axes);
      if (x != kNoValue && (numerator == squared || centred_from(numerator, *axes) == x)) return Rows{x, *axes, *epsilon, true};
      if (numerator == squared) return Rows{squared, *axes, *epsilon, false};
    }
    return std::nullopt;
  }

  // How many of the last axes a ReduceMean that keeps them takes the mean of.
  std::optional<size_t> mean_axes(ValueId id) const {
    const Node* mean = pattern_.maker(id, "ReduceMean");
    if (!mean) return std::nullopt;
    const NodeContext context(*mean);
    std::vector<int64_t> axes = context.get_ints("axes");
    if (context.has_input(1)) {
      const auto given = pattern_.integers(mean->inputs[1]);
      if (!given) return std::nullopt;
      axes = *given;
    }
    const auto rank = static_cast<int64_t>(pattern_.rank(mean->inputs[0]));
    if (axes.empty() || context.get_int("keepdims", 1) == 0) return std::nullopt;
    for (int64_t& axis : axes) {
      if (axis >= 0 && rank == 0) return std::nullopt;
      axis = axis < 0 ? -axis : rank - axis;  // counted from the end
    }
    std::ranges::sort(axes);
    for (size_t i = 0; i < axes.size(); ++i)
      if (axes[i] != static_cast<int64_t>(i) + 1) return std::nullopt;
    return axes.size();
  }

  // v where `id` is v^2.
  ValueId base_of_square(ValueId id) const {
    const Node* node = pattern_.maker(id);
    if (!node) return kNoValue;
    if (PatternGraph::is(*node, "Pow") && pattern_.is_number(node->inputs[1], 2)) return node->inputs[0];
    if (PatternGraph::is(*node, "Mul") && node->inputs[0] == node->inputs[1]) return node->inputs[0];
    return kNoValue;
  }

  // x where `id` is x - mean(x) over the last `axes`.
  ValueId centred_from(ValueId id, size_t axes) const {
    const Node* sub = pattern_.maker(id, "Sub");
    if (!sub || mean_axes(sub->inputs[1]) != axes) return kNoValue;
    return pattern_.maker(sub->inputs[1])->inputs[0] == sub->inputs[0] ? sub->inputs[0] : kNoValue;
  }

  // From the quotient on to what follows.

  // The only reader of `id`, if that is a node of this op.
  std::optional<size_t> next(ValueId id, std::string_view op) const {
    const auto& readers = readers_[static_cast<size_t>(id)];
    const bool returned = std::ranges::find(pattern_.graph().outputs, id) != pattern_.graph().outputs.end();
    if (readers.size() != 1 || returned || !PatternGraph::is(pattern_.graph().nodes[readers[0]], op)) return std::nullopt;
    return readers[0];
  }

  // A constant of the shape of the last `axes` axes of x, but for leading ones.
  bool is_row(ValueId id, const Rows& rows) const {
    const auto& dims = type(rows.x).dims;
    if (id == kNoValue || pattern_.graph().value(id).kind != ValueKind::kConstant || !dims || dims->size() < rows.axes) return false;
    const Shape& shape = pattern_.graph().value(id).data.shape();
    const auto rank = static_cast<size_t>(shape.rank());
    if (rank < rows.axes || rank > dims->size()) return false;
    for (size_t i = 0; i < rank; ++i) {
      const int64_t size = shape[static_cast<int>(i)];
      const bool inside = i + rows.axes >= rank;
      if (inside ? !((*dims)[dims->size() - rank + i] == Dim(size)) : size != 1) return false;
    }
    return true;
  }

  // Takes in a Mul by or an Add of a row.
  bool take(Whole& whole, std::string_view op, ValueId& row, const Rows& rows) const {
    const auto n = next(whole.y, op);
    const auto other = n ? pattern_.other_input(pattern_.graph().nodes[*n], whole.y) : std::nullopt;
    if (!other || !is_row(*other, rows) || type(*other).dtype != type(whole.y).dtype) return false;
    row = *other;
    whole.anchor = *n;
    whole.y = pattern_.graph().nodes[*n].outputs[0];
    return true;
  }

  bool fuse(size_t n, Rows rows) {
    if (!is_float(type(rows.x).dtype)) return false;
    if (pattern_.rank(rows.x) < rows.axes) return miss(n, rows, "the rank of " + pattern_.graph().value(rows.x).name + " is not known");
    Whole whole{n, pattern_.graph().nodes[n].outputs[0]};
    narrow(whole, rows);
    const bool scaled = take(whole, "Mul", whole.scale, rows);
    if (scaled && rows.centred) take(whole, "Add", whole.bias, rows);
    if (!scaled && !fixed_row(rows)) return miss(n, rows, "there is no scale, and the length of a row is not known");
    const Cut cut = pattern_.cut(whole.anchor, {rows.x, whole.scale, whole.bias});
    if (!cut) return miss(n, rows, cut.obstacle);
    if (!pattern_.keep_shape_of(rows.x, whole.anchor, cut)) return miss(n, rows, "a constant has more axes than the rows");
    put(whole, rows, cut);
    return true;
  }

  // Where x was widened for the statistics and the result is narrowed before its scale, takes the types of the outside.
  void narrow(Whole& whole, Rows& rows) const {
    const Node* widening = pattern_.maker(rows.x, "Cast");
    const auto narrowing = widening ? next(whole.y, "Cast") : std::nullopt;
    if (!narrowing) return;
    const ValueId narrow = pattern_.graph().nodes[*narrowing].outputs[0];
    const DType from = type(widening->inputs[0]).dtype;
    if (type(rows.x).dtype != DType::kF32 || (from != DType::kF16 && from != DType::kBF16) || type(narrow).dtype != from) return;
    rows.x = widening->inputs[0];
    whole.anchor = *narrowing;
    whole.y = narrow;
  }

  std::optional<Shape> fixed_row(const Rows& rows) const {
    const Dims& dims = *type(rows.x).dims;
    return fixed_shape(Dims(dims.end() - static_cast<std::ptrdiff_t>(rows.axes), dims.end()));
  }

  // `id` in the shape of a row; kNoValue: all ones.
  ValueId row_of(ValueId id, const Rows& rows) {
    const Shape shape = *fixed_row(rows);
    if (id != kNoValue) {
      const Value& value = pattern_.graph().value(id);
      if (value.data.shape() == shape) return id;
      const Tensor data = value.data;
      return pattern_.add_constant(std::string(value.name), data.reshaped(shape));
    }
    Tensor ones(type(rows.x).dtype, shape);
    fill_with_one(ones);
    return pattern_.add_constant("ones", std::move(ones));
  }

  static void fill_with_one(Tensor& tensor) {
    if (tensor.dtype() == DType::kF16)
      std::ranges::fill(tensor.as<F16>(), to_f16(1));
    else if (tensor.dtype() == DType::kBF16)
      std::ranges::fill(tensor.as<BF16>(), to_bf16(1));
    else
      visit_float(tensor.dtype(), [&]<class T>() { std::ranges::fill(tensor.as<T>(), T{1}); });
  }

  void put(const Whole& whole, const Rows& rows, const Cut& cut) {
    Node node{.def = &newest_op(rows.centred ? "LayerNormalization" : "RMSNormalization"), .name = "", .inputs = {}, .outputs = {}, .attributes = {}};
    node.inputs = {rows.x, row_of(whole.scale, rows)};
    if (whole.bias != kNoValue) node.inputs.push_back(row_of(whole.bias, rows));
    node.attributes = {{"axis", -static_cast<int64_t>(rows.axes)}, {"epsilon", static_cast<float>(rows.epsilon)}};
    pattern_.replace(whole.anchor, cut, std::move(node));
  }

  PatternGraph pattern_;
  PassNotes& notes_;
  std::vector<std::vector<size_t>> readers_;  // by ValueId, of the graph as it was
};

int apply(Graph& graph, PassNotes& notes) { return Fusion(graph, notes).run(); }

}  // namespace

const Pass normalization_fusion_pass = {"normalization_fusion",
                                        "make one node of LayerNormalization and RMSNormalization written as several", apply};

}  // namespace tandem
