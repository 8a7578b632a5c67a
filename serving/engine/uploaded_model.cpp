#include "serving/engine/uploaded_model.h"

#include <stdlib.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "kernels/base/error.h"
#include "runtime/io/file.h"
#include "serving/core/version_policy.h"

namespace tandem {
namespace fs = std::filesystem;
namespace {

constexpr size_t kLongestPath = 1'024, kLongestName = 255;

void check_path(std::string_view path) {
  const auto refuse = [&](std::string_view why) {
    fail(ErrorCode::kInvalidArgument, "a file of a model must be named file:<version>/<path>: " + std::string(why),
         {path.substr(0, 128)});
  };
  if (path.size() > kLongestPath) refuse("the path is too long");
  if (path.find('\0') != std::string_view::npos || path.find('\\') != std::string_view::npos)
    refuse("a name has a character that none may have");
  size_t depth = 0;
  for (size_t begin = 0; begin <= path.size(); ++depth) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view name = path.substr(begin, end - begin);
    if (name.empty() || name[0] == '.' || name.size() > kLongestName) refuse("an empty name, or one that begins with a dot");
    if (depth == 0 && parse_version(name) == 0) refuse("the first name must be a version, such as 1");
    begin = end + 1;
  }
  if (depth < 2) refuse("no file in the version's folder");
}

}  // namespace

UploadedModel::UploadedModel(const UploadedFiles& files) {
  for (const auto& [path, content] : files) check_path(path);
  std::string pattern = (fs::temp_directory_path() / "tandem-model-XXXXXX").string();
  check(::mkdtemp(pattern.data()) != nullptr, ErrorCode::kUnavailable, "no temporary folder for the files of a model",
        std::system_category().message(errno));
  folder_ = pattern;
  try {
    for (const auto& [path, content] : files) {
      std::error_code error;
      fs::create_directories((folder_ / path).parent_path(), error);
      check(!error, ErrorCode::kInvalidArgument, "a file of a model lies in another", path);
      write_file(folder_ / path, content);
    }
  } catch (...) {
    std::error_code ignored;
    fs::remove_all(folder_, ignored);
    throw;
  }
}

UploadedModel::~UploadedModel() {
  std::error_code ignored;
  fs::remove_all(folder_, ignored);
}

}  // namespace tandem
