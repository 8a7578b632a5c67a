// The part of NVRTC's C interface that is used, after nvrtc.h of CUDA 13.0; enums are ints.
#pragma once

#include <cstddef>

namespace tandem::cuda {

struct Nvrtc {
  using Program = void*;
  int (*version)(int* major, int* minor);
  const char* (*status_text)(int);
  int (*create)(Program*, const char* source, const char* name, int headers, const char* const* contents,
                const char* const* names);
  int (*destroy)(Program*);
  int (*compile)(Program, int options, const char* const* texts);
  int (*log_bytes)(Program, size_t*);
  int (*log)(Program, char*);
  int (*cubin_bytes)(Program, size_t*);
  int (*cubin)(Program, char*);
};

}  // namespace tandem::cuda
