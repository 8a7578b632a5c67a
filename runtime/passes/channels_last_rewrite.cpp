#include "runtime/passes/channels_last_rewrite.h"

#include <map>
#include <numeric>
#include <optional>

#include "runtime/ops/all_ops.h"
#include "runtime/ops/channels_last.h"
#include "runtime/passes/channel_map.h"
#include "runtime/passes/pixel_conv.h"
#include "runtime/passes/reshape_target.h"

namespace tandem {
namespace {

constexpr std::string_view kSuffix = ".channels_last";
constexpr std::string_view kDeep = ".deep";  // pixels of a transposed convolution while they are channels

bool is_op(const Node& node, std::string_view name, std::string_view domain) { return node.def->name == name && node.def->domain == domain; }
bool is_float_conv(const Node& node) { return is_op(node, "Conv", "") || is_op(node, "FusedConv", "tandem"); }
bool is_quantized_conv(const Node& node) { return is_op(node, "QLinearConv", "") || is_op(node, "QuantizedConv", "tandem"); }

std::vector<int64_t> as_list(const Permutation& order) { return {order.begin(), order.end()}; }

// Nodes are written anew. A tensor that convolutions read gets one Transpose for all of them.
class Rewriting {
 public:
  explicit Rewriting(Graph& graph) : graph_(graph), producers_(graph.producers()) {}

  int run(const std::set<std::string>& left_alone) {
    const std::vector<Node> nodes = std::move(graph_.nodes);
    graph_.nodes.clear();
    int changes = 0;
    for (const Node& node : nodes) {
      const bool may_change = !left_alone.contains(result_name(graph_, node));
      if (may_change && has_channels_last_form(graph_, node)) {
        write_conv(node);
        ++changes;
      } else if (const auto pixels = left_alone.contains(deep_name(node)) ? std::nullopt : pixels_of(node)) {
        write_pixels(node, *pixels);
        ++changes;
      } else if (const auto shuffle = may_change ? shuffle_of(nodes, node) : std::nullopt) {
        write_shuffle(node, *shuffle);
      } else if (const auto map = may_change ? map_of(node) : std::nullopt) {
        write_map(node, *map);
      } else {
        graph_.nodes.push_back(node);
      }
    }
    return changes;
  }

 private:
  size_t rank(ValueId id) const { return graph_.value(id).type.dims->size(); }

  ValueId channels_last(ValueId id) {
    ValueId& known = last_.try_emplace(id, kNoValue).first->second;
    if (known == kNoValue)
      known = graph_.add_node(newest_op("Transpose"), {id}, 1, {{"perm", as_list(inverse(order_to_channels_first(rank(id))))}})[0];
    return known;
  }

  void write_conv(const Node& node) {
    const bool quantized = is_quantized_conv(node);
    std::vector<ValueId> inputs = node.inputs;
    inputs[0] = channels_last(inputs[0]);
    if (!quantized && inputs.size() > 3 && inputs[3] != kNoValue) inputs[3] = channels_last(inputs[3]);
    write(node, newest_op(quantized ? "ChannelsLastQuantizedConv" : "ChannelsLastConv", "tandem"), std::move(inputs), node.attributes);
  }

  // The op whose result, transposed, is that of `node`.
  void write(const Node& node, const OpDef& def, std::vector<ValueId> inputs, Attributes attributes) {
    const ValueId y = node.outputs[0], made = graph_.add_result(graph_.value(y).name + std::string(kSuffix));
    graph_.nodes.push_back({&def, node.name, std::move(inputs), {made}, std::move(attributes)});
    infer_types(graph_, graph_.nodes.back());
    graph_.nodes.push_back({&newest_op("Transpose"), node.name, {made}, {y}, {{"perm", as_list(order_to_channels_first(rank(y)))}}});
  }

  std::string deep_name(const Node& node) const { return result_name(graph_, node) + std::string(kDeep); }

  std::optional<PixelConv> pixels_of(const Node& node) const {
    const auto& dims = node.inputs.empty() || node.inputs[0] == kNoValue ? std::nullopt : graph_.value(node.inputs[0]).type.dims;
    return dims && graph_.value(node.inputs[0]).kind != ValueKind::kConstant ? pixel_conv_of(graph_, node) : std::nullopt;
  }

  // A convolution with channels last, and DepthToSpace behind it, which then moves into that layout.
  void write_pixels(const Node& node, const PixelConv& pixels) {
    Node conv{.def = &newest_op("Conv"), .name = node.name, .inputs = {node.inputs[0]}, .outputs = {}, .attributes = {}};
    conv.inputs.push_back(graph_.add_constant(node.name + ".weights", pixels.weights));
    if (pixels.bias) conv.inputs.push_back(graph_.add_constant(node.name + ".bias", pixels.bias));
    conv.outputs = {graph_.add_result(deep_name(node))};
    infer_types(graph_, conv);
    write_conv(conv);
    graph_.nodes.push_back({&newest_op("DepthToSpace"), node.name, conv.outputs, node.outputs, {{"blocksize", pixels.block}}});
  }

