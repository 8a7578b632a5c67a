// Weights that are in memory once, however many models have them: the same file under two names, versions of which one layer differs.
//
// Models of one file share all that kernels packed of its constants, so that nothing is packed twice. Models of different files share what has the same
// bits: panels, and constants that stay as they are. The pool itself keeps nothing alive.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "runtime/graph/graph.h"
#include "runtime/graph/packed_constants.h"

namespace tandem {

// Safe from any thread.
class WeightPool {
 public:
  // Constants of 4 KiB and more of which a living model has the same bits become handles on its storage; the others are known from now on.
  void share(Graph& graph);
  // The panels of the model of this content: of the living ones, or none yet. `content` must tell apart whatever a plan's constants hang on.
  std::shared_ptr<PackedConstants> packs(const std::string& content);

 private:
  std::mutex mutex_;
  std::unordered_multimap<uint64_t, std::weak_ptr<Tensor>> tensors_;  // by content_hash
  std::map<std::string, std::weak_ptr<PackedConstants>> packs_;
  const std::shared_ptr<PanelPool> panels_ = std::make_shared<PanelPool>();
};

}  // namespace tandem
