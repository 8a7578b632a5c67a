#include "models/data/npy.h"

#include <algorithm>
#include <cstring>

#include "kernels/base/checked.h"
#include "models/data/npy_header.h"
#include "models/data/utf8.h"
#include "models/data/zip.h"
#include "runtime/io/file.h"

namespace tandem {
namespace {

constexpr std::string_view kExtension = ".npy";

std::string without_zeros(std::string_view raw) { return std::string(raw.substr(0, raw.find_last_not_of('\0') + 1)); }

// UTF-32 little-endian, padded with zeros.
std::string text_of_utf32(std::string_view raw, std::string_view source) {
  std::string text;
  size_t last = 0;  // bytes of text up to the last character that is not a zero
  for (size_t i = 0; i < raw.size(); i += 4) {
    uint32_t point;
    std::memcpy(&point, raw.data() + i, 4);
    require(append_utf8(text, point), "text holds a number that is not a character", source, point);
    if (point != 0) last = text.size();
  }
  text.resize(last);
  return text;
}

Tensor read_strings(std::string_view data, const NpyHeader& header, std::string_view source) {
  std::vector<std::string> values(static_cast<size_t>(header.shape.elements()));
  for (size_t i = 0; i < values.size(); ++i) {
    const std::string_view raw = data.substr(i * header.element_bytes, header.element_bytes);
    values[i] = header.text == 'U' ? text_of_utf32(raw, source) : without_zeros(raw);
    require(is_utf8(values[i]), "text is not UTF-8", source, "element " + std::to_string(i));
  }
  return Tensor::strings(header.shape, std::span<const std::string>(values));
}

std::string format_strings(const Tensor& tensor) {
  std::vector<std::u32string> values;
  size_t longest = 1;
  for (std::string_view text : tensor.as<std::string_view>()) {
    values.push_back(utf32_of(text));
    longest = std::max(longest, values.back().size());
  }
  std::string out = format_npy_header("<U" + std::to_string(longest), tensor.shape());
  for (std::u32string& value : values) {
    value.resize(longest, U'\0');
    out.append(reinterpret_cast<const char*>(value.data()), 4 * longest);
  }
  return out;
}

}  // namespace

Tensor parse_npy(std::string_view bytes, std::string_view source, const Limits& limits) {
  const NpyHeader header = parse_npy_header(bytes, source);
  int64_t size = static_cast<int64_t>(header.element_bytes);
  for (int64_t dim : header.shape.dims()) size = checked_mul(size, dim, "bytes of an npy array");
  require(size <= limits.tensor_bytes, "npy array exceeds the limit", source, to_string(header.shape), "limit in bytes",
          limits.tensor_bytes);
  const std::string_view data = bytes.substr(header.data_offset);
  const std::string expected = "expected " + std::to_string(size) + " bytes of elements for shape " + to_string(header.shape);
  require(data.size() >= static_cast<size_t>(size), "npy file is cut short", source, "byte " + std::to_string(bytes.size()),
          expected);
  require(data.size() == static_cast<size_t>(size), "npy file has trailing bytes", source,
          "byte " + std::to_string(header.data_offset + static_cast<size_t>(size)), expected);
  if (header.dtype == DType::kString) {
    const int64_t in_memory = checked_mul(header.shape.elements(), sizeof(std::string_view), "bytes of a string tensor");
    require(in_memory <= limits.tensor_bytes, "npy array exceeds the limit", source, to_string(header.shape), "limit in bytes",
            limits.tensor_bytes);
    return read_strings(data, header, source);
  }
  Tensor tensor(header.dtype, header.shape);
  if (size > 0) std::memcpy(tensor.view().data, data.data(), static_cast<size_t>(size));
  if (header.dtype == DType::kBool)  // any other byte in a bool is undefined behaviour
    for (std::byte& value : tensor.view().raw<std::byte>()) value = std::byte{value != std::byte{0}};
  return tensor;
}

std::string format_npy(const Tensor& tensor) {
  if (tensor.dtype() == DType::kString) return format_strings(tensor);
  std::string out = format_npy_header(npy_descr(tensor.dtype()), tensor.shape());
  out.append(reinterpret_cast<const char*>(tensor.view().data), tensor.bytes());
  return out;
}

Tensor read_npy(const std::filesystem::path& path, const Limits& limits) {
  return parse_npy(read_file(path, limits.tensor_bytes), path.string(), limits);
}

NamedTensors parse_npz(std::string_view bytes, std::string_view source, const Limits& limits) {
  NamedTensors tensors;
  for (const ZipMember& member : read_zip(bytes, source, limits.tensor_bytes)) {
    std::string_view array = member.name;
    require(array.ends_with(kExtension), "npz archive holds something that is not an array", source, member.name);
    array.remove_suffix(kExtension.size());
    tensors.emplace_back(array, parse_npy(member.content, std::string(source) + ":" + member.name, limits));
  }
  return tensors;
}

NamedTensors read_npz(const std::filesystem::path& path, const Limits& limits) {
  return parse_npz(read_file(path, limits.tensor_bytes), path.string(), limits);
}

void write_npy(const std::filesystem::path& path, const Tensor& tensor) { write_file(path, format_npy(tensor)); }

void write_npz(const std::filesystem::path& path, const NamedTensors& tensors) {
  std::vector<ZipMember> members;
  for (const auto& [array, tensor] : tensors) members.push_back({array + std::string(kExtension), format_npy(tensor)});
  write_file(path, write_zip(members));
}

}  // namespace tandem
