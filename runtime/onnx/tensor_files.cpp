#include "runtime/onnx/tensor_files.h"

#include <charconv>
#include <string>

#include "kernels/base/checked.h"
#include "onnx.pb.h"
#include "runtime/io/file.h"

namespace tandem {
namespace {

constexpr int64_t kLeastMapped = 64 << 10;  // bytes; what is smaller is not worth pages of its own

struct Extent {
  std::string location;
  int64_t offset = 0;
  int64_t length = -1;  // not given: as many as the tensor has
};

int64_t parse_size(const std::string& text, std::string_view key) {
  int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  require(error == std::errc() && end == text.data() + text.size() && value >= 0, "external data: not a size", key, text);
  return value;
}

Extent read_extent(const tandem_onnx_proto::TensorProto& proto) {
  Extent extent;
  for (const auto& entry : proto.external_data()) {
    if (entry.key() == "location") extent.location = entry.value();
    if (entry.key() == "offset") extent.offset = parse_size(entry.value(), "offset");
    if (entry.key() == "length") extent.length = parse_size(entry.value(), "length");
  }
  require(!extent.location.empty(), "external data has no location");
  return extent;
}

Tensor read(const FileDescriptor& file, const std::string& name, int64_t offset, DType dtype, const Shape& shape) {
  Tensor tensor = Tensor::unfilled(dtype, shape);
  read_exactly(file, {tensor.view().data, tensor.bytes()}, offset, name);
  return tensor;
}

}  // namespace

TensorFiles::TensorFiles(std::filesystem::path folder, Weights weights, FileDescriptor model)
    : folder_(std::move(folder)), weights_(weights) {
  const int64_t size = model ? size_of_file(model, "the model's own") : 0;
  model_ = {"the model's own", std::move(model), size, nullptr};
}

void TensorFiles::open(const std::string& location) {
  if (last_.file && last_.location == location) return;
  FileDescriptor file = open_beneath(folder_, location);
  const int64_t size = size_of_file(file, location);
  last_ = {location, std::move(file), size, nullptr};
}

Tensor TensorFiles::read_beside(const tandem_onnx_proto::TensorProto& proto, DType dtype, const Shape& shape) {
  const Extent extent = read_extent(proto);
  const int64_t bytes = checked_mul(shape.elements(), static_cast<int64_t>(size_of(dtype)), "bytes of a tensor");
  require(!folder_.empty(), "the data lies in another file, and no folder was given for it", extent.location);
  require(extent.length < 0 || extent.length == bytes, "external data has another length than the dims say (has, expected)",
          extent.length, bytes);
  open(extent.location);
  require(checked_add(extent.offset, bytes, "external data") <= last_.size,
          "external data reaches past the end of its file (offset, bytes, file size)", extent.offset, bytes, last_.size);
  return content(last_, {extent.offset, bytes}, dtype, shape);
}

Tensor TensorFiles::read_inside(const FileRange& range, DType dtype, const Shape& shape) { return content(model_, range, dtype, shape); }

Tensor TensorFiles::content(Opened& from, const FileRange& range, DType dtype, const Shape& shape) const {
  // Any byte but 0 and 1 in a bool has to be mended, so bools are copied.
  const bool may_map = weights_ == Weights::kMapped && range.bytes >= kLeastMapped && dtype != DType::kBool;
  if (!may_map || range.offset % static_cast<int64_t>(size_of(dtype)) != 0) return read(from.file, from.location, range.offset, dtype, shape);
  if (!from.mapped) from.mapped = std::make_shared<MappedFile>(from.file, from.size, from.location);
  return Tensor::over(part_of(from.mapped, range.offset, range.bytes), dtype, shape);
}

}  // namespace tandem
