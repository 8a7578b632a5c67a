// A graph after all passes, kept in a file (.tdm) that opens without parsing, passes, packing or copies of weights.
//
// Layout, little-endian:
//   0    the header (compiled_header.h): versions, lengths, checksums
//   256  the name of the source, the record of the graph (graph_record.h), the list of its panels: constant, layout, place and checksum of each
//        at multiples of 64, large ones of 4096: the numbers of its tensors, then the panels, of all a checksum in the record or the list
// Passes may choose by version and instruction set, so a file of another one is refused, with the command that makes it anew. How panels are laid
// out is the business of one build: to another one they are not there, and it packs the plain numbers.
//
// Checksums find damage. Compared are those of the text and of all that is read; what is mapped (numbers of 64 KiB and more of which any bytes are
// values that index nothing, panels of 1 MiB and more) is not touched by opening it, and check_compiled() compares the rest. What a stranger made
// passes checksums and is judged like any model: every offset and type, then verify(). Weights in either form can only be wrong numbers.
#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "runtime/graph/graph.h"
#include "runtime/graph/limits.h"
#include "runtime/io/file_descriptor.h"
#include "runtime/model/panel_file.h"
#include "runtime/model/panel_recorder.h"
#include "runtime/onnx/onnx.h"

namespace tandem {

// `source`: the model that the graph is of, as the user named it. `panels`: of its constants. Whole or not at all. Throws InvalidArgument for a graph
// with states, else as write_file does.
void save_compiled(const Graph& graph, const std::filesystem::path& path, const std::string& source, std::span<const PanelForm> panels = {});

// Whether the file begins as one of these does.
bool is_compiled(const FileDescriptor& file);

struct CompiledModel {
  Graph graph;
  std::shared_ptr<PanelFile> panels;  // announced in `packs`; never null
};

// `path` is for messages. Throws InvalidArgument for a damaged file, one of another version or instruction set, and a graph that does not verify.
CompiledModel load_compiled(FileDescriptor file, const std::filesystem::path& path, PackedConstants& packs, const Limits& limits = {},
                            Weights weights = Weights::kCopied);

// What a file holds. Bytes of numbers are those of the tensors and the panels themselves.
struct CompiledContents {
  int64_t file_bytes = 0, tensors = 0, tensor_bytes = 0, panels = 0, panel_bytes = 0;
  bool panels_fit = false;  // this build made them
  std::string source;
};
// Reads it all and compares every checksum. Throws as load_compiled does.
CompiledContents check_compiled(FileDescriptor file, const std::filesystem::path& path, const Limits& limits = {});

}  // namespace tandem
