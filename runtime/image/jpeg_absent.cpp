#include "runtime/image/picture.h"

namespace tandem::image {

Picture read_jpeg(Bytes) { fail(ErrorCode::kUnavailable, "this build has no libjpeg, which JPEG pictures need"); }

}  // namespace tandem::image
