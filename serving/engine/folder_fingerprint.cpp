#include "serving/engine/folder_fingerprint.h"

#include <algorithm>

namespace tandem {

namespace fs = std::filesystem;

FolderFingerprint fingerprint_of(const fs::path& folder) {
  constexpr size_t kMostFiles = 10'000;
  FolderFingerprint files;
  std::error_code error;
  for (auto entry = fs::recursive_directory_iterator(folder, error);
       !error && entry != fs::end(entry) && files.size() < kMostFiles; entry.increment(error)) {
    const auto changed = entry->last_write_time(error).time_since_epoch().count();
    const bool is_file = entry->symlink_status(error).type() == fs::file_type::regular;
    const auto size = is_file ? static_cast<int64_t>(entry->file_size(error)) : 0;
    files.emplace_back(entry->path().string(), std::pair(size, static_cast<int64_t>(changed)));
  }
  std::ranges::sort(files);
  return files;
}

}  // namespace tandem
