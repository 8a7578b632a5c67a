// The part of cuDNN 9's C interface that is used, after cudnn_graph_v9.h; enums are ints. Whoever needs more adds it here and in table.cpp.
#pragma once

#include <cstddef>

namespace tandem::cuda {

struct Cudnn {
  using Handle = void*;
  size_t (*version)();
  const char* (*status_text)(int);
  int (*create)(Handle*);
  int (*destroy)(Handle);
  int (*set_stream)(Handle, void* stream);
};

}  // namespace tandem::cuda
