#include "runtime/passes/pass_manager.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "runtime/graph/nearest_name.h"
#include "runtime/passes/plan_rewrites.h"

namespace tandem {
namespace {

void check_names(const PassOptions& options, std::span<const Pass* const> passes) {
  std::vector<std::string_view> names;
  for (const Pass* pass : passes) names.push_back(pass->name);
  for (const Pass* pass : host_passes()) names.push_back(pass->name);
  names.insert(names.end(), std::begin(kPlanRewrites), std::end(kPlanRewrites));
  for (const std::string& name : options.disabled)
    if (std::ranges::find(names, name) == names.end())
      fail(ErrorCode::kInvalidArgument, "no pass has this name" + did_you_mean(name, names), {name});
}

void verify_after(const Pass& pass, const Graph& graph) {
  try {
    verify(graph);
  } catch (const Error& error) {
    throw Error(ErrorCode::kInternal, "pass " + std::string(pass.name) + " broke the graph: " + error.what());
  }
}

// The bodies of If, Loop and Scan first: what they are shows in the graph around them.
void run_passes_on_bodies(Graph& graph, const PassOptions& options, std::span<const Pass* const> passes) {
  for (Node& node : graph.nodes)
    for (auto& [name, attribute] : node.attributes)
      if (auto* body = std::get_if<Subgraph>(&attribute)) {
        Graph own = **body;
        run_passes(own, options, passes);
        *body = std::make_shared<const Graph>(std::move(own));
      }
}

}  // namespace

void PassNotes::near_miss(const Graph& graph, const Node& node, std::string why) {
  std::string name = node.name;
  if (name.empty() && !node.outputs.empty() && node.outputs[0] != kNoValue) name = graph.value(node.outputs[0]).name;
  near_misses_.push_back({std::move(name), std::move(why)});
}

std::span<const Pass* const> default_passes() {
  // Folding first shows what is constant; merging and removal bring patterns together; fusion looks for what is left.
  static constexpr const Pass* kPasses[] = {
      // clang-format off: one a line
      &constant_folding_pass,
      &branch_inlining_pass,
      &size_sharing_pass,
      &identity_removal_pass,
      &reshape_simplification_pass,
      &part_simplification_pass,
      &common_subexpression_pass,
      &qdq_movement_pass,
      &qdq_product_fusion_pass,
      &qdq_elementwise_fusion_pass,
      &byte_table_fusion_pass,
      &dequantization_folding_pass,
      &einsum_products_pass,
      &attention_fusion_pass,
      &normalization_fusion_pass,
      &row_products_pass,
      &transpose_sinking_pass,  // behind what knows exporters' orders of axes: attention, normalizations
      &batch_norm_folding_pass,
      &gelu_fusion_pass,
      &epilogue_fusion_pass,
      &gradient_fusion_pass,
      &dead_code_pass,
      // clang-format on
  };
  return kPasses;
}

std::span<const Pass* const> host_passes() {
  static constexpr const Pass* kPasses[] = {
      &group_normalization_fusion_pass, &rotary_fusion_pass, &embedding_bag_fusion_pass, &layout_assignment_pass, &quantized_residual_fusion_pass,
      &quantized_mean_fusion_pass,      &bf16_storage_pass,  &channel_scale_fusion_pass, &bf16_products_pass,
      &elementwise_regions_pass};
  return kPasses;
}

PassReport run_pass(Graph& graph, const Pass& pass, bool verify) {
  PassReport report{pass.name, 0, static_cast<int>(graph.nodes.size()), 0, 0, {}};
  PassNotes notes;
  const auto start = std::chrono::steady_clock::now();
  report.changes = pass.rewrite(graph, notes);
  report.microseconds = std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - start).count();
  report.near_misses = notes.near_misses();
  report.nodes_after = static_cast<int>(graph.nodes.size());
  if (verify) verify_after(pass, graph);
  return report;
}

std::vector<PassReport> run_passes(Graph& graph, const PassOptions& options, std::span<const Pass* const> passes) {
  check_names(options, passes);
  run_passes_on_bodies(graph, options, passes);
  std::vector<PassReport> reports;
  for (const Pass* pass : passes)
    if (!options.disabled.contains(pass->name)) reports.push_back(run_pass(graph, *pass, options.verify_each));
  return reports;
}

std::string near_misses_to_text(std::span<const PassReport> reports) {
  std::string text;
  for (const PassReport& report : reports)
    for (const NearMiss& miss : report.near_misses) text += fmt::format("{}: node '{}': {}\n", report.name, miss.node, miss.why);
  return text.empty() ? "no fusion was nearly made\n" : text;
}

std::string to_text(std::span<const PassReport> reports) {
  std::string text = fmt::format("{:<24} {:>8} {:>8} {:>8} {:>10}\n", "pass", "changes", "before", "after", "us");
  for (const PassReport& r : reports)
    text += fmt::format("{:<24} {:>8} {:>8} {:>8} {:>10}\n", r.name, r.changes, r.nodes_before, r.nodes_after, r.microseconds);
  return text;
}

}  // namespace tandem
