// One library of the table, from candidates to entry points.
#include <dlfcn.h>
#include <link.h>

#include <cstring>

#include "kernels/cuda/library/library.h"

namespace tandem::cuda {
namespace {

std::string path_of(void* library) {
  const link_map* map = nullptr;
  return dlinfo(library, RTLD_DI_LINKMAP, &map) == 0 && map ? map->l_name : "";
}

// "" if all is there.
std::string bind(const LibraryEntry& entry, void* library, void* entry_points) {
  for (const LibraryEntry::Symbol& symbol : entry.symbols) {
    void* const found = dlsym(library, symbol.name);
    if (!found) return symbol.name;
    std::memcpy(static_cast<std::byte*>(entry_points) + symbol.offset, &found, sizeof found);
  }
  return "";
}

LibraryStatus look_at(const LibraryEntry& entry, void* library, void* entry_points) {
  LibraryStatus status{
      .name = entry.name, .path = path_of(library), .missing_symbol = {}, .problem = {}, .consequence = entry.consequence};
  void* const version = dlsym(library, entry.version_symbol);
  if (version) status.version = entry.read_version(version);
  if (version && status.version < entry.least_version) {
    status.problem = "version " + version_text(status.version) + " is older than " + version_text(entry.least_version);
    return status;
  }
  status.missing_symbol = bind(entry, library, entry_points);
  if (!status.missing_symbol.empty()) status.problem = "it lacks " + status.missing_symbol;
  return status;
}

}  // namespace

std::string version_text(int64_t version) {
  return std::to_string(version / 10000) + "." + std::to_string(version / 100 % 100) + "." + std::to_string(version % 100);
}

LibraryStatus open_library(const LibraryEntry& entry, std::span<const std::string> folders, void* entry_points) {
  LibraryStatus first{
      .name = entry.name, .path = {}, .missing_symbol = {}, .problem = "not found", .consequence = entry.consequence};
  for (const std::string& folder : folders)
    for (const std::string& soname : entry.sonames) {
      void* const library = dlopen((folder.empty() ? soname : folder + "/" + soname).c_str(), RTLD_NOW | RTLD_LOCAL);
      if (!library) continue;
      LibraryStatus status = look_at(entry, library, entry_points);
      if (status.usable()) return status;
      dlclose(library);
      if (first.path.empty()) first = std::move(status);
    }
  return first;
}

}  // namespace tandem::cuda
