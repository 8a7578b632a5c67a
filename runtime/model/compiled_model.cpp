#include "runtime/model/compiled_model.h"

#include <algorithm>

#include "kernels/base/checked.h"
#include "runtime/io/file.h"
#include "runtime/io/mapped_file.h"
#include "runtime/model/byte_record.h"
#include "runtime/model/checksum.h"
#include "runtime/model/compiled_header.h"
#include "runtime/model/graph_record.h"

namespace tandem {
namespace {

constexpr int64_t kLeastMapped = 64 << 10;  // bytes; what is smaller is not worth pages of its own

int64_t alignment_of(int64_t bytes) { return bytes >= kLeastMapped ? kFilePageBytes : kLineBytes; }
uint64_t checksum_of(std::string_view text) { return checksum(std::as_bytes(std::span(text))); }

// Lays numbers out behind each other, offsets from the first one.
class Layout {
 public:
  StoredNumbers add(std::span<const std::byte> numbers) {
    const auto bytes = static_cast<int64_t>(numbers.size());
    put_zeros(round_up_to(end_, alignment_of(bytes)) - end_);
    alignment_ = std::max(alignment_, alignment_of(bytes));
    const StoredNumbers stored{static_cast<uint64_t>(end_), checksum(numbers)};
    pieces_.emplace_back(reinterpret_cast<const char*>(numbers.data()), numbers.size());
    end_ += bytes;
    return stored;
  }

  int64_t bytes() const { return end_; }
  int64_t alignment() const { return alignment_; }  // of the first one
  const std::vector<std::string_view>& pieces() const { return pieces_; }

 private:
  void put_zeros(int64_t count) {
    static constexpr char kZeros[kFilePageBytes] = {};
    pieces_.emplace_back(kZeros, static_cast<size_t>(count));
    end_ += count;
  }

  std::vector<std::string_view> pieces_;
  int64_t end_ = 0, alignment_ = kLineBytes;
};

std::string write_list(std::span<const PanelForm> panels, Layout& layout) {
  ByteWriter list;
  list.put(uint64_t{panels.size()});
  for (const PanelForm& form : panels) {
    const StoredNumbers stored = layout.add(form.panels);
    list.put(form.constant);
    list.put(form.layout);
    list.put(stored.offset);
    list.put(uint64_t{form.panels.size()});
    list.put(stored.checksum);
  }
  return list.bytes();
}

// Numbers that any bytes are, and that nothing is indexed by: they may be mapped, even though somebody may yet write to the file.
bool may_be_mapped(DType dtype) { return is_float(dtype) || dtype == DType::kI8 || dtype == DType::kU8; }

struct ListedPanels {
  std::string constant, layout;
  PanelPlace place;
};

class CompiledFile {
 public:
  CompiledFile(FileDescriptor file, const std::string& path, const Limits& limits, Weights weights)
      : file_(std::move(file)), path_(path), limits_(limits), weights_(weights), size_(size_of_file(file_, path)) {}

  CompiledModel read(PackedConstants& packs) {
    read_text();
    CompiledModel model{read_graph(), nullptr};
    const std::vector<ListedPanels> listed = read_list(model.graph);
    model.panels = std::make_shared<PanelFile>(std::move(file_), path_, weights_);
    if (!has_own_panels(header_)) return model;
    for (const ListedPanels& panels : listed) {
      const Tensor& plain = model.graph.value(model.graph.find(panels.constant)).data;
      model.panels->add(panels.constant, panels.layout, plain.view().data, panels.place);
      announce_panels(packs, panels.constant, model.panels);
    }
    return model;
  }

  CompiledContents check() {
    read_text();
    const Graph graph = read_graph();
    contents_.file_bytes = size_;
    contents_.panels_fit = has_own_panels(header_);
    contents_.source = text_.substr(0, header_.source_bytes);
    for (const ListedPanels& panels : read_list(graph)) {
      const Tensor content = read_numbers(static_cast<int64_t>(panels.place.offset), DType::kU8, {static_cast<int64_t>(panels.place.bytes)});
      compare(content, panels.place.checksum);
      ++contents_.panels, contents_.panel_bytes += static_cast<int64_t>(panels.place.bytes);
    }
    return contents_;
  }

 private:
  // Header and text, which is all that opening a file has to read.
  void read_text() {
    header_ = read_compiled_header(file_, size_, path_);
    append_text(header_.source_bytes);
    require_own_kind(header_, text_);  // another kind may have other parts
    append_text(header_.record_bytes);
    append_text(header_.list_bytes);
    require(checksum_of(text_) == header_.text_checksum, "the file is damaged: a checksum does not fit");
    require(static_cast<int64_t>(header_.file_bytes) == size_, "the file has another length than it says (has, says)", size_, header_.file_bytes);
    if (weights_ == Weights::kMapped) mapped_ = std::make_shared<MappedFile>(file_, size_, path_);
  }

  void append_text(uint64_t bytes) {
    const size_t has = text_.size();
    const int64_t begin = kCompiledHeaderBytes + static_cast<int64_t>(has);
    require(bytes <= static_cast<uint64_t>(size_ - begin), "the file is cut short, or its header is damaged");
    text_.resize(has + static_cast<size_t>(bytes));
    read_exactly(file_, std::as_writable_bytes(std::span(text_).subspan(has)), begin, path_);
  }

