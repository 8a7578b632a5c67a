#include "runtime/plan/conv_chains.h"

#include <algorithm>
#include <chrono>

#include "kernels/api/conv_chain.h"
#include "runtime/graph/contexts.h"
#include "runtime/graph/rewrite.h"
#include "runtime/ops/all_ops.h"
#include "runtime/ops/channels_last.h"
#include "runtime/ops/window_attributes.h"
#include "runtime/passes/plan_rewrites.h"
#include "runtime/plan/conv_timing.h"

namespace tandem {
namespace {

constexpr size_t kWeights = 1, kBias = 2, kResidual = 3;  // inputs of a convolution

// Nodes of a chain, by index; -1: none.
struct Found {
  int expand = -1, depthwise = -1, project = -1;
  bool is_chain() const { return expand >= 0 || project >= 0; }
};

bool all_are(const std::vector<int64_t>& list, int64_t n) {
  return std::ranges::all_of(list, [&](int64_t number) { return number == n; });
}

class ConvChains {
 public:
  explicit ConvChains(Plan& plan)
      : plan_(plan),
        graph_(plan.graph),
        producers_(graph_.producers()),
        consumers_(graph_.consumers()),
        uses_(count_uses(graph_)),
        erased_(graph_.nodes.size()) {}

  // The number of chains.
  int run() {
    int chains = 0;
    for (int n = 0; n < static_cast<int>(graph_.nodes.size()); ++n) {
      if (erased_[static_cast<size_t>(n)] || !is_depthwise(n)) continue;
      const Found found = worth({before(n), n, behind(n)});
      if (!found.is_chain()) continue;
      join(found);
      ++chains;
    }
    erase_nodes(graph_, erased_);
    return chains;
  }

 private:
  Node& node(int n) { return graph_.nodes[static_cast<size_t>(n)]; }
  static ValueId input(const Node& node, size_t i) { return i < node.inputs.size() ? node.inputs[i] : kNoValue; }
  const Shape& shape(ValueId id) const { return plan_.shapes[static_cast<size_t>(id)]; }

  // Over two axes, of planned sizes, by weights that are a constant.
  bool is_conv(int n) {
    const Node& conv = node(n);
    return conv.def->name == "ChannelsLastConv" && conv.def->domain == "tandem" && !plan_.is_dynamic(conv.inputs[0]) &&
           !plan_.is_dynamic(conv.outputs[0]) && graph_.value(conv.inputs[kWeights]).kind == ValueKind::kConstant &&
           shape(conv.inputs[0]).rank() == 4;
  }
  bool is_depthwise(int n) {
    if (!is_conv(n) || input(node(n), kResidual) != kNoValue) return false;
    const int64_t groups = NodeContext(node(n)).get_int("group", 1);
    return shape(node(n).inputs[0])[3] == groups && shape(node(n).inputs[kWeights])[0] == groups;
  }
  bool is_pointwise(int n) {
    if (!is_conv(n)) return false;
    const NodeContext context(node(n));
    const Shape& w = shape(node(n).inputs[kWeights]);
    return w[2] == 1 && w[3] == 1 && context.get_int("group", 1) == 1 && all_are(context.get_ints("strides"), 1) &&
           all_are(context.get_ints("pads"), 0);
  }
  // A value that one node makes, one reads, and nobody else.
  bool is_between(ValueId id) const { return uses_[static_cast<size_t>(id)] == 1; }

  int before(int n) {
    const ValueId x = node(n).inputs[0];
    const int by = producers_[static_cast<size_t>(x)];
    const bool joins = by >= 0 && is_between(x) && !erased_[static_cast<size_t>(by)] && is_pointwise(by);
    return joins && input(node(by), kResidual) == kNoValue ? by : -1;
  }
  int behind(int n) {
    const ValueId y = node(n).outputs[0];
    const std::vector<int>& readers = consumers_[static_cast<size_t>(y)];
    if (!is_between(y) || readers.size() != 1) return -1;
    const int reader = readers[0];
    return is_pointwise(reader) && node(reader).inputs[0] == y ? reader : -1;
  }

  ConvGeometry geometry_of(int n, int64_t groups) {
    const WindowAttributes attributes{NodeContext(node(n))};
    return make_conv_geometry(channels_first(shape(node(n).inputs[0])), shape(node(n).inputs[kWeights]), groups,
                              attributes.options());
  }
  ConvChain geometry_of(const Found& found) {
    ConvChain chain;
    if (found.expand >= 0) chain.expand = geometry_of(found.expand, 1);
    chain.depthwise = geometry_of(found.depthwise, shape(node(found.depthwise).inputs[0])[3]);
    if (found.project >= 0) chain.project = geometry_of(found.project, 1);
    return chain;
  }

