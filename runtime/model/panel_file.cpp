#include "runtime/model/panel_file.h"

#include "kernels/base/block.h"
#include "runtime/io/mapped_file.h"
#include "runtime/model/checksum.h"

namespace tandem {

void PanelFile::add(const std::string& constant, const std::string& layout, const std::byte* plain, const PanelPlace& place) {
  require(forms_.emplace(std::pair(constant, layout), Form{plain, place}).second, "panels are listed twice (constant, layout)", constant, layout);
}

bool PanelFile::fill(const std::string& constant, std::string_view layout, const std::byte* plain, std::span<std::byte> room) {
  const auto found = forms_.find({constant, std::string(layout)});
  if (found == forms_.end() || found->second.plain != plain || found->second.place.bytes != room.size() || room.empty()) return false;
  const PanelPlace& place = found->second.place;
  const auto offset = static_cast<int64_t>(place.offset);
  if (weights_ != Weights::kMapped || !is_whole_pages(room.size()) || !map_over(room, file_, offset, path_)) {
    read_exactly(file_, room, offset, path_);
    require(checksum(room) == place.checksum, "packed weights are damaged: a checksum does not fit (constant)", constant);
  }
  ++kept_;
  return true;
}

}  // namespace tandem
