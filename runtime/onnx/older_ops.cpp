#include "runtime/onnx/older_ops.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <numbers>
#include <numeric>

#include "runtime/graph/constant_integers.h"
#include "runtime/onnx/node_writer.h"
#include "runtime/onnx/older_attention.h"
#include "runtime/ops/all_ops.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr int64_t kMostTaps = 1024;  // of a Col2Im: as many filters, each as large

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

  void attention() { append_older_attention(graph_, node(), opset_); }

  // One set of statistics a group: an InstanceNormalization of one channel a group.
  void group_normalization() {
    const std::optional<Dims> dims = graph_.value(x()).type.dims;
    require(dims && dims->size() >= 2, "the rank must be known to write this in an older opset (value, opset)", graph_.value(x()).name, opset_);
    const int64_t groups = get_int("num_groups", 0);
    const ValueId wide = widened(x());
    const auto row = [&](double value) { return emit("Expand", {number(value, wide), ints({groups})}); };
    const ValueId joined = emit("Reshape", {wide, ints({0, groups, -1})});
    const ValueId normal = emit("InstanceNormalization", {joined, row(1), row(0)}, {{"epsilon", get_float("epsilon", 1e-5f)}});
    const ValueId apart = emit("Reshape", {normal, emit("Shape", {x()})});
    std::vector<int64_t> column(dims->size() - 1, 1);
    column[0] = -1;
    const auto a_channel = [&](size_t i) { return emit("Reshape", {node().inputs[i], ints(column)}); };
    const ValueId y = is_narrow() ? cast(apart, dtype(x())) : apart;
    emit("Add", {emit("Mul", {y, a_channel(1)}), a_channel(2)});
    finish();
  }

  // Each channel is a transposed convolution of its columns by filters that hold a single 1.
  void columns_to_image() {
    const std::optional<Dims> dims = graph_.value(x()).type.dims;
    const auto image = constant_integers(graph_, node().inputs[1]), block = constant_integers(graph_, node().inputs[2]);
    require(dims && (*dims)[1].known() && image && block && is_float(dtype(x())), "this op has no form in this opset (node, opset)", node().name, opset_);
    const size_t rank = block->size();
    const auto given = [&](std::string_view name, size_t count, int64_t fallback) {
      return has_attribute(name) ? get_ints(name) : std::vector<int64_t>(count, fallback);
    };
    const std::vector<int64_t> strides = given("strides", rank, 1), dilations = given("dilations", rank, 1), pads = given("pads", 2 * rank, 0);
    const int64_t area = std::accumulate(block->begin(), block->end(), int64_t{1}, std::multiplies());
    require(area <= kMostTaps, "blocks are too large to be written in an older opset (node, elements, at most)", node().name, area, kMostTaps);
    std::vector<int64_t> columns{-1, area}, whole{-1, (*dims)[1].size / area}, filters{area, 1}, rest;
    for (size_t i = 0; i < rank; ++i) {
      const int64_t room = (*image)[i] + pads[i] + pads[rank + i] - dilations[i] * ((*block)[i] - 1) - 1;
      columns.push_back(room / strides[i] + 1);
      rest.push_back(room % strides[i]);
      whole.push_back((*image)[i]);
      filters.push_back((*block)[i]);
    }
    std::vector<float> ones(static_cast<size_t>(area * area));
    for (size_t i = 0; i < ones.size(); i += static_cast<size_t>(area) + 1) ones[i] = 1;
    const ValueId weight = graph_.add_constant(node().name + ".filters", Tensor::of<float>(Shape(filters), ones));
    const ValueId images = emit("ConvTranspose", {emit("Reshape", {x(), ints(columns)}), dtype(x()) == DType::kF32 ? weight : cast(weight, dtype(x()))},
                                {{"dilations", dilations}, {"output_padding", rest}, {"pads", pads}, {"strides", strides}});
    emit("Reshape", {images, ints(whole)});
    finish();
  }

  // Before 18 it took an optional value and nothing else.
  void optional_has_element() {
    if (has_input(0)) {
      require(graph_.value(x()).type.container == Container::kOptional, "only optional values are asked in this opset (node, opset)", node().name, opset_);
      graph_.nodes.push_back(node());
      return;
    }
    emit("Identity", {graph_.add_constant(node().name + ".answer", Tensor::scalar(false))});
    finish();
  }

  void rms_normalization() {
    const ValueId wide = widened(x());
    scaled_row(emit("Div", {wide, deviation(wide)}));
    finish();
  }

 private:
  ValueId x() const { return node().inputs[0]; }
  DType dtype(ValueId id) const { return graph_.value(id).type.dtype; }
  ValueId ints(const std::vector<int64_t>& list) {
    return graph_.add_constant(node().name + ".ints", Tensor::of<int64_t>({static_cast<int64_t>(list.size())}, list));
  }
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
    return emit("ReduceMean", {value, ints(axes())});
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
    {"Attention", 23, &OlderForm::attention},
    {"Col2Im", 18, &OlderForm::columns_to_image},
    {"Gelu", 20, &OlderForm::gelu},
    {"GroupNormalization", 21, &OlderForm::group_normalization},  // 18's has other scales
    {"HardSwish", 14, &OlderForm::hard_swish},
    {"LayerNormalization", 17, &OlderForm::layer_normalization},
    {"Mish", 18, &OlderForm::mish},
    {"OptionalHasElement", 18, &OlderForm::optional_has_element},
    {"RMSNormalization", 23, &OlderForm::rms_normalization},
    {"Swish", 24, &OlderForm::swish},
};

// Null: it is written as it is.
const Rule* rule_of(const OpDef& def) {
  const auto* rule = std::ranges::find(kRules, def.name, &Rule::op);
  return def.domain.empty() && rule != std::end(kRules) && def.until > rule->since ? rule : nullptr;
}

}  // namespace

bool can_be_written_older(const OpDef& def) { return rule_of(def) != nullptr; }

Graph with_older_ops(const Graph& graph, int opset) {
  Graph older = graph;
  older.nodes.clear();
  for (const Node& node : graph.nodes) {
    const Rule* const rule = rule_of(*node.def);
    if (!rule || rule->since <= opset) {
      older.nodes.push_back(node);
    } else {
      OlderForm form(older, node, opset);
      (form.*rule->write)();
    }
  }
  return older;
}

}  // namespace tandem
