// Files of a model with their sizes and times of change: whether a folder is as it was.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace tandem {

using FolderFingerprint = std::vector<std::pair<std::string, std::pair<int64_t, int64_t>>>;

// Sorted by path; of the first 10,000 files. Empty for a folder that cannot be read.
FolderFingerprint fingerprint_of(const std::filesystem::path& folder);

}  // namespace tandem
