// Encoded pictures to pixels: PNG, JPEG, BMP, TIFF, PBM, PGM and PPM, and WebP and JPEG 2000 where their libraries are there
// (ONNX ImageDecoder-20).
//
// The bytes are untrusted: memory is taken for what they hold, not for what they claim.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tandem {

enum class PixelFormat : uint8_t { kRgb, kBgr, kGrayscale };

struct DecodedImage {
  int64_t height = 0, width = 0, channels = 0;
  std::vector<uint8_t> samples;  // [height, width, channels]
};

// All zero for bytes that are broken or of no format known here. Transparency is dropped, 16-bit samples are cut to 8. Gray is
// (19595 R + 38470 G + 7471 B) / 65536, rounded. Throws Unavailable for a picture whose format needs a library that this build or
// machine lacks.
DecodedImage decode_image(std::span<const uint8_t> bytes, PixelFormat format);

}  // namespace tandem
