#include "runtime/onnx/older_ops.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "runtime/onnx/node_writer.h"
#include "runtime/ops/all_ops.h"
#include "runtime/ops/plain_attention.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

class OlderForm : private NodeWriter {
 public:
  OlderForm(Graph& graph, const Node& node, int opset) : NodeWriter(graph, node, opset) {}

  void gelu() {
    const ValueId half = emit("Mul", {x(), number(0.5, x())});
    const ValueId function = get_string("approximate", "none") == "tanh" ? emit("Tanh", {tanh_angle()})
                                                                         : emit("Erf", {scaled(x(), std::numbers::sqrt2 / 2)});
    emit("Mul", {half, emit("Add", {function, number(1, x())})});
    finish();
  }

  void swish() {
    const auto alpha = static_cast<double>(get_float("alpha", 1));
    emit("Mul", {x(), emit("Sigmoid", {alpha == 1 ? x() : scaled(x(), alpha)})});
    finish();
  }

  void hard_swish() {
    emit("Mul", {x(), emit("HardSigmoid", {x()}, {{"alpha", 1.0f / 6}, {"beta", 0.5f}})});
    finish();
  }

  void mish() {
    emit("Mul", {x(), emit("Tanh", {emit("Softplus", {x()})})});
    finish();
  }

  void layer_normalization() {
    require(!has_output(1) && !has_output(2), "Mean and InvStdDev have no form in this opset (node, opset)", node().name, opset_);
    const ValueId wide = widened(x());
    const ValueId centred = emit("Sub", {wide, mean(wide)});
    const ValueId y = scaled_row(emit("Div", {centred, deviation(centred)}));
    if (has_input(2)) emit("Add", {y, node().inputs[2]});
    finish();
  }

  // Without a past, for heads that lie apart: as the fused one is written out.
  void attention() {
    const Node& node = this->node();
    const auto dims = [&](size_t i) -> const std::optional<Dims>& { return graph_.value(node.inputs[i]).type.dims; };
    const bool plain = !has_output(1) && !has_output(2) && !has_output(3) && !has_input(4) && !has_input(5) && !has_input(6) && get_int("is_causal", 0) == 0 &&
                       get_int("left_window_size", -1) < 0 && get_int("right_window_size", -1) < 0;
    const bool four = dims(0) && dims(1) && dims(0)->size() == 4 && (has_attribute("scale") || dims(0)->back().known());
    const bool masked = has_input(3);
    // A mask of fewer columns hides the keys beyond them, where the form would stretch it or fail.
    const bool whole = !masked || !dims(3) || dims(3)->empty() || !four || !differ(dims(3)->back(), (*dims(1))[2]);
    require(plain && four && whole, "this attention has no form in this opset (node, opset)", node.name, opset_);
    Node fused = node;
    fused.def = &newest_op("FusedAttention", "tandem");
    const float scale = has_attribute("scale") ? get_float("scale", 1) : 1 / std::sqrt(static_cast<float>(dims(0)->back().size));
    fused.attributes = {{"scale", scale}, {"softcap", get_float("softcap", 0)}, {"nan_guard", int64_t{masked}}};
    append_plain_attention(graph_, fused, opset_);
  }

  void rms_normalization() {
    const ValueId wide = widened(x());
    scaled_row(emit("Div", {wide, deviation(wide)}));
    finish();
  }

 private:
  ValueId x() const { return node().inputs[0]; }
  DType dtype(ValueId id) const { return graph_.value(id).type.dtype; }
  ValueId scaled(ValueId value, double factor) { return emit("Mul", {value, number(factor, value)}); }

  ValueId tanh_angle() {
    const ValueId cube = emit("Mul", {emit("Mul", {x(), x()}), x()});
    return scaled(emit("Add", {x(), scaled(cube, 0.044715)}), std::sqrt(2 / std::numbers::pi));
  }

  // Statistics of 16-bit floats are taken in f32.
  bool is_narrow() const { return dtype(x()) == DType::kF16 || dtype(x()) == DType::kBF16; }
  ValueId cast(ValueId value, DType to) { return emit("Cast", {value}, {{"to", static_cast<int64_t>(to)}}); }
  ValueId widened(ValueId value) { return is_narrow() ? cast(value, DType::kF32) : value; }
  ValueId scaled_row(ValueId y) { return emit("Mul", {is_narrow() ? cast(y, dtype(x())) : y, node().inputs[1]}); }

  // The axes from `axis` on.
  std::vector<int64_t> axes() const {
    const int64_t axis = get_int("axis", -1);
    const auto& dims = graph_.value(x()).type.dims;
    require(axis < 0 || dims, "the rank must be known to write this in an older opset (value, opset)", graph_.value(x()).name, opset_);
    std::vector<int64_t> axes(static_cast<size_t>(axis < 0 ? -axis : static_cast<int64_t>(dims->size()) - axis));
    std::iota(axes.begin(), axes.end(), -static_cast<int64_t>(axes.size()));
    return axes;
  }

  ValueId mean(ValueId value) {
    if (opset_ < 18) return emit("ReduceMean", {value}, {{"axes", axes()}});
    const std::vector<int64_t> list = axes();
    return emit("ReduceMean", {value, graph_.add_constant(node().name + ".axes", Tensor::of<int64_t>({static_cast<int64_t>(list.size())}, list))});
  }

  ValueId deviation(ValueId value) {
    const ValueId square = mean(emit("Mul", {value, value}));
    return emit("Sqrt", {emit("Add", {square, number(static_cast<double>(get_float("epsilon", 1e-5f)), square)})});
  }
};

struct Rule {
  std::string_view op;
  int since;  // LayerNormalization has no definition of its own before 17 in ONNX, but here
  void (OlderForm::*write)();
};
constexpr Rule kRules[] = {
    {"Attention", 23, &OlderForm::attention}, {"Gelu", 20, &OlderForm::gelu}, {"HardSwish", 14, &OlderForm::hard_swish}, {"LayerNormalization", 17, &OlderForm::layer_normalization},
    {"Mish", 18, &OlderForm::mish}, {"RMSNormalization", 23, &OlderForm::rms_normalization}, {"Swish", 24, &OlderForm::swish},
};

}  // namespace

bool can_be_written_older(std::string_view op) { return std::ranges::find(kRules, op, &Rule::op) != std::end(kRules); }

Graph with_older_ops(const Graph& graph, int opset) {
  Graph older = graph;
  older.nodes.clear();
  for (const Node& node : graph.nodes) {
    const auto rule = node.def->domain.empty() ? std::ranges::find(kRules, node.def->name, &Rule::op) : std::end(kRules);
    if (rule == std::end(kRules) || rule->since <= opset) {
      older.nodes.push_back(node);
    } else {
      OlderForm form(older, node, opset);
      (form.*rule->write)();
    }
  }
  return older;
}

}  // namespace tandem
