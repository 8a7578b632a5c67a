// WebP by libwebp, which is opened when the first such picture comes: three functions of its stable interface.
#include <dlfcn.h>

#include "runtime/image/picture.h"

namespace tandem::image {
namespace {

struct Library {
  int (*size)(const uint8_t* data, size_t bytes, int* width, int* height) = nullptr;
  uint8_t* (*decode)(const uint8_t* data, size_t bytes, int* width, int* height) = nullptr;
  void (*release)(void* memory) = nullptr;

  Library() {
    void* const library = dlopen("libwebp.so.7", RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) return;
    decode = reinterpret_cast<decltype(decode)>(dlsym(library, "WebPDecodeRGB"));
    size = reinterpret_cast<decltype(size)>(dlsym(library, "WebPGetInfo"));
    release = reinterpret_cast<decltype(release)>(dlsym(library, "WebPFree"));
  }
};

}  // namespace

Picture read_webp(Bytes bytes) {
  static const Library library;
  check(library.size && library.decode && library.release, ErrorCode::kUnavailable,
        "no libwebp.so.7 is installed, which WebP pictures need");
  int width = 0, height = 0;
  expect(library.size(bytes.data(), bytes.size(), &width, &height) && is_plausible(width, height, bytes),
         "WebP that libwebp does not read");
  uint8_t* const pixels = library.decode(bytes.data(), bytes.size(), &width, &height);
  expect(pixels != nullptr, "WebP that libwebp does not read");
  Picture picture{.width = width, .height = height, .channels = 3, .samples = {}};
  picture.samples.assign(pixels, pixels + int64_t{3} * width * height);
  library.release(pixels);
  return picture;
}

}  // namespace tandem::image