  // What of it takes less time together than one by one; the depthwise one alone if nothing does.
  Found worth(const Found& found) {
    if (!found.is_chain()) return found;
    const ConvChain whole = geometry_of(found);
    const Found alone{.depthwise = found.depthwise};
    const bool pays = cpu::conv_chain_pays(whole, shape(node(found.depthwise).inputs[0])[0], plan_.options.threads);
    if (!plan_.options.tuning || shape(node(found.depthwise).outputs[0]).elements() == 0) return pays ? found : alone;
    std::vector<std::pair<std::string, Found>> ways = {{"together", found}, {"one by one", alone}};
    if (!pays) std::swap(ways[0], ways[1]);
    if (found.expand >= 0 && found.project >= 0) {
      ways.push_back({"the first two together", {found.expand, found.depthwise, -1}});
      ways.push_back({"the last two together", {-1, found.depthwise, found.project}});
    }
    std::vector<ConvGeometry> convs;
    if (whole.expand) convs.push_back(*whole.expand);
    convs.push_back(whole.depthwise);
    if (whole.project) convs.push_back(*whole.project);
    const int64_t batch = measured_batch(convs, shape(node(found.depthwise).inputs[0])[0]);
    std::vector<Candidate> candidates;
    for (const auto& [name, way] : ways) candidates.push_back(conv_candidate(name, sequence_of(whole, way), batch, plan_.options.threads));
    const std::string fastest = plan_.options.tuning->fastest(work_text(convs, batch, plan_.options.threads), candidates);
    return std::ranges::find(ways, fastest, [](const auto& way) { return way.first; })->second;
  }

  // All of `whole`, of which the convolutions of `together` are one kernel.
  static ConvSequence sequence_of(const ConvChain& whole, const Found& together) {
    ConvSequence sequence;
    ConvChain chain{.expand = {}, .depthwise = whole.depthwise, .project = {}};
    if (whole.expand && together.expand < 0) sequence.emplace_back(*whole.expand);
    if (together.expand >= 0) chain.expand = whole.expand;
    if (together.project >= 0) chain.project = whole.project;
    if (together.is_chain())
      sequence.emplace_back(chain);
    else
      sequence.emplace_back(whole.depthwise);
    if (whole.project && together.project < 0) sequence.emplace_back(*whole.project);
    return sequence;
  }

  // Takes the place of the last one.
  void join(const Found& found) {
    Node chain = node(found.depthwise);
    const Node last = node(found.project >= 0 ? found.project : found.depthwise);
    chain.def = &newest_op("ChannelsLastConvChain", "tandem");
    chain.name = last.name;
    chain.outputs = last.outputs;
    chain.inputs = {node(found.expand >= 0 ? found.expand : found.depthwise).inputs[0]};
    for (const int n : {found.depthwise, found.expand, found.project})
      for (const size_t i : {kWeights, kBias}) chain.inputs.push_back(n >= 0 ? input(node(n), i) : kNoValue);
    chain.inputs.push_back(found.project >= 0 ? input(last, kResidual) : kNoValue);
    while (chain.inputs.back() == kNoValue) chain.inputs.pop_back();
    for (const auto& [n, prefix] : {std::pair(found.expand, "expand_"), {found.project, "project_"}})
      if (n >= 0)
        for (const auto& [name, value] : node(n).attributes)
          if (name.starts_with("activation")) chain.attributes[prefix + name] = value;
    for (const int n : {found.expand, found.depthwise, found.project})
      if (n >= 0) erased_[static_cast<size_t>(n)] = true;
    const int place = found.project >= 0 ? found.project : found.depthwise;
    node(place) = std::move(chain);
    erased_[static_cast<size_t>(place)] = false;
  }

  Plan& plan_;
  Graph& graph_;
  const std::vector<int> producers_;
  const std::vector<std::vector<int>> consumers_;
  const std::vector<int> uses_;
  std::vector<bool> erased_;
};

}  // namespace

void chain_convs(Plan& plan) {
  if (plan.options.disabled_passes.contains(kConvChains)) return;
  const auto start = std::chrono::steady_clock::now();
  PassReport report{kConvChains, 0, static_cast<int>(plan.graph.nodes.size()), 0, 0, {}};
  report.changes = ConvChains(plan).run();
  report.nodes_after = static_cast<int>(plan.graph.nodes.size());
  report.microseconds = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count();
  plan.passes.push_back(std::move(report));
}

}  // namespace tandem
