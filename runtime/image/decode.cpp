#include "runtime/image/decode.h"

#include <string_view>

#include "runtime/image/picture.h"

namespace tandem {
namespace {

using namespace std::string_view_literals;

struct Format {
  std::string_view signature;
  image::Picture (*read)(image::Bytes);
};
constexpr Format kFormats[] = {
    {"\x89PNG\r\n\x1a\n"sv, image::read_png},
    {"\xFF\xD8\xFF"sv, image::read_jpeg},
    {"BM"sv, image::read_bmp},
    {"II*\0"sv, image::read_tiff},
    {"MM\0*"sv, image::read_tiff},
    {"RIFF"sv, image::read_webp},
    {"\0\0\0\x0cjP  "sv, image::read_jpeg2000},
    {"\xFF\x4F\xFF\x51"sv, image::read_jpeg2000},
    {"P1"sv, image::read_pnm},
    {"P2"sv, image::read_pnm},
    {"P3"sv, image::read_pnm},
    {"P4"sv, image::read_pnm},
    {"P5"sv, image::read_pnm},
    {"P6"sv, image::read_pnm},
};

uint8_t gray(const uint8_t* rgb) {
  return static_cast<uint8_t>((19595u * rgb[0] + 38470u * rgb[1] + 7471u * rgb[2] + 32768u) >> 16);
}

DecodedImage in_format(const image::Picture& picture, PixelFormat format) {
  DecodedImage out{
      .height = picture.height, .width = picture.width, .channels = format == PixelFormat::kGrayscale ? 1 : 3, .samples = {}};
  const auto step = static_cast<size_t>(picture.channels);
  out.samples.reserve(picture.samples.size() / step * static_cast<size_t>(out.channels));
  for (size_t i = 0; i < picture.samples.size(); i += step) {
    const uint8_t* pixel = picture.samples.data() + i;
    const size_t blue = step - 1, green = step / 2;
    if (format == PixelFormat::kGrayscale)
      out.samples.push_back(step == 1 ? *pixel : gray(pixel));
    else if (format == PixelFormat::kRgb)
      out.samples.insert(out.samples.end(), {pixel[0], pixel[green], pixel[blue]});
    else
      out.samples.insert(out.samples.end(), {pixel[blue], pixel[green], pixel[0]});
  }
  return out;
}

}  // namespace

DecodedImage decode_image(std::span<const uint8_t> bytes, PixelFormat format) {
  for (const Format& known : kFormats) {
    if (!image::starts_with(bytes, known.signature)) continue;
    try {
      return in_format(known.read(bytes), format);
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kInvalidArgument) throw;
      return {};
    }
  }
  return {};
}

}  // namespace tandem
