#include "runtime/plan/winograd.h"

#include <algorithm>

#include "kernels/api/conv_winograd_planes.h"
#include "kernels/api/rounded_conv.h"
#include "runtime/graph/contexts.h"
#include "runtime/ops/all_ops.h"
#include "runtime/ops/channels_last.h"
#include "runtime/ops/product_precision.h"
#include "runtime/ops/window_attributes.h"
#include "runtime/plan/conv_timing.h"

namespace tandem {
namespace {

// Kept beside the packed weights that it leads to. 0: direct.
struct Choice {
  int64_t tiles = 0;
  size_t bytes() const { return 0; }
};

bool all_ones(const std::vector<int64_t>& list) {
  return std::ranges::all_of(list, [](int64_t n) { return n == 1; });
}

bool has_form(const Node& node, const Shape& w) {
  const NodeContext context(node);
  return w.rank() == 4 && w[2] == 3 && w[3] == 3 && context.get_int("group", 1) == 1 && all_ones(context.get_ints("strides")) &&
         all_ones(context.get_ints("dilations"));
}

bool may_be_winograd(const Plan& plan, const Node& node) {
  return node.def->name == "ChannelsLastConv" && node.def->domain == "tandem" &&
         plan.graph.value(node.inputs[1]).kind == ValueKind::kConstant && has_form(node, plan.shapes[static_cast<size_t>(node.inputs[1])]);
}

// Names of Tuning's answers.
constexpr std::string_view kDirect = "direct", kTwo = "Winograd, tiles of 2", kFour = "Winograd, tiles of 4";

// As the estimate, but measured.
Choice measured(const Plan& plan, const Node& node, const Shape& x, int64_t estimate) {
  const ConvGeometry conv =
      make_conv_geometry(channels_first(x), plan.shapes[static_cast<size_t>(node.inputs[1])], 1, WindowAttributes{NodeContext(node)}.options());
  const int threads = plan.options.threads;
  const int64_t batch = measured_batch({conv}, x[0]);
  std::vector<std::pair<int64_t, Candidate>> ways;
  ways.emplace_back(0, conv_candidate(std::string(kDirect), {conv}, batch, threads));
  ways.emplace_back(2, winograd_candidate(std::string(kTwo), conv, cpu::WinogradTiles::kTwo, batch, threads));
  ways.emplace_back(4, winograd_candidate(std::string(kFour), conv, cpu::WinogradTiles::kFour, batch, threads));
  std::ranges::stable_partition(ways, [&](const auto& way) { return way.first == estimate; });
  std::vector<Candidate> candidates;
  for (const auto& [tiles, candidate] : ways) candidates.push_back(candidate);
  const std::string fastest = plan.options.tuning->fastest(work_text({conv}, batch, threads), candidates);
  return {std::ranges::find(ways, fastest, [](const auto& way) { return way.second.name; })->first};
}

Choice fastest(const Plan& plan, const Node& node) {
  if (plan.is_dynamic(node.inputs[0]) || plan.is_dynamic(node.outputs[0])) return {};
  const Shape &x = plan.shapes[static_cast<size_t>(node.inputs[0])], &y = plan.shapes[static_cast<size_t>(node.outputs[0])];
  const auto tiles = cpu::fastest_winograd_tiles({.batch = y[0], .height = y[1], .width = y[2], .channels = x[3], .filters = y[3]});
  const int64_t estimate = tiles ? static_cast<int64_t>(*tiles) : 0;
  return plan.options.tuning && y.elements() > 0 ? measured(plan, node, x, estimate) : Choice{estimate};
}

// A convolution of planes or a gradient of one, and what computes the same by tiles. Inputs are named as the convolution's: y is the image or slope
// that its products are counted by.
struct Planes {
  std::string_view domain, op, winograd;
  int x, w, y;  // inputs; -1: the output
};
constexpr Planes kPlanes[] = {{"", "Conv", "WinogradPlanesConv", 0, 1, -1},
                              {"tandem", "FusedConv", "WinogradPlanesConv", 0, 1, -1},
                              {"tandem", "ConvGradInput", "WinogradPlanesGradInput", 2, 1, 0},
                              {"tandem", "ConvGradWeight", "WinogradPlanesGradWeight", 1, 2, 0}};

// With the sizes of the convolution that it is: the gradient to the input exchanges channels and filters.
std::optional<cpu::WinogradTiles> fastest_of_planes(const Plan& plan, const Node& node, const Planes& kind) {
  const auto value = [&](int input) { return input < 0 ? node.outputs[0] : node.inputs[static_cast<size_t>(input)]; };
  const auto shape = [&](int input) -> const Shape& { return plan.shapes[static_cast<size_t>(value(input))]; };
  const NodeContext context(node);
  const bool is_input_grad = kind.winograd == "WinogradPlanesGradInput";
  const std::vector<int64_t> pads = context.get_ints("pads");
  if (plan.graph.value(value(kind.x)).type.dtype != DType::kF32 || context.has_input(3)) return {};
  if (plan.graph.value(value(kind.w)).kind == ValueKind::kConstant || !has_form(node, shape(kind.w))) return {};
  if (plan.is_dynamic(value(kind.x)) || plan.is_dynamic(value(kind.y))) return {};
  const auto& declared = plan.graph.value(value(kind.w)).type.dims;  // a workspace serves any plane, but no other channels
  if (!declared || !std::ranges::all_of(*declared, [](const Dim& dim) { return dim.known(); })) return {};
  if (is_input_grad && std::ranges::any_of(pads, [](int64_t pad) { return pad > 2; })) return {};
  const Shape &x = shape(kind.x), &y = shape(kind.y), &from = is_input_grad ? y : x, &to = is_input_grad ? x : y;
  const cpu::WinogradSizes sizes{.batch = to[0], .height = to[2], .width = to[3], .channels = from[1], .filters = to[1]};
  const bool is_weight_grad = kind.winograd == "WinogradPlanesGradWeight";
  const double price = rounds_operands(context) ? cpu::rounded_conv_price() : 1;
  return is_weight_grad ? cpu::fastest_winograd_weight_grad_tiles(sizes, price) : cpu::fastest_winograd_planes_tiles(sizes, price);
}

void choose_planes(const Plan& plan, Node& node) {
  for (const Planes& kind : kPlanes) {
    if (node.def->name != kind.op || node.def->domain != kind.domain) continue;
    const Choice choice = plan.packs->find_or_make<Choice>(plan.graph.value(node.outputs[0]).name, "Winograd tiles of planes", [&] {
      const auto tiles = fastest_of_planes(plan, node, kind);
      return Choice{tiles ? static_cast<int64_t>(*tiles) : 0};
    });
    if (choice.tiles == 0) return;
    node.def = &newest_op(kind.winograd, "tandem");
    node.attributes.erase(std::string(kProductPrecision));  // by tiles nothing is rounded to bf16
    node.attributes["tiles"] = choice.tiles;
    return;
  }
}

}  // namespace

void choose_winograd(Plan& plan) {
  for (Node& node : plan.graph.nodes) {
    choose_planes(plan, node);
    if (!may_be_winograd(plan, node)) continue;
    const std::string& weights = plan.graph.value(node.inputs[1]).name;
    const Choice choice = plan.packs->find_or_make<Choice>(weights, "Winograd tiles", [&] { return fastest(plan, node); });
    if (choice.tiles == 0) continue;
    node.def = &newest_op("WinogradConv", "tandem");
    node.attributes["tiles"] = choice.tiles;
  }
}

}  // namespace tandem
