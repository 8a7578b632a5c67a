// A model file, ready to be planned: what every command does with the file that a user names.
#pragma once

#include <filesystem>
#include <vector>

#include "runtime/model/panel_file.h"
#include "runtime/onnx/onnx.h"
#include "runtime/passes/pass_manager.h"

namespace tandem {

struct OpenOptions {
  Limits limits = {};
  NameSet given = {};                 // inputs with a default that get a value (onnx.h); a compiled model has none left
  Weights weights = Weights::kMapped;  // for a command that ends when its work is done
  bool optimize = true;  // run the passes
  PassOptions passes = {};
  std::shared_ptr<PackedConstants> packs = {};  // where panels are announced; null: new ones
};

struct OpenedModel {
  Graph graph;
  std::vector<PassReport> reports;  // of the passes; none for a compiled model, which has them behind it
  std::shared_ptr<PackedConstants> packs;  // for plans of this graph (PlanOptions::packs), which find there what the file has packed
  std::shared_ptr<PanelFile> panels;       // of a compiled model, else null
};

// An ONNX model, imported and rewritten by the passes, or one that `tandem compile` made: the content tells. Throws as load_onnx, run_passes and
// load_compiled do; InvalidArgument for passes to be left out of a compiled model.
OpenedModel open_model(const std::filesystem::path& path, const OpenOptions& options = {});
// The same of an open file; `folder` is where data beside it may lie.
OpenedModel open_model(FileDescriptor file, const std::filesystem::path& folder, const OpenOptions& options = {});

}  // namespace tandem
