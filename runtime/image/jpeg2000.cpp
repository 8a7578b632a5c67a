// JPEG 2000 by OpenJPEG, which is opened when the first such picture comes. The types below are those of its stable interface
// (openjpeg.h 2.0 to 2.5); of the parameters only the size matters, which has room to grow.
#include <dlfcn.h>

#include <array>
#include <cstddef>
#include <memory>
#include <type_traits>

#include "runtime/image/picture.h"

namespace tandem::image {
namespace {

struct Component {
  uint32_t dx, dy, width, height, x0, y0, precision, unused, is_signed, resolution, factor;
  int32_t* data;
  uint16_t alpha;
};
struct Image {
  uint32_t x0, y0, x1, y1, components;
  int32_t color_space;
  Component* component;
};
constexpr int32_t kYcc = 3;
constexpr int kRawCodec = 0, kFileCodec = 2;

struct Library {
  void* (*create)(int codec) = nullptr;
  void (*defaults)(void* parameters) = nullptr;
  int (*setup)(void* codec, void* parameters) = nullptr;
  void* (*stream_create)(size_t buffer, int is_input) = nullptr;
  void (*stream_data)(void* stream, void* data, void (*release)(void*)) = nullptr;
  void (*stream_length)(void* stream, uint64_t bytes) = nullptr;
  void (*stream_read)(void* stream, size_t (*)(void* buffer, size_t bytes, void* data)) = nullptr;
  void (*stream_skip)(void* stream, int64_t (*)(int64_t bytes, void* data)) = nullptr;
  void (*stream_seek)(void* stream, int (*)(int64_t at, void* data)) = nullptr;
  int (*read_header)(void* stream, void* codec, Image** image) = nullptr;
  int (*decode)(void* codec, void* stream, Image* image) = nullptr;
  void (*image_destroy)(Image* image) = nullptr;
  void (*stream_destroy)(void* stream) = nullptr;
  void (*codec_destroy)(void* codec) = nullptr;
  bool whole = true;

  Library() {
    void* const library = dlopen("libopenjp2.so.7", RTLD_NOW | RTLD_LOCAL);
    const auto find = [&](auto& function, const char* name) {
      function = library ? reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name)) : nullptr;
      whole = whole && function != nullptr;
    };
    find(create, "opj_create_decompress"), find(defaults, "opj_set_default_decoder_parameters"), find(setup, "opj_setup_decoder");
    find(stream_create, "opj_stream_create"), find(stream_data, "opj_stream_set_user_data");
    find(stream_length, "opj_stream_set_user_data_length"), find(stream_read, "opj_stream_set_read_function");
    find(stream_skip, "opj_stream_set_skip_function"), find(stream_seek, "opj_stream_set_seek_function");
    find(read_header, "opj_read_header"), find(decode, "opj_decode"), find(image_destroy, "opj_image_destroy");
    find(stream_destroy, "opj_stream_destroy"), find(codec_destroy, "opj_destroy_codec");
  }
};

// The bytes as the library's stream reads them.
struct Source {
  Bytes bytes;
  size_t at = 0;

  static size_t read(void* buffer, size_t count, void* data) {
    Source& source = *static_cast<Source*>(data);
    const size_t n = std::min(count, source.bytes.size() - source.at);
    std::copy_n(source.bytes.begin() + static_cast<std::ptrdiff_t>(source.at), n, static_cast<uint8_t*>(buffer));
    source.at += n;
    return n ? n : static_cast<size_t>(-1);
  }
  static int64_t skip(int64_t count, void* data) {
    Source& source = *static_cast<Source*>(data);
    return seek(static_cast<int64_t>(source.at) + count, data) ? count : -1;
  }
  static int seek(int64_t at, void* data) {
    Source& source = *static_cast<Source*>(data);
    if (at < 0 || at > static_cast<int64_t>(source.bytes.size())) return 0;
    source.at = static_cast<size_t>(at);
    return 1;
  }
};

Picture picture_of(const Image& image) {
  const Component& first = image.component[0];
  Picture picture{.width = first.width, .height = first.height, .channels = image.components >= 3 ? 3 : 1, .samples = {}};
  check_size(picture.width, picture.height);
  expect(image.color_space != kYcc, "JPEG 2000 of a color space that is not read");
  for (int c = 0; c < picture.channels; ++c) {
    const Component& one = image.component[c];
    expect(one.data && one.width == first.width && one.height == first.height && one.precision >= 1 && one.precision <= 16,
           "JPEG 2000 with components of different sizes is not read");
  }
  for (int64_t i = 0; i < picture.width * picture.height; ++i)
    for (int c = 0; c < picture.channels; ++c) {
      const Component& one = image.component[c];
      const int bits = static_cast<int>(one.precision), value = one.data[i] + (one.is_signed ? 1 << (bits - 1) : 0);
      picture.samples.push_back(static_cast<uint8_t>(std::clamp(bits >= 8 ? value >> (bits - 8) : value << (8 - bits), 0, 255)));
    }
  return picture;
}

}  // namespace

Picture read_jpeg2000(Bytes bytes) {
  static const Library library;
  check(library.whole, ErrorCode::kUnavailable, "no libopenjp2.so.7 is installed, which JPEG 2000 pictures need");
  Source source{bytes};
  alignas(16) std::array<std::byte, 32 * 1024> parameters{};
  void* const codec = library.create(bytes[0] == 0xFF ? kRawCodec : kFileCodec);
  void* const stream = library.stream_create(64 * 1024, 1);
  library.stream_data(stream, &source, nullptr);
  library.stream_length(stream, bytes.size());
  library.stream_read(stream, Source::read);
  library.stream_skip(stream, Source::skip);
  library.stream_seek(stream, Source::seek);
  library.defaults(parameters.data());
  Image* image = nullptr;
  bool whole = library.setup(codec, parameters.data()) && library.read_header(stream, codec, &image);
  whole = whole && image->components >= 1 && is_plausible(int64_t{image->x1} - image->x0, int64_t{image->y1} - image->y0, bytes);
  whole = whole && library.decode(codec, stream, image);
  library.stream_destroy(stream);
  library.codec_destroy(codec);
  const auto release = [&](Image* of) { library.image_destroy(of); };
  const std::unique_ptr<Image, decltype(release)> owned(image, release);
  expect(whole, "JPEG 2000 that OpenJPEG does not read");
  return picture_of(*image);
}

}  // namespace tandem::image
