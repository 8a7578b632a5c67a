#include "models/data/decompress.h"

#include <lzma.h>
#include <zlib.h>

#include <algorithm>
#include <memory>

#include "kernels/base/error.h"
#include "runtime/io/file.h"

namespace tandem {
namespace {

constexpr std::string_view kGzipMagic{"\x1f\x8b", 2};
constexpr std::string_view kXzMagic{
    "\xfd"
    "7zXZ\0",
    6};
constexpr uint64_t kXzMemory = uint64_t{256} << 20;  // of the decoder; xz -9 needs 65 MiB
constexpr size_t kChunk = size_t{1} << 18;

[[noreturn]] void damaged(std::string_view source, std::string_view kind, std::string_view cause, size_t offset) {
  fail(ErrorCode::kInvalidArgument, "compressed data is damaged or cut short",
       {source, kind, cause, "byte " + std::to_string(offset)});
}

// Makes room behind the `used` bytes of `out`, never past limit + 1: content grows as it arrives, not by a claimed size.
void grow(std::string& out, size_t used, int64_t limit, std::string_view source) {
  require(used <= static_cast<size_t>(limit), "unpacked content exceeds the limit", source, "limit in bytes", limit);
  const size_t wanted = std::max(kChunk, used * 2);
  out.resize(std::max(used + 1, std::min(wanted, static_cast<size_t>(limit) + 1)));
}

// zlib counts input in 32 bits: feeds `bytes` in slices. `window_bits` picks gzip (16 + 15) or raw deflate (-15).
class Inflater {
 public:
  Inflater(int window_bits, std::string_view bytes, std::string_view source) : bytes_(bytes), source_(source) {
    ensure(inflateInit2(&stream_, window_bits) == Z_OK, "zlib could not be initialised");
  }
  ~Inflater() { inflateEnd(&stream_); }
  Inflater(const Inflater&) = delete;
  Inflater& operator=(const Inflater&) = delete;

  std::string unpack(int64_t limit, bool members) {
    std::string out;
    size_t used = 0;
    while (true) {
      if (used == out.size()) grow(out, used, limit, source_);
      const bool ended = step(out, used);
      if (ended && (!members || at_ == bytes_.size())) break;
      if (ended) {
        ensure(inflateReset(&stream_) == Z_OK, "zlib could not be reset");
      }
    }
    require(used <= static_cast<size_t>(limit), "unpacked content exceeds the limit", source_, "limit in bytes", limit);
    out.resize(used);
    return out;
  }

 private:
  // One call of inflate; true at the end of a stream.
  bool step(std::string& out, size_t& used) {
    const size_t in = std::min(bytes_.size() - at_, size_t{1} << 30), room = std::min(out.size() - used, size_t{1} << 30);
    stream_.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes_.data() + at_));
    stream_.avail_in = static_cast<uInt>(in);
    stream_.next_out = reinterpret_cast<Bytef*>(out.data() + used);
    stream_.avail_out = static_cast<uInt>(room);
    const int code = inflate(&stream_, Z_NO_FLUSH);
    at_ += in - stream_.avail_in;
    used += room - stream_.avail_out;
    if (code == Z_STREAM_END) return true;
    if (code == Z_BUF_ERROR || (code == Z_OK && at_ == bytes_.size() && stream_.avail_out > 0))
      damaged(source_, "deflate", "ends too early", at_);
    if (code != Z_OK) damaged(source_, "deflate", stream_.msg ? stream_.msg : zError(code), at_);
    return false;
  }

  z_stream stream_ = {};
  std::string_view bytes_;
  std::string_view source_;
  size_t at_ = 0;
};

std::string unpack_xz(std::string_view bytes, std::string_view source, int64_t limit) {
  lzma_stream stream = LZMA_STREAM_INIT;
  const std::unique_ptr<lzma_stream, decltype(&lzma_end)> owner(&stream, lzma_end);
  ensure(lzma_stream_decoder(&stream, kXzMemory, LZMA_CONCATENATED) == LZMA_OK, "liblzma could not be initialised");
  stream.next_in = reinterpret_cast<const uint8_t*>(bytes.data());
  stream.avail_in = bytes.size();
  std::string out;
  size_t used = 0;
  lzma_ret code = LZMA_OK;
  while (code == LZMA_OK) {
    if (used == out.size()) grow(out, used, limit, source);
    stream.next_out = reinterpret_cast<uint8_t*>(out.data() + used);
    stream.avail_out = out.size() - used;
    code = lzma_code(&stream, LZMA_FINISH);
    used = out.size() - stream.avail_out;
  }
  if (code != LZMA_STREAM_END) {
    const std::string cause =
        code == LZMA_MEMLIMIT_ERROR ? "needs more than 256 MiB to unpack" : "liblzma code " + std::to_string(code);
    damaged(source, "xz", cause, bytes.size() - stream.avail_in);
  }
  require(used <= static_cast<size_t>(limit), "unpacked content exceeds the limit", source, "limit in bytes", limit);
  out.resize(used);
  return out;
}

}  // namespace

std::string decompress(std::string bytes, std::string_view source, int64_t limit) {
  if (bytes.starts_with(kGzipMagic)) return Inflater(16 + MAX_WBITS, bytes, source).unpack(limit, true);
  if (bytes.starts_with(kXzMagic)) return unpack_xz(bytes, source, limit);
  return bytes;
}

std::string read_data_file(const std::filesystem::path& path, int64_t limit) {
  return decompress(read_file(path, limit), path.string(), limit);
}

std::string inflate_raw(std::string_view bytes, int64_t size, std::string_view source) {
  std::string out = Inflater(-MAX_WBITS, bytes, source).unpack(size, false);
  require(static_cast<int64_t>(out.size()) == size, "unpacked size differs from the stated one", source, out.size(), size);
  return out;
}

}  // namespace tandem
