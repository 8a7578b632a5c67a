// Collects what a plan packs, for a compiled model to keep.
#pragma once

#include <mutex>
#include <vector>

#include "runtime/graph/kept_panels.h"

namespace tandem {

// One constant in one layout.
struct PanelForm {
  std::string constant, layout;
  std::span<const std::byte> panels;
  std::any owner;  // keeps them in memory
};

// Has none itself. Forms of constants that passes of the plan made are left out: nobody would find them in the graph that is kept.
class PanelRecorder : public PanelKeeper {
 public:
  // To be announced for the constants of `graph`, which must stay as it is until the plan is made.
  explicit PanelRecorder(const Graph& graph) : graph_(graph) {}

  bool fill(const std::string&, std::string_view, const std::byte*, std::span<std::byte>) override { return false; }
  void packed(const std::string& constant, std::string_view layout, const std::byte* plain, std::span<const std::byte> panels,
              std::any owner) override;

  const std::vector<PanelForm>& forms() const { return forms_; }

 private:
  const Graph& graph_;
  std::mutex mutex_;
  std::vector<PanelForm> forms_;
};

// A recorder of these, announced in `packs`.
std::shared_ptr<PanelRecorder> record_panels(const Graph& graph, PackedConstants& packs);

}  // namespace tandem
