// Lets a program find the stand-in of NCCL, where it was built, before anything asks for a library.
#pragma once

#include <dlfcn.h>

#include <cstdlib>

#include "kernels/cuda/library/library.h"
#include "tests/support/fake_libraries/folder.h"
#include "tests/support/fake_libraries/nccl.h"

namespace tandem::test {

inline void use_fake_nccl() {
  if (const std::string folder = fake_library_folder("nccl"); !folder.empty())
    setenv("TANDEM_CUDA_LIBRARY_PATH", folder.c_str(), 1);
}

// Null: NCCL is the real one, or not there.
inline FakeNccl* fake_nccl() {
  const cuda::LibraryStatus& status = cuda::library_status(cuda::Library::kNccl);
  void* const opened = status.usable() ? dlopen(status.path.c_str(), RTLD_NOW | RTLD_NOLOAD) : nullptr;
  void* const made = opened ? dlsym(opened, "fake_nccl") : nullptr;
  return made ? reinterpret_cast<FakeNccl* (*)()>(made)() : nullptr;
}

}  // namespace tandem::test
