// JPEG by libjpeg. Its errors leave by longjmp, so nothing with a destructor lives in the function that may be left.
#include <cstdio>  // jpeglib.h needs it
//
#include <jpeglib.h>
//
#include <jerror.h>

#include <csetjmp>

#include "runtime/image/picture.h"

namespace tandem::image {
namespace {

struct ErrorManager {
  jpeg_error_mgr base;
  std::jmp_buf escape;
};

[[noreturn]] void leave(j_common_ptr info) { std::longjmp(reinterpret_cast<ErrorManager*>(info->err)->escape, 1); }
// A file that ends early is broken; other warnings are not.
void warn(j_common_ptr info, int level) {
  if (level < 0 && info->err->msg_code == JWRN_JPEG_EOF) leave(info);
}

bool decode(Bytes bytes, jpeg_decompress_struct& info, Picture& picture) {
  ErrorManager errors;
  info.err = jpeg_std_error(&errors.base);
  errors.base.error_exit = leave;
  errors.base.emit_message = warn;
  if (setjmp(errors.escape)) return false;
  jpeg_create_decompress(&info);
  jpeg_mem_src(&info, bytes.data(), bytes.size());
  jpeg_read_header(&info, TRUE);
  if (!is_plausible(info.image_width, info.image_height, bytes)) return false;
  if (info.jpeg_color_space != JCS_GRAYSCALE) info.out_color_space = JCS_RGB;
  jpeg_start_decompress(&info);
  picture.width = info.output_width;
  picture.height = info.output_height;
  picture.channels = info.output_components;
  const size_t row = static_cast<size_t>(picture.width) * static_cast<size_t>(picture.channels);
  while (info.output_scanline < info.output_height) {
    picture.samples.resize(picture.samples.size() + row);
    JSAMPROW line = picture.samples.data() + picture.samples.size() - row;
    jpeg_read_scanlines(&info, &line, 1);
  }
  return true;
}

}  // namespace

Picture read_jpeg(Bytes bytes) {
  jpeg_decompress_struct info{};
  Picture picture;
  const bool whole = decode(bytes, info, picture);
  jpeg_destroy_decompress(&info);
  expect(whole, "JPEG that libjpeg does not read");
  return picture;
}

}  // namespace tandem::image
