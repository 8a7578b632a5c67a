// A graph kept with what kernels pack of its weights.
#pragma once

#include <filesystem>
#include <string>

#include "runtime/graph/graph.h"
#include "runtime/plan/plan.h"

namespace tandem {

struct CompileReport {
  int64_t panels = 0, panel_bytes = 0;
  std::string without_panels;  // why there are none: the graph cannot be planned on this machine's CPU
};

// save_compiled() with the panels that a plan by `options` packs; plans by the same precision, math and passes find them. `source`: the model that the
// graph is of, as the user named it. Throws as save_compiled does.
CompileReport compile(const Graph& graph, PlanOptions options, const std::filesystem::path& path, const std::string& source);

}  // namespace tandem
