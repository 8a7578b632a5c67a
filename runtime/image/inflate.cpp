#include <zlib.h>

#include <array>

#include "runtime/image/picture.h"

namespace tandem::image {

std::vector<uint8_t> inflated(Bytes bytes, int64_t most) {
  expect(bytes.size() <= UINT32_MAX, "compressed data is too long");
  z_stream stream{};
  expect(inflateInit(&stream) == Z_OK, "zlib does not start");
  stream.next_in = const_cast<Bytef*>(bytes.data());
  stream.avail_in = static_cast<uInt>(bytes.size());
  std::vector<uint8_t> all;
  std::array<uint8_t, 64 * 1024> piece;
  int state = Z_OK;
  while (state == Z_OK && static_cast<int64_t>(all.size()) < most) {
    stream.next_out = piece.data();
    stream.avail_out = static_cast<uInt>(piece.size());
    state = inflate(&stream, Z_NO_FLUSH);
    all.insert(all.end(), piece.begin(), piece.end() - stream.avail_out);
  }
  inflateEnd(&stream);
  expect(state == Z_STREAM_END || static_cast<int64_t>(all.size()) >= most, "compressed data is broken");
  if (static_cast<int64_t>(all.size()) > most) all.resize(static_cast<size_t>(most));
  return all;
}

}  // namespace tandem::image
