#include "serving/engine/eviction.h"

#include <algorithm>
#include <unordered_map>

namespace tandem {
namespace {

// What goes back with the models that go.
class GivenBack {
 public:
  explicit GivenBack(const std::vector<ResidentModel>& models) {
    for (const ResidentModel& model : models)
      for (const MemoryPart& part : model.shared) ++holders_[part.id];
  }
  int64_t bytes() const { return bytes_; }
  void goes(const ResidentModel& model) {
    bytes_ += model.own;
    for (const MemoryPart& part : model.shared)
      if (--holders_[part.id] == 0) bytes_ += part.bytes;
  }
  void stays(const ResidentModel& model) {
    bytes_ -= model.own;
    for (const MemoryPart& part : model.shared)
      if (holders_[part.id]++ == 0) bytes_ -= part.bytes;
  }

 private:
  std::unordered_map<const void*, int> holders_;  // of those that stay
  int64_t bytes_ = 0;
};

}  // namespace

std::vector<std::string> models_to_evict(std::vector<ResidentModel> models, int64_t bytes) {
  GivenBack given(models);
  std::erase_if(models, [](const ResidentModel& model) { return model.is_kept; });
  std::ranges::sort(models, {}, &ResidentModel::last_used);
  std::vector<const ResidentModel*> going;
  for (const ResidentModel& model : models) {
    if (given.bytes() >= bytes) break;
    given.goes(model);
    going.push_back(&model);
  }
  if (given.bytes() < bytes) return {};
  std::vector<std::string> names;
  for (const ResidentModel* model : going) {
    given.stays(*model);
    if (given.bytes() >= bytes) continue;
    given.goes(*model);
    names.push_back(model->name);
  }
  return names;
}

}  // namespace tandem
