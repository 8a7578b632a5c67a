// Where NVIDIA's libraries lie: in the linker's search path, in a CUDA toolkit, or in the Python packages of a virtual
// environment.
#include <glob.h>

#include <cstdlib>

#include "kernels/cuda/library/library.h"

namespace tandem::cuda {
namespace {

#if defined(__CUDACC__)
constexpr bool kOnDevice = true;
#else
constexpr bool kOnDevice = false;
#endif

std::string environment(const char* name) {
  const char* const value = std::getenv(name);
  return value ? value : "";
}

void append_matches(std::vector<std::string>& folders, const std::string& pattern) {
  glob_t found{};
  if (glob(pattern.c_str(), 0, nullptr, &found) == 0)
    folders.insert(folders.end(), found.gl_pathv, found.gl_pathv + found.gl_pathc);
  globfree(&found);
}

void append_list(std::vector<std::string>& folders, const std::string& list) {
  for (size_t begin = 0; begin < list.size();) {
    const size_t end = std::min(list.find(':', begin), list.size());
    if (end > begin) folders.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
}

}  // namespace

std::vector<std::string> library_folders() {
  std::vector<std::string> folders;
  append_list(folders, environment("TANDEM_CUDA_LIBRARY_PATH"));
  if (!kOnDevice) return folders;
  folders.emplace_back();
  if (const std::string home = environment("CUDA_HOME"); !home.empty()) folders.push_back(home + "/lib64");
  append_matches(folders, "/usr/local/cuda*/lib64");
  append_matches(folders, "/usr/local/cuda*/targets/x86_64-linux/lib");
  constexpr const char* kPackages = "/lib/python3*/site-packages/nvidia/*/lib";
  if (const std::string venv = environment("VIRTUAL_ENV"); !venv.empty()) append_matches(folders, venv + kPackages);
  append_matches(folders, std::string("/opt/*/.venv") + kPackages);
  return folders;
}

}  // namespace tandem::cuda
