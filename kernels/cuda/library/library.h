// NVIDIA's libraries, found at run time by dlopen: one program runs with and without them. The table is in table.cpp.
//
// A library is looked for when first asked for, once for the process. Absence is no error: there is always another way, and the status says
// what it costs. Folders of the environment variable TANDEM_CUDA_LIBRARY_PATH (separated by colons) are looked at first. A program on the
// emulator looks only there: a real library knows nothing of the emulator's memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tandem::cuda {

enum class Library : uint8_t { kCublasLt, kCudnn, kNvrtc, kNccl };
inline constexpr Library kLibraries[] = {Library::kCublasLt, Library::kCudnn, Library::kNvrtc, Library::kNccl};

struct LibraryStatus {
  std::string_view name;         // "cuBLASLt"
  std::string path;              // of the file that was opened, also of one that cannot be used; "": none
  int64_t version = 0;           // major * 10000 + minor * 100 + patch; 0: unknown
  std::string missing_symbol;    // the first one the file lacks, or ""
  std::string problem;           // why it is not used: "not found", "version 8.9.0 is older than 9.0.0"; "": it is used
  std::string_view consequence;  // what it costs without
  bool usable() const { return problem.empty(); }
};

// "13.1.0"
std::string version_text(int64_t version);

const LibraryStatus& library_status(Library library);

// The entry points, or null where the library cannot be used. cublas_lt.h, cudnn.h, nvrtc.h and nccl.h here have what they point to.
struct CublasLt;
struct Cudnn;
struct Nvrtc;
struct Nccl;
const CublasLt* cublas_lt();
const Cudnn* cudnn();
const Nvrtc* nvrtc();
const Nccl* nccl();

// What the table knows of one library.
struct LibraryEntry {
  struct Symbol {
    const char* name;
    size_t offset;  // of its pointer in the struct of entry points
  };
  std::string_view name;
  std::vector<std::string> sonames;  // the best first
  int64_t least_version;
  const char* version_symbol;
  int64_t (*read_version)(void* symbol);
  std::vector<Symbol> symbols;
  std::string_view consequence;
};
const LibraryEntry& library_entry(Library library);

// Opens the first file that will do and sets the pointers of `entry_points` (a struct of them); "" as a folder stands for the linker's own
// search. What is opened stays open. Never throws for a file that is absent or wrong.
LibraryStatus open_library(const LibraryEntry& entry, std::span<const std::string> folders, void* entry_points);

// Where this program looks, in order (search.cpp).
std::vector<std::string> library_folders();

}  // namespace tandem::cuda
