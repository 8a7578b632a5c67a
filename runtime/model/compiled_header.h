// The first bytes of a compiled model: what made it, and how long its parts are.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/io/file_descriptor.h"

namespace tandem {

inline constexpr int64_t kCompiledHeaderBytes = 256;
inline constexpr int64_t kLineBytes = 64, kFilePageBytes = 4096;  // what numbers are aligned to in the file, and large ones
constexpr int64_t round_up_to(int64_t n, int64_t multiple) { return (n + multiple - 1) / multiple * multiple; }

struct CompiledHeader {
  char magic[8] = {};
  uint32_t format = 0, unused = 0;
  char version[32] = {}, isa[32] = {};  // text, zeros behind it
  uint64_t source_bytes = 0, record_bytes = 0, file_bytes = 0;
  uint64_t text_checksum = 0;    // of the name of the source, the record and the list of panels
  uint64_t list_bytes = 0;       // of the list of panels
  uint64_t data = 0;             // where the numbers begin
  char build[64] = {};           // of the program that packed the panels
  uint64_t header_checksum = 0;  // of all before it
};
static_assert(sizeof(CompiledHeader) <= kCompiledHeaderBytes && std::is_trivially_copyable_v<CompiledHeader>);

// Of this program and machine, its sizes still to be filled in.
CompiledHeader own_compiled_header();
// The header as it begins the file, its checksum made.
std::string to_bytes(CompiledHeader header);

bool begins_as_compiled(const FileDescriptor& file);
// Throws InvalidArgument for a file that is too short or a header that is damaged; what it says is not yet compared with the file.
CompiledHeader read_compiled_header(const FileDescriptor& file, int64_t file_bytes, const std::string& path);

// Throws InvalidArgument for another format, version or instruction set, naming both and the command that makes the file anew from `source`.
void require_own_kind(const CompiledHeader& header, const std::string& source);
// Whether panels are laid out as this program reads them: the very same build made them.
bool has_own_panels(const CompiledHeader& header);

}  // namespace tandem
