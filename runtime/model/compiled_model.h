// A graph after all passes, kept in a file (.tdm) that opens without parsing, passes or copies of weights.
//
// Layout, little-endian:
//   0    magic, format version, Tandem's version, instruction set, place and checksum of the record and of the name of the source; checksum of these
//   256  the name of the source, then the record (graph_record.h)
//        at multiples of 64, in the order of the record: the numbers of its tensors, each with a checksum in the record
// Passes may choose by version and instruction set, so a file of another one is refused, with the command that makes it anew. Checksums find damage;
// what a stranger made passes them and is judged like any model: every offset and type, then verify().
#pragma once

#include <filesystem>
#include <string>

#include "runtime/graph/graph.h"
#include "runtime/graph/limits.h"
#include "runtime/io/file_descriptor.h"
#include "runtime/onnx/onnx.h"

namespace tandem {

// `source`: the model that the graph is of, as the user named it. Whole or not at all. Throws InvalidArgument for a graph with states, else as
// write_file does.
void save_compiled(const Graph& graph, const std::filesystem::path& path, const std::string& source);

// Whether the file begins as one of these does.
bool is_compiled(const FileDescriptor& file);

// `path` is for messages. Throws InvalidArgument for a damaged file, one of another version or instruction set, and a graph that does not verify.
Graph load_compiled(FileDescriptor file, const std::filesystem::path& path, const Limits& limits = {}, Weights weights = Weights::kCopied);

}  // namespace tandem
