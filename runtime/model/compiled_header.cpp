#include "runtime/model/compiled_header.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <filesystem>

#include "kernels/api/isa.h"
#include "kernels/base/error.h"
#include "runtime/io/file.h"
#include "runtime/io/mapped_file.h"
#include "runtime/model/build_id.h"
#include "runtime/model/checksum.h"

namespace tandem {
namespace {

constexpr char kMagic[8] = {'\x89', 'T', 'D', 'M', '\r', '\n', '\x1a', '\n'};  // as PNG's: shows what text modes and 7 bits do to a file
constexpr uint32_t kFormat = 2;

template <size_t N>
void put_text(char (&field)[N], std::string_view text) {
  ensure(text.size() < N, "a text is too long for the header", text);
  text.copy(field, N);
}
template <size_t N>
std::string text_of(const char (&field)[N]) {
  return {field, std::find(field, field + N, '\0')};
}

uint64_t checksum_of(const CompiledHeader& header) {
  return checksum({reinterpret_cast<const std::byte*>(&header), offsetof(CompiledHeader, header_checksum)});
}

std::string own_build() { return build_id().substr(0, sizeof(CompiledHeader::build) - 1); }

}  // namespace

CompiledHeader own_compiled_header() {
  CompiledHeader header;
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  header.format = kFormat;
  put_text(header.version, TANDEM_VERSION);
  put_text(header.isa, name(cpu::chosen_isa()));
  put_text(header.build, own_build());
  return header;
}

std::string to_bytes(CompiledHeader header) {
  header.header_checksum = checksum_of(header);
  std::string bytes(static_cast<size_t>(kCompiledHeaderBytes), '\0');
  std::memcpy(bytes.data(), &header, sizeof(header));
  return bytes;
}

bool begins_as_compiled(const FileDescriptor& file) {
  char magic[sizeof(kMagic)] = {};
  if (size_of_file(file, "the model") < static_cast<int64_t>(sizeof(magic))) return false;
  read_exactly(file, std::as_writable_bytes(std::span(magic)), 0, "the model");
  return std::ranges::equal(magic, kMagic);
}

CompiledHeader read_compiled_header(const FileDescriptor& file, int64_t file_bytes, const std::string& path) {
  CompiledHeader header;
  require(file_bytes >= kCompiledHeaderBytes, "the file is cut short (bytes)", file_bytes);
  read_exactly(file, std::as_writable_bytes(std::span(&header, 1)), 0, path);
  // The checksum lay elsewhere in the first format.
  require(header.format != kFormat || checksum_of(header) == header.header_checksum, "the header is damaged: its checksum does not fit");
  return header;
}

void require_own_kind(const CompiledHeader& header, const std::string& source) {
  const std::string isa(name(cpu::chosen_isa()));
  if (header.format == kFormat && text_of(header.version) == TANDEM_VERSION && text_of(header.isa) == isa) return;
  const std::string file = std::filesystem::path(source).filename().string();  // where it lay is none of a client's business
  fail(ErrorCode::kInvalidArgument, "it was compiled by Tandem " + text_of(header.version) + " for " + text_of(header.isa) + ", and this is " +
                                        TANDEM_VERSION + " for " + isa + "; make it anew: tandem compile " + file + " -o FILE.tdm");
}

bool has_own_panels(const CompiledHeader& header) { return !own_build().empty() && text_of(header.build) == own_build(); }

}  // namespace tandem
