#include "runtime/model/panel_recorder.h"

#include "runtime/graph/graph.h"

namespace tandem {

void PanelRecorder::packed(const std::string& constant, std::string_view layout, const std::byte* plain, std::span<const std::byte> panels,
                           std::any owner) {
  const ValueId id = graph_.find(constant);
  if (id == kNoValue || std::as_const(graph_.value(id).data).view().data != plain) return;
  const std::lock_guard lock(mutex_);
  forms_.push_back({constant, std::string(layout), panels, std::move(owner)});
}

std::shared_ptr<PanelRecorder> record_panels(const Graph& graph, PackedConstants& packs) {
  auto recorder = std::make_shared<PanelRecorder>(graph);
  for (const Value& value : graph.values)
    if (value.kind == ValueKind::kConstant && value.data) announce_panels(packs, value.name, recorder);
  return recorder;
}

}  // namespace tandem
