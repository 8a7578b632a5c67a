// Walks protobuf's wire format (encoding: protobuf.dev/programming-guides/encoding): ModelProto.graph.initializer.raw_data. All other fields are
// copied as they are, and the lengths around what is left out are written anew. No step depends on a claimed size: a length is believed if the
// message around it has room for it.
#include "runtime/onnx/model_file.h"

#include <algorithm>
#include <optional>
#include <vector>

namespace tandem {
namespace {

constexpr int64_t kWindow = 64 << 10;  // read at a time
constexpr int64_t kLeast = 16 << 10;   // raw data of fewer bytes stays in the message

// Field numbers of onnx.proto.
constexpr uint64_t kGraph = 7, kInitializer = 5, kRawData = 9;

enum WireType : uint64_t { kVarint = 0, kFixed64 = 1, kLength = 2, kFixed32 = 5 };
constexpr uint64_t tag(uint64_t field, WireType type) { return field << 3 | type; }

void put_varint(std::string& out, uint64_t value) {
  for (; value >= 0x80; value >>= 7) out += static_cast<char>(value | 0x80);
  out += static_cast<char>(value);
}

void put_message(std::string& out, uint64_t field, const std::string& message) {
  put_varint(out, tag(field, kLength));
  put_varint(out, message.size());
  out += message;
}

// What is read of a file from front to back, a window at a time.
class Window {
 public:
  explicit Window(const FileDescriptor& file, int64_t size) : file_(file), size_(size) {}

  int64_t position() const { return position_; }
  void skip(int64_t bytes) { position_ += bytes; }

  // REQUIRES: position() < size. Nothing beyond `size` is ever asked for.
  uint8_t next() {
    if (position_ < start_ || position_ >= start_ + static_cast<int64_t>(bytes_.size())) fill();
    return static_cast<uint8_t>(bytes_[static_cast<size_t>(position_++ - start_)]);
  }

  void append(std::string& out, int64_t bytes) {
    const size_t old = out.size();
    out.resize(old + static_cast<size_t>(bytes));
    const auto to = std::as_writable_bytes(std::span(out)).subspan(old);
    if (position_ >= start_ && position_ + bytes <= start_ + static_cast<int64_t>(bytes_.size()))
      std::copy_n(bytes_.begin() + (position_ - start_), bytes, to.begin());
    else
      read_exactly(file_, to, position_, "the model");
    position_ += bytes;
  }

 private:
  void fill() {
    bytes_.resize(static_cast<size_t>(std::min(kWindow, size_ - position_)));
    start_ = position_;
    read_exactly(file_, bytes_, start_, "the model");
  }

  const FileDescriptor& file_;
  int64_t size_, position_ = 0, start_ = 0;
  std::vector<std::byte> bytes_;
};

// Every function returns false where the file is not as a writer of models would write it.
class Walker {
 public:
  Walker(const FileDescriptor& file, int64_t size) : window_(file, size), size_(size) {}

  bool model(ModelFile& out) {
    bool has_graph = false;
    while (window_.position() < size_) {
      uint64_t key = 0;
      if (!varint(size_, key)) return false;
      if (key != tag(kGraph, kLength)) {
        if (!copy_field(key, size_, out.message)) return false;
        continue;
      }
      int64_t end = 0;
      std::string content;
      if (has_graph || !message_end(size_, end) || !graph(end, content, out.raw)) return false;  // two graphs would have to be merged
      has_graph = true;
      put_message(out.message, kGraph, content);
    }
    return true;
  }

 private:
  bool graph(int64_t end, std::string& out, RawRanges& raw) {
    for (int initializer = 0; window_.position() < end;) {
      uint64_t key = 0;
      if (!varint(end, key)) return false;
      if (key != tag(kInitializer, kLength)) {
        if (!copy_field(key, end, out)) return false;
        continue;
      }
      int64_t tensor_end = 0;
      std::string content;
      std::optional<FileRange> range;
      if (!message_end(end, tensor_end) || !tensor(tensor_end, content, range)) return false;
      if (range) raw.emplace(initializer, *range);
      put_message(out, kInitializer, content);
      ++initializer;
    }
    return true;
  }

  bool tensor(int64_t end, std::string& out, std::optional<FileRange>& range) {
    for (bool has_raw = false; window_.position() < end;) {
      uint64_t key = 0;
      if (!varint(end, key)) return false;
      if (key == tag(kRawData, kLength) && std::exchange(has_raw, true)) return false;  // the last one would count
      const int64_t at = window_.position();
      int64_t data_end = 0;
      if (key == tag(kRawData, kLength) && !message_end(end, data_end)) return false;
      if (data_end - window_.position() >= kLeast) {
        range = {window_.position(), data_end - window_.position()};
        window_.skip(range->bytes);
      } else {
        window_.skip(at - window_.position());
        if (!copy_field(key, end, out)) return false;
      }
    }
    return true;
  }

  // A field without the tag, which is `key`.
  bool copy_field(uint64_t key, int64_t end, std::string& out) {
    put_varint(out, key);
    uint64_t value = 0;
    switch (key & 7) {
      case kVarint:
        if (!varint(end, value)) return false;
        put_varint(out, value);
        return true;
      case kFixed64: return copy(8, end, out);
      case kFixed32: return copy(4, end, out);
      case kLength:
        if (!varint(end, value) || value > static_cast<uint64_t>(end - window_.position())) return false;
        put_varint(out, value);
        return copy(static_cast<int64_t>(value), end, out);
      default: return false;  // groups are not written any more
    }
  }

  bool copy(int64_t bytes, int64_t end, std::string& out) {
    if (bytes > end - window_.position()) return false;
    window_.append(out, bytes);
    return true;
  }

  bool varint(int64_t end, uint64_t& value) {
    value = 0;
    for (int shift = 0; shift < 64 && window_.position() < end; shift += 7) {
      const uint8_t byte = window_.next();
      value |= static_cast<uint64_t>(byte & 0x7f) << shift;
      if (byte < 0x80) return true;
    }
    return false;
  }

  // Where the message or the bytes end whose length comes next.
  bool message_end(int64_t outer_end, int64_t& end) {
    uint64_t length = 0;
    if (!varint(outer_end, length) || length > static_cast<uint64_t>(outer_end - window_.position())) return false;
    end = window_.position() + static_cast<int64_t>(length);
    return true;
  }

  Window window_;
  int64_t size_;
};

}  // namespace

ModelFile read_model_file(const FileDescriptor& file, int64_t size) {
  ModelFile model;
  if (Walker(file, size).model(model)) return model;
  model.raw.clear();
  model.message.resize(static_cast<size_t>(size));
  read_exactly(file, std::as_writable_bytes(std::span(model.message)), 0, "the model");
  return model;
}

}  // namespace tandem
