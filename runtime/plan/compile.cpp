#include "runtime/plan/compile.h"

#include "runtime/model/compiled_model.h"

namespace tandem {

CompileReport compile(const Graph& graph, PlanOptions options, const std::filesystem::path& path, const std::string& source) {
  CompileReport report;
  options.packs = std::make_shared<PackedConstants>();
  const auto recorder = record_panels(graph, *options.packs);
  try {
    make_plan(graph, options);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInvalidArgument) throw;
    report.without_panels = error.what();
  }
  const std::vector<PanelForm> forms = report.without_panels.empty() ? recorder->forms() : std::vector<PanelForm>();
  for (const PanelForm& form : forms) ++report.panels, report.panel_bytes += static_cast<int64_t>(form.panels.size());
  save_compiled(graph, path, source, forms);
  return report;
}

}  // namespace tandem
