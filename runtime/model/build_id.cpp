// Walks the notes of the program, the first object that dl_iterate_phdr tells (elf(5), dl_iterate_phdr(3)).
#include "runtime/model/build_id.h"

#include <elf.h>
#include <link.h>

#include <cstddef>
#include <span>
#include <string_view>

namespace tandem {
namespace {

constexpr size_t round_up(size_t n) { return (n + 3) / 4 * 4; }

std::string hex(std::span<const unsigned char> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (unsigned char byte : bytes) {
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string build_id_in(std::span<const unsigned char> notes) {
  while (notes.size() >= sizeof(ElfW(Nhdr))) {
    const auto& note = *reinterpret_cast<const ElfW(Nhdr)*>(notes.data());
    const size_t name = sizeof(note), content = name + round_up(note.n_namesz), end = content + round_up(note.n_descsz);
    if (end > notes.size()) break;
    const std::string_view owner(reinterpret_cast<const char*>(notes.data()) + name, note.n_namesz);
    if (note.n_type == NT_GNU_BUILD_ID && owner == std::string_view("GNU", 4)) return hex(notes.subspan(content, note.n_descsz));
    notes = notes.subspan(end);
  }
  return "";
}

int visit_program(dl_phdr_info* info, size_t, void* result) {
  for (const ElfW(Phdr) & header : std::span(info->dlpi_phdr, info->dlpi_phnum)) {
    if (header.p_type != PT_NOTE) continue;
    const auto* notes = reinterpret_cast<const unsigned char*>(info->dlpi_addr + header.p_vaddr);
    std::string& id = *static_cast<std::string*>(result);
    if (id = build_id_in({notes, header.p_memsz}); !id.empty()) break;
  }
  return 1;  // the program comes first: go no further
}

}  // namespace

std::string build_id() {
  std::string id;
  dl_iterate_phdr(visit_program, &id);
  return id;
}

}  // namespace tandem
