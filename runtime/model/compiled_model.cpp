#include "runtime/model/compiled_model.h"

#include <algorithm>
#include <cstring>

#include "kernels/api/isa.h"
#include "kernels/base/checked.h"
#include "runtime/io/file.h"
#include "runtime/io/mapped_file.h"
#include "runtime/model/checksum.h"
#include "runtime/model/graph_record.h"

namespace tandem {
namespace {

constexpr char kMagic[8] = {'\x89', 'T', 'D', 'M', '\r', '\n', '\x1a', '\n'};  // as PNG's: shows what text modes and 7 bits do to a file
constexpr uint32_t kFormat = 1;
constexpr int64_t kHeaderBytes = 256, kAlignment = 64;

struct Header {
  char magic[8] = {};
  uint32_t format = 0, unused = 0;
  char version[32] = {}, isa[32] = {};  // text, zeros behind it
  uint64_t source_bytes = 0, record_bytes = 0, file_bytes = 0;
  uint64_t text_checksum = 0;    // of source and record
  uint64_t header_checksum = 0;  // of all before it
};
static_assert(sizeof(Header) <= kHeaderBytes && std::is_trivially_copyable_v<Header>);

template <size_t N>
void put_text(char (&field)[N], std::string_view text) {
  ensure(text.size() < N, "a text is too long for the header", text);
  text.copy(field, N);
}
template <size_t N>
std::string text_of(const char (&field)[N]) {
  return {field, std::find(field, field + N, '\0')};
}

uint64_t checksum_of(const Header& header) {
  return checksum({reinterpret_cast<const std::byte*>(&header), offsetof(Header, header_checksum)});
}
uint64_t checksum_of(std::string_view text) { return checksum(std::as_bytes(std::span(text))); }

constexpr int64_t round_up(int64_t n) { return (n + kAlignment - 1) / kAlignment * kAlignment; }

// Lays tensors out behind each other, offsets from the first one.
class Layout {
 public:
  StoredNumbers add(const Tensor& tensor) {
    const ConstTensorView view = tensor.view();
    const StoredNumbers stored{static_cast<uint64_t>(end_), checksum({view.data, view.bytes()})};
    tensors_.push_back(tensor);
    end_ = round_up(end_ + static_cast<int64_t>(view.bytes()));
    return stored;
  }

  int64_t bytes() const { return end_; }

  std::vector<std::string_view> pieces() const {
    static constexpr char kZeros[kAlignment] = {};
    std::vector<std::string_view> pieces;
    for (const Tensor& tensor : tensors_) {
      const auto bytes = static_cast<int64_t>(tensor.bytes());
      pieces.emplace_back(reinterpret_cast<const char*>(tensor.view().data), tensor.bytes());
      pieces.emplace_back(kZeros, static_cast<size_t>(round_up(bytes) - bytes));
    }
    return pieces;
  }

 private:
  std::vector<Tensor> tensors_;
  int64_t end_ = 0;
};

void check_machine(const Header& header, const std::string& source) {
  const std::string isa(name(cpu::chosen_isa()));
  if (header.format == kFormat && text_of(header.version) == TANDEM_VERSION && text_of(header.isa) == isa) return;
  fail(ErrorCode::kInvalidArgument, "it was compiled by Tandem " + text_of(header.version) + " for " + text_of(header.isa) + ", and this is " +
                                        TANDEM_VERSION + " for " + isa + "; make it anew: tandem compile " + source + " -o FILE.tdm");
}

class CompiledFile {
 public:
  CompiledFile(FileDescriptor file, const std::string& path, const Limits& limits, Weights weights)
      : file_(std::move(file)), path_(path), limits_(limits), weights_(weights), size_(size_of_file(file_, path)) {}

  Graph read() {
    Header header;
    read_header(header);
    const auto source_bytes = static_cast<int64_t>(header.source_bytes), record_bytes = static_cast<int64_t>(header.record_bytes);
    const int64_t room = size_ - kHeaderBytes;
    require(source_bytes >= 0 && source_bytes <= room && record_bytes >= 0 && record_bytes <= room - source_bytes,
            "the file is cut short, or its header is damaged");
    std::string text(static_cast<size_t>(source_bytes + record_bytes), '\0');
    read_exactly(file_, std::as_writable_bytes(std::span(text)), kHeaderBytes, path_);
    require(checksum_of(text) == header.text_checksum, "the file is damaged: a checksum does not fit");
    check_machine(header, text.substr(0, header.source_bytes));
    require(static_cast<int64_t>(header.file_bytes) == size_, "the file has another length than it says (has, says)", size_, header.file_bytes);
    data_ = round_up(kHeaderBytes + source_bytes + record_bytes);
    if (weights_ == Weights::kMapped) mapped_ = std::make_shared<MappedFile>(file_, size_, path_);
    const auto fetch = [this](const StoredNumbers& stored, DType dtype, const Shape& shape) { return this->fetch(stored, dtype, shape); };
    return read_graph(std::string_view(text).substr(header.source_bytes), fetch, limits_);
  }