  Graph read_graph() {
    const auto fetch = [this](const StoredNumbers& stored, DType dtype, const Shape& shape) { return this->fetch(stored, dtype, shape); };
    return tandem::read_graph(std::string_view(text_).substr(header_.source_bytes, header_.record_bytes), fetch, limits_);
  }

  std::vector<ListedPanels> read_list(const Graph& graph) const {
    ByteReader in(std::string_view(text_).substr(header_.source_bytes + header_.record_bytes));
    std::vector<ListedPanels> list(in.count(40));
    for (ListedPanels& panels : list) {
      panels.constant = in.text();
      panels.layout = in.text();
      const auto offset = in.get<uint64_t>();
      panels.place.bytes = in.get<uint64_t>();
      panels.place.checksum = in.get<uint64_t>();
      const ValueId id = graph.find(panels.constant);
      require(id != kNoValue && graph.value(id).kind == ValueKind::kConstant, "panels are of no constant of the graph", panels.constant);
      panels.place.offset = static_cast<uint64_t>(place_of(offset, panels.place.bytes));
    }
    require(in.at_end(), "bytes follow the list of panels");
    return list;
  }

  // Where in the file these numbers lie, if they do.
  int64_t place_of(uint64_t offset, uint64_t bytes) const {
    require(bytes <= static_cast<uint64_t>(limits_.tensor_bytes), "a tensor exceeds the limit (bytes, limit)", bytes, limits_.tensor_bytes);
    const auto size = static_cast<uint64_t>(size_);
    const bool is_aligned = header_.data % kLineBytes == 0 && offset % kLineBytes == 0;
    require(is_aligned && header_.data <= size && offset <= size - header_.data && bytes <= size - header_.data - offset,
            "numbers lie outside of the file (offset, bytes)", offset, bytes);
    return static_cast<int64_t>(header_.data + offset);
  }

  Tensor fetch(const StoredNumbers& stored, DType dtype, const Shape& shape) {
    const int64_t bytes = checked_mul(shape.elements(), static_cast<int64_t>(size_of(dtype)), "bytes of a tensor");
    const int64_t offset = place_of(stored.offset, static_cast<uint64_t>(bytes));
    ++contents_.tensors, contents_.tensor_bytes += bytes;
    if (bytes == 0) return Tensor(dtype, shape);
    if (mapped_ && bytes >= kLeastMapped && may_be_mapped(dtype)) return Tensor::over(part_of(mapped_, offset, bytes), dtype, shape);
    Tensor tensor = read_numbers(offset, dtype, shape);
    compare(tensor, stored.checksum);
    require_valid(std::as_const(tensor).view());
    return tensor;
  }

  Tensor read_numbers(int64_t offset, DType dtype, const Shape& shape) const {
    Tensor tensor = Tensor::unfilled(dtype, shape);
    read_exactly(file_, {tensor.view().data, tensor.bytes()}, offset, path_);
    return tensor;
  }

  static void compare(const Tensor& numbers, uint64_t sum) {
    require(checksum({numbers.view().data, numbers.bytes()}) == sum, "weights are damaged: a checksum does not fit");
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
  int64_t size_;
  CompiledHeader header_;
  std::string text_;
  CompiledContents contents_;
  std::shared_ptr<MappedFile> mapped_;  // null: tensors are read
};

// What is wrong with a file becomes a message that names it.
template <class Use>
auto naming(const std::filesystem::path& path, const Use& use) try {
  return use();
} catch (const Error& error) {
  throw Error(error.code(), path.filename().string() + ": " + error.what());
}

}  // namespace

void save_compiled(const Graph& graph, const std::filesystem::path& path, const std::string& source, std::span<const PanelForm> panels) {
  Layout layout;
  const std::string record = write_graph(graph, [&](const Tensor& tensor) { return layout.add({tensor.view().data, tensor.bytes()}); });
  const std::string list = write_list(panels, layout), text = source + record + list;
  CompiledHeader header = own_compiled_header();
  header.source_bytes = source.size();
  header.record_bytes = record.size();
  header.list_bytes = list.size();
  header.text_checksum = checksum_of(text);
  const int64_t data = round_up_to(kCompiledHeaderBytes + static_cast<int64_t>(text.size()), layout.alignment());
  header.data = static_cast<uint64_t>(data);
  header.file_bytes = static_cast<uint64_t>(data + layout.bytes());
  const std::string head = to_bytes(header) + text;
  const std::string padding(static_cast<size_t>(data) - head.size(), '\0');
  std::vector<std::string_view> pieces = {head, padding};
  pieces.insert(pieces.end(), layout.pieces().begin(), layout.pieces().end());
  write_file(path, pieces);
}

bool is_compiled(const FileDescriptor& file) { return begins_as_compiled(file); }

CompiledModel load_compiled(FileDescriptor file, const std::filesystem::path& path, PackedConstants& packs, const Limits& limits, Weights weights) {
  return naming(path, [&] { return CompiledFile(std::move(file), path.string(), limits, weights).read(packs); });
}

CompiledContents check_compiled(FileDescriptor file, const std::filesystem::path& path, const Limits& limits) {
  return naming(path, [&] { return CompiledFile(std::move(file), path.string(), limits, Weights::kCopied).check(); });
}

}  // namespace tandem