  // Channels as a matrix, transposed (ShuffleNet): Reshape [n, a, b, ...], Transpose [n, b, a, ...], Reshape back.
  struct Shuffle {
    ValueId x;
    Dim a, b;
  };
  std::optional<Shuffle> shuffle_of(const std::vector<Node>& nodes, const Node& last) const {
    const auto maker = [&](const Node& node, std::string_view op) -> const Node* {
      const int at = node.inputs.empty() || node.inputs[0] == kNoValue ? -1 : producers_[static_cast<size_t>(node.inputs[0])];
      return at >= 0 && is_op(nodes[static_cast<size_t>(at)], op, "") ? &nodes[static_cast<size_t>(at)] : nullptr;
    };
    const Node* middle = is_op(last, "Reshape", "") ? maker(last, "Transpose") : nullptr;
    const Node* first = middle ? maker(*middle, "Reshape") : nullptr;
    if (!first) return std::nullopt;
    const auto &x = graph_.value(first->inputs[0]).type.dims, &cut = graph_.value(middle->inputs[0]).type.dims,
               &y = graph_.value(last.outputs[0]).type.dims;
    if (!x || !cut || !y || x->size() < 3 || x->size() > 5 || cut->size() != x->size() + 1 || *x != *y || !(*x)[1].known()) return std::nullopt;
    Permutation swap(cut->size());
    std::iota(swap.begin(), swap.end(), 0);
    std::swap(swap[1], swap[2]);
    Dims wanted = {x->front(), (*cut)[1], (*cut)[2]};
    wanted.insert(wanted.end(), x->begin() + 2, x->end());
    const bool is_matrix = (*cut)[1].known() && (*cut)[2].known() && (*cut)[1].size * (*cut)[2].size == (*x)[1].size;
    if (!is_matrix || *cut != wanted || permutation_of(*middle, cut->size()) != swap) return std::nullopt;
    return Shuffle{first->inputs[0], (*cut)[1], (*cut)[2]};
  }

  void write_shuffle(const Node& node, const Shuffle& shuffle) {
    const Dims pixels = tandem::channels_last(*graph_.value(shuffle.x).type.dims);
    Dims cut(pixels.begin(), pixels.end() - 1);
    cut.insert(cut.end(), {shuffle.a, shuffle.b});
    Permutation swap(cut.size());
    std::iota(swap.begin(), swap.end(), 0);
    std::swap(swap[swap.size() - 1], swap[swap.size() - 2]);
    const auto there = reshape_target(pixels, cut), back = reshape_target(permuted(cut, swap), pixels);
    if (!there || !back || there->keeps_zeros || back->keeps_zeros) return graph_.nodes.push_back(node);
    const ValueId x = channels_last(shuffle.x);
    const ValueId matrix = graph_.add_node(newest_op("Reshape"), {x, list(there->shape)}, 1)[0];
    const ValueId swapped = graph_.add_node(newest_op("Transpose"), {matrix}, 1, {{"perm", as_list(swap)}})[0];
    write(node, newest_op("Reshape"), {swapped, list(back->shape)}, {});
  }

  // A normalization that no convolution before it took up.
  std::optional<ChannelMap> map_of(const Node& node) const {
    if (!is_op(node, "BatchNormalization", "")) return std::nullopt;
    const TensorType& x = graph_.value(node.inputs[0]).type;
    if (x.dtype != DType::kF32 || !x.dims || x.dims->size() < 3 || x.dims->size() > 5) return std::nullopt;
    if (producers_[static_cast<size_t>(node.inputs[0])] < 0) return std::nullopt;
    return map_of_batch_norm(graph_, node, DType::kF32);
  }

  // Elementwise, so that it is computed in any layout.
  void write_map(const Node& node, const ChannelMap& map) {
    const auto of_channels = [&](const std::vector<double>& numbers) {
      Shape shape{static_cast<int64_t>(numbers.size())};
      for (size_t a = 2; a < rank(node.inputs[0]); ++a) shape.push_back(1);
      return graph_.add_constant(node.name, Tensor::of<float>(shape, std::vector<float>(numbers.begin(), numbers.end())));
    };
    const ValueId scaled = graph_.add_node(newest_op("Mul"), {node.inputs[0], of_channels(map.factor)}, 1)[0];
    graph_.nodes.push_back({&newest_op("Add"), node.name, {scaled, of_channels(map.shift)}, {node.outputs[0]}, {}});
  }

  ValueId list(const std::vector<int64_t>& values) {
    return graph_.add_constant("shape", Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values));
  }

  Graph& graph_;
  std::vector<int> producers_;         // by ValueId, among the nodes as they were
  std::map<ValueId, ValueId> last_;  // of a value, what its Transpose makes
};

}  // namespace

bool has_channels_last_form(const Graph& graph, const Node& node) {
  if (!is_float_conv(node) && !is_quantized_conv(node)) return false;
  const auto is_constant = [&](size_t i) {
    return i >= node.inputs.size() || node.inputs[i] == kNoValue || graph.value(node.inputs[i]).kind == ValueKind::kConstant;
  };
  const TensorType &x = graph.value(node.inputs[0]).type, &y = graph.value(node.outputs[0]).type;
  if (is_constant(0) || !x.dims || !y.dims || x.dims->size() < 3 || x.dims->size() > 5 || y.dims->size() != x.dims->size()) return false;
  if (is_quantized_conv(node)) return is_constant(3) && is_constant(5);
  return x.dtype == DType::kF32 && is_constant(1);
}

std::string result_name(const Graph& graph, const Node& node) {
  return node.outputs.empty() || node.outputs[0] == kNoValue ? std::string() : graph.value(node.outputs[0]).name;
}

bool is_channels_last_form(const Graph& graph, const Node& node) { return result_name(graph, node).ends_with(kSuffix); }

bool is_channels_last_conv(const Node& node) {
  return is_op(node, "ChannelsLastConv", "tandem") || is_op(node, "ChannelsLastQuantizedConv", "tandem");
}

std::string name_before(const Graph& graph, const Node& node) {
  const std::string name = result_name(graph, node);
  return name.substr(0, name.rfind(kSuffix));
}

int write_channels_last(Graph& graph, const std::set<std::string>& left_alone) { return Rewriting(graph).run(left_alone); }

}  // namespace tandem