 private:
  void read_header(Header& header) {
    require(size_ >= kHeaderBytes, "the file is cut short (bytes)", size_);
    read_exactly(file_, std::as_writable_bytes(std::span(&header, 1)), 0, path_);
    require(checksum_of(header) == header.header_checksum, "the header is damaged: its checksum does not fit");
  }

  Tensor fetch(const StoredNumbers& stored, DType dtype, const Shape& shape) const {
    const int64_t bytes = checked_mul(shape.elements(), static_cast<int64_t>(size_of(dtype)), "bytes of a tensor");
    require(bytes <= limits_.tensor_bytes, "a tensor exceeds the limit (bytes, limit)", bytes, limits_.tensor_bytes);
    const int64_t room = std::max<int64_t>(0, size_ - data_), offset = static_cast<int64_t>(stored.offset);
    require(offset >= 0 && offset % kAlignment == 0 && offset <= room && bytes <= room - offset, "a tensor lies outside of the file (offset, bytes)",
            stored.offset, bytes);
    if (bytes == 0) return Tensor(dtype, shape);
    Tensor tensor = content(data_ + offset, bytes, dtype, shape);
    const ConstTensorView view = std::as_const(tensor).view();
    require(checksum({view.data, view.bytes()}) == stored.checksum, "weights are damaged: a checksum does not fit");
    require_valid(view);
    return tensor;
  }

  Tensor content(int64_t offset, int64_t bytes, DType dtype, const Shape& shape) const {
    if (mapped_) return Tensor::over(part_of(mapped_, offset, bytes), dtype, shape);
    Tensor tensor = Tensor::unfilled(dtype, shape);
    read_exactly(file_, {tensor.view().data, tensor.bytes()}, offset, path_);
    return tensor;
  }

  // Of these types not every byte is an element.
  static void require_valid(const ConstTensorView& view) {
    const int bits = bits_of(view.dtype);
    if (view.dtype != DType::kBool && bits >= 8) return;
    const int codes = view.dtype == DType::kBool ? 2 : 1 << bits;
    const std::span bytes(view.data, view.bytes());
    require(std::ranges::all_of(bytes, [&](std::byte b) { return static_cast<int>(b) < codes; }), "a byte is no element of its type",
            name(view.dtype));
  }

  FileDescriptor file_;
  std::string path_;
  const Limits& limits_;
  Weights weights_;
  int64_t size_, data_ = 0;
  std::shared_ptr<MappedFile> mapped_;  // null: tensors are read
};

}  // namespace

void save_compiled(const Graph& graph, const std::filesystem::path& path, const std::string& source) {
  Layout layout;
  const std::string text = source + write_graph(graph, [&](const Tensor& tensor) { return layout.add(tensor); });
  Header header;
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  header.format = kFormat;
  put_text(header.version, TANDEM_VERSION);
  put_text(header.isa, name(cpu::chosen_isa()));
  header.source_bytes = source.size();
  header.record_bytes = text.size() - source.size();
  const int64_t before = kHeaderBytes + static_cast<int64_t>(text.size());
  header.file_bytes = static_cast<uint64_t>(round_up(before) + layout.bytes());
  header.text_checksum = checksum_of(text);
  header.header_checksum = checksum_of(header);
  std::string head(static_cast<size_t>(kHeaderBytes), '\0');
  std::memcpy(head.data(), &header, sizeof(header));
  const std::string padding(static_cast<size_t>(round_up(before) - before), '\0');
  std::vector<std::string_view> pieces = layout.pieces();
  pieces.insert(pieces.begin(), {head, text, padding});
  write_file(path, pieces);
}

bool is_compiled(const FileDescriptor& file) {
  char magic[sizeof(kMagic)] = {};
  if (size_of_file(file, "the model") < static_cast<int64_t>(sizeof(magic))) return false;
  read_exactly(file, std::as_writable_bytes(std::span(magic)), 0, "the model");
  return std::ranges::equal(magic, kMagic);
}

Graph load_compiled(FileDescriptor file, const std::filesystem::path& path, const Limits& limits, Weights weights) try {
  return CompiledFile(std::move(file), path.string(), limits, weights).read();
} catch (const Error& error) {
  throw Error(error.code(), path.filename().string() + ": " + error.what());
}

}  // namespace tandem
