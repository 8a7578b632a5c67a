#include "serving/engine/eviction.h"

#include <algorithm>

namespace tandem {

std::vector<std::string> models_to_evict(std::vector<ResidentModel> models, int64_t bytes) {
  std::erase_if(models, [](const ResidentModel& model) { return model.is_kept; });
  std::ranges::sort(models, {}, &ResidentModel::last_used);
  std::vector<std::string> names;
  for (const ResidentModel& model : models) {
    if (bytes <= 0) break;
    names.push_back(model.name);
    bytes -= model.bytes;
  }
  if (bytes > 0) names.clear();
  return names;
}

}  // namespace tandem
