#include "models/run/tensor_dump.h"

#include <charconv>

#include "kernels/base/error.h"
#include "models/data/npy.h"
#include "runtime/io/file.h"
#include "runtime/onnx/test_data.h"

namespace tandem {
namespace {

namespace fs = std::filesystem;

// %2F is '/'.
std::string unquoted(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    int code = 0;
    const char* hex = text.data() + i + 1;
    if (text[i] == '%' && i + 2 < text.size() && std::from_chars(hex, hex + 2, code, 16).ptr == hex + 2) {
      plain += static_cast<char>(code);
      i += 2;
    } else {
      plain += text[i];
    }
  }
  return plain;
}

}  // namespace

std::map<std::string, Tensor, std::less<>> read_tensor_dump(const fs::path& folder) {
  check(fs::is_directory(folder), ErrorCode::kNotFound, "there is no such folder", folder.string());
  std::map<std::string, Tensor, std::less<>> tensors;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder)) {
    const fs::path& path = entry.path();
    const std::string name = unquoted(path.stem().string());
    if (path.extension() == ".npy") tensors[name] = read_npy(path);
    if (path.extension() == ".pb") tensors[name] = parse_onnx_value(read_file(path, Limits{}.model_bytes), {}).tensor;
  }
  require(!tensors.empty(), "the folder has no tensor: files NAME.npy or NAME.pb", folder.string());
  return tensors;
}

}  // namespace tandem
