// `tandem inspect`: what is in a model, what the passes make of it, what a run of it needs.
#include <fmt/format.h>

#include <iostream>
#include <map>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/device_options.h"
#include "cli/json_line.h"
#include "cli/memory_report.h"
#include "cli/options.h"
#include "kernels/base/program_pages.h"
#include "runtime/device/device_text.h"
#include "runtime/graph/dot.h"
#include "runtime/io/file.h"
#include "runtime/model/compiled_model.h"
#include "runtime/model/open_model.h"
#include "runtime/plan/plan.h"
#include "runtime/plan/traffic.h"
#include "runtime/plan/work.h"

namespace po = boost::program_options;

namespace tandem::cli {
namespace {

const Usage kUsageText = {
    "tandem inspect FILE.onnx [options]",
    "Shows a model's inputs and outputs, its ops, parameters, floating-point operations and the memory a run of it takes.",
    "  tandem inspect model.onnx                      the summary\n"
    "  tandem inspect model.onnx --plan --batch 32    the schedule with every buffer, and the peak bytes\n"
    "  tandem inspect model.onnx --passes             what each pass changed, and how long it took\n"
    "  tandem inspect model.onnx --explain            what each pass nearly did, and which nodes run as one region\n"
    "  tandem inspect model.onnx --text               the graph, a line a node\n"
    "  tandem inspect model.onnx --device cuda        which side each step runs on, what is copied, bytes on both; needs no GPU\n"
    "  tandem inspect model.onnx --dot model.dot      a drawing for Graphviz: dot -Tsvg model.dot -o model.svg\n",
};

struct Summary {
  std::map<std::string, int64_t> ops;
  int64_t parameters = 0, parameter_bytes = 0;
  double flops = 0;  // of one run at the bounds
};

Summary summarize(const Plan& plan) {
  Summary summary;
  for (const Value& value : plan.graph.values) {
    if (value.kind != ValueKind::kConstant) continue;
    const auto shape = value.type.dims ? fixed_shape(*value.type.dims) : std::nullopt;  // its content may be packed and gone
    const int64_t elements = shape ? shape->elements() : 0;
    if (is_float(value.type.dtype)) summary.parameters += elements;
    summary.parameter_bytes += elements * static_cast<int64_t>(size_of(value.type.dtype));
  }
  for (const Node& node : plan.graph.nodes) {
    ++summary.ops[(node.def->domain.empty() ? "" : std::string(node.def->domain) + ".") + std::string(node.def->name)];
    summary.flops += flops_of(plan, node);
  }
  return summary;
}

std::string type_of(const Value& value) {
  return fmt::format("{}{}", name(value.type.dtype), value.type.dims ? to_string(*value.type.dims) : "[...]");
}

void print_summary(const Graph& graph, const Plan& plan, const Summary& summary) {
  fmt::print("{}\n", graph.name);
  for (ValueId id : graph.inputs) fmt::print("  input   {:<24} {}\n", graph.value(id).name, type_of(graph.value(id)));
  for (ValueId id : graph.outputs) fmt::print("  output  {:<24} {}\n", graph.value(id).name, type_of(graph.value(id)));
  fmt::print("  ops    ");
  for (const auto& [op, count] : summary.ops) fmt::print(" {} x{}", op, count);
  std::string bounds;
  for (const auto& [symbol, bound] : plan.bounds) bounds += fmt::format("{}{} = {}", bounds.empty() ? "" : ", ", symbol, bound);
  fmt::print("\n  parameters {} ({} bytes of constants)\n  work       {:.4g} MFLOP a run at {}\n  peak       {} bytes at {}\n",
             summary.parameters, summary.parameter_bytes, summary.flops / 1e6, bounds.empty() ? "its fixed shape" : bounds,
             plan.peak_bytes(), bounds.empty() ? "its fixed shape" : bounds);
}

// What a compiled model holds, all checksums compared, and what the plan found in it.
void print_compiled(const CompiledContents& contents, const PanelCounts& counts) {
  fmt::print("  compiled   of {}: {} bytes, checksums fit\n             {} tensors ({} bytes), {} panels ({} bytes){}\n             the plan took {} "
             "panels from the file and packed {}\n",
             contents.source, contents.file_bytes, contents.tensors, contents.tensor_bytes, contents.panels, contents.panel_bytes,
             contents.panels_fit || contents.panels == 0 ? "" : " of another build, which are not used", counts.kept, counts.packed);
}

nlohmann::json signature(const Graph& graph, const std::vector<ValueId>& ids) {
  nlohmann::json list = nlohmann::json::array();
  for (ValueId id : ids) list.push_back({{"name", graph.value(id).name}, {"type", type_of(graph.value(id))}});
  return list;
}

nlohmann::json memory_json(const MemoryPlan& memory) {
  return {{"arena_bytes", memory.arena},         {"lower_bound_bytes", memory.lower_bound},
          {"scratch_bytes", memory.scratch},     {"workspace_bytes", memory.workspace},
          {"constant_bytes", memory.constants},
          {"state_bytes", memory.states},        {"feed_bytes", memory.feeds},
          {"peak_bytes", memory.total()}};
}

// Where each step runs, and what that costs in memory and copies.
nlohmann::json device_json(const Plan& plan) {
  const Traffic traffic = traffic_of(plan);
  nlohmann::json steps = nlohmann::json::array();
  for (const Step& step : plan.steps) {
    const Node& node = plan.graph.nodes[static_cast<size_t>(step.node)];
    const ValueId output = node.outputs.empty() ? kNoValue : node.outputs[0];
    steps.push_back({{"op", node.def->name},
                     {"on", side_name(step.kind)},
                     {"output", output == kNoValue ? "" : plan.graph.value(output).name},
                     {"bytes", output == kNoValue ? 0 : plan.buffers[static_cast<size_t>(output)].bytes}});
  }
  return {{"gpu", memory_json(plan.device)},
          {"host", memory_json(plan.host)},
          {"steps_on_gpu", traffic.device_steps},
          {"steps_on_cpu", traffic.host_steps},
          {"copied_to_gpu_bytes", traffic.to_device},
          {"copied_to_host_bytes", traffic.to_host},
          {"without_kernel", plan.placement.without_twin},
          {"steps", steps}};
}

nlohmann::json compiled_json(const CompiledContents& contents, const PanelCounts& counts) {
  return {{"source", contents.source},
          {"file_bytes", contents.file_bytes},
          {"tensor_bytes", contents.tensor_bytes},
          {"panels", contents.panels},
          {"panel_bytes", contents.panel_bytes},
          {"panels_fit", contents.panels_fit},
          {"panels_taken", counts.kept},
          {"panels_packed", counts.packed}};
}

// `compiled`: null for a model that is not.
void print_json(const Graph& graph, const Plan& plan, const Summary& summary, const std::vector<PassReport>& passes, const nlohmann::json& compiled) {
  nlohmann::json out{{"name", graph.name},
                     {"inputs", signature(graph, graph.inputs)},
                     {"outputs", signature(graph, graph.outputs)},
                     {"ops", summary.ops},
                     {"nodes", graph.nodes.size()},
                     {"parameters", summary.parameters},
                     {"parameter_bytes", summary.parameter_bytes},
                     {"flops", summary.flops},
                     {"bounds", plan.bounds},
                     {"arena_bytes", plan.host.arena},
                     {"lower_bound_bytes", plan.host.lower_bound},
                     {"scratch_bytes", plan.host.scratch},
                     {"workspace_bytes", plan.host.workspace},
                     {"constant_bytes", plan.host.constants},
                     {"peak_bytes", plan.peak_bytes()},
                     {"process", to_json(process_figure(plan))}};
  if (plan.on_device()) out["device"] = device_json(plan);
  if (!compiled.is_null()) out["compiled"] = compiled;
  for (const PassReport& pass : passes)
    out["passes"].push_back(
        {{"name", pass.name}, {"changes", pass.changes}, {"nodes_after", pass.nodes_after}, {"microseconds", pass.microseconds}});
  std::cout << json_line(out) << "\n";
}

// A GPU need not be there for this: what this build has kernels for decides.
bool plans_for_gpu(const DeviceFlags& flags) {
  if (flags.device == "cpu") return false;
  const CudaProbe probe = probe_cuda();
  if (flags.device == "auto") return !probe.devices.empty();
  require(flags.device == "cuda" || flags.device.starts_with("cuda:"), "no such kind of device (given, there are)", flags.device,
          "cpu, cuda, cuda:0, cuda:1, ..., auto");
  check(TANDEM_HAS_CUDA, ErrorCode::kUnavailable, "CUDA cannot be used here", probe.problem);
  return true;
}

// A size that the user names is meant, so a model that does not take it is refused; one that is merely assumed gives way.
std::map<std::string, int64_t, std::less<>> bounds_asked_for(const Graph& graph, int64_t size) {
  std::map<std::string, int64_t, std::less<>> bounds;
  for (ValueId id : graph.inputs)
    for (const Dim& dim : graph.value(id).type.dims.value_or(Dims()))
      if (!dim.symbol.empty()) bounds[dim.symbol] = size;
  return bounds;
}

void drop_content(Graph& graph) {
  for (Value& value : graph.values) value.data = Tensor();
}

// The elementwise nodes that run together, a region a line.
std::string regions_to_text(const Graph& graph) {
  std::string text;
  for (const Node& node : graph.nodes) {
    if (node.def->name != "Region" || node.def->domain != "tandem") continue;
    const Graph& body = **std::get_if<Subgraph>(&node.attributes.at("body"));
    text += fmt::format("region '{}': {} nodes, {} inputs: {}\n", node.name.empty() ? graph.value(node.outputs[0]).name : node.name,
                        body.nodes.size(), node.inputs.size(), body.name);
  }
  return text;
}

}  // namespace

int inspect_command(int argc, char** argv) {
  po::options_description options("options");
  std::string file, dot;
  std::vector<std::string> disabled;
  PlanOptions plan_options;
  DeviceFlags flags;
  options.add_options()("file", po::value(&file), "the model (also as a plain word)")(
      "plan", "the schedule with each buffer's offset and lifetime")("passes", "the passes, what each changed and its time")(
      "explain", "what each pass nearly did and what was in the way, and the regions of elementwise nodes")(
      "text", "the graph after the passes, a line a node")("dot", po::value(&dot),
                                                           "write a Graphviz drawing to this file ('-': print it)")(
      "batch", po::value(&plan_options.default_bound)->default_value(1), "largest size of the symbolic dimensions")(
      "threads", po::value(&plan_options.threads)->default_value(1), "threads of a run")("disable-pass", po::value(&disabled),
                                                                                         "leave a pass out");
  add_device_flags(options, flags);
  add_tune_flag(options, flags.tune);
  po::variables_map values;
  if (!parse_options(argc, argv, kUsageText, options, "file", values)) return kOk;
  require(!file.empty(), "no model given; usage: " + kUsageText.line);
  require(plan_options.default_bound >= 1, "--batch takes a whole number above 0", plan_options.default_bound);
  require(plan_options.threads >= 1 && plan_options.threads <= kMostThreads,
          fmt::format("--threads must lie in [1, {}]", kMostThreads), plan_options.threads);
  if (plans_for_gpu(flags))
    plan_options.target = Space::kDevice;
  else
    check_strict_device(flags.strict, nullptr, flags.device);
  plan_options.strict_device = flags.strict;
  plan_options.fast_math = is_fast_math(flags.math);
  plan_options.tuning = tuning_of(flags.tune);
  plan_options.precision = precision_of(flags.precision);
  plan_options.disabled_passes = {disabled.begin(), disabled.end()};
  auto [graph, passes, packs, panels] = open_model(file, {.passes = {.disabled = plan_options.disabled_passes}});
  plan_options.packs = packs;
  if (!values["batch"].defaulted()) plan_options.bounds = bounds_asked_for(graph, plan_options.default_bound);
  return_program_pages();
  Graph given = graph;
  // The figure of a process that keeps the plan alone, as `tandem run` does.
  if (!values.contains("text") && dot.empty()) drop_content(graph);
  const auto plan = make_plan(std::move(given), plan_options);
  return_program_pages();
  const CompiledContents contents = panels ? check_compiled(open_regular(file), file) : CompiledContents{};
  passes.insert(passes.end(), plan->passes.begin(), plan->passes.end());
  if (dot == "-")
    std::cout << to_dot(graph);
  else if (!dot.empty())
    write_file(dot, to_dot(graph));
  if (values.contains("json"))
    print_json(graph, *plan, summarize(*plan), passes, panels ? compiled_json(contents, panels->counts()) : nlohmann::json());
  else if (dot != "-") {
    print_summary(graph, *plan, summarize(*plan));
    if (panels) print_compiled(contents, panels->counts());
    if (values.contains("passes")) std::cout << "\n" << to_text(passes);
    if (values.contains("explain")) std::cout << "\n" << near_misses_to_text(passes) << regions_to_text(plan->graph);
    if (values.contains("text")) std::cout << "\n" << to_text(graph);
    if (values.contains("plan") || plan->on_device()) std::cout << "\n" << to_text(*plan);
    if (values.contains("plan") && !plan->on_device()) std::cout << to_text(process_figure(*plan));
  }
  return kOk;
}

}  // namespace tandem::cli
