// Only what is mapped to be run or read and never written: what relocations have changed lies in other segments, which would be lost.
#include "kernels/base/program_pages.h"

#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>

namespace tandem {
namespace {

int return_code_of(dl_phdr_info* library, size_t, void*) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  for (int i = 0; i < library->dlpi_phnum; ++i) {
    const auto& segment = library->dlpi_phdr[i];
    if (segment.p_type != PT_LOAD || (segment.p_flags & PF_W) != 0) continue;
    const uintptr_t begin = (library->dlpi_addr + segment.p_vaddr) / page * page;
    const uintptr_t end = (library->dlpi_addr + segment.p_vaddr + segment.p_memsz + page - 1) / page * page;
    ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);  // the kernel's own page of code refuses
  }
  return 0;
}

}  // namespace

void return_program_pages() { ::dl_iterate_phdr(return_code_of, nullptr); }

}  // namespace tandem
