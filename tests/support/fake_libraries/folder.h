// Where the stand-ins of NVIDIA's libraries were built, one folder each: bin/../fake_libraries/<folder>.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace tandem::test {

// "" where they were not built, as in a bundle for a GPU machine, which has the real ones.
inline std::string fake_library_folder(const char* name) {
  const auto folder = std::filesystem::read_symlink("/proc/self/exe").parent_path().parent_path() / "fake_libraries" / name;
  return std::filesystem::exists(folder) ? folder.string() : "";
}

}  // namespace tandem::test
