// The panels of a compiled model, in its file.
#pragma once

#include <atomic>
#include <map>
#include <utility>

#include "runtime/graph/kept_panels.h"
#include "runtime/io/file_descriptor.h"
#include "runtime/onnx/onnx.h"

namespace tandem {

// Where panels lie in the file.
struct PanelPlace {
  uint64_t offset = 0, bytes = 0, checksum = 0;
};

// How many forms plans took from a file, and how many they packed that it lacks.
struct PanelCounts {
  int64_t kept = 0, packed = 0;
};

// Large ones are mapped, and not looked at before a kernel reads them: whatever they hold is numbers, and a kernel reads as many as fit the room
// that it made. All others are read, and their checksums compared.
class PanelFile : public PanelKeeper {
 public:
  PanelFile(FileDescriptor file, std::string path, Weights weights) : file_(std::move(file)), path_(std::move(path)), weights_(weights) {}

  // `plain`: the constant's numbers, from the same file. REQUIRES a place within it.
  void add(const std::string& constant, const std::string& layout, const std::byte* plain, const PanelPlace& place);
  PanelCounts counts() const { return {kept_, packed_}; }

  bool fill(const std::string& constant, std::string_view layout, const std::byte* plain, std::span<std::byte> room) override;
  void packed(const std::string&, std::string_view, const std::byte*, std::span<const std::byte>, std::any) override { ++packed_; }

 private:
  struct Form {
    const std::byte* plain;
    PanelPlace place;
  };
  FileDescriptor file_;
  std::string path_;
  Weights weights_;
  std::map<std::pair<std::string, std::string>, Form> forms_;
  std::atomic<int64_t> kept_{0}, packed_{0};
};

}  // namespace tandem
