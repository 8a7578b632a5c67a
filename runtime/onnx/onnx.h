// ONNX models (IR 3 to 13, ai.onnx up to kOnnxOpset, ai.onnx.ml up to kOnnxMlOpset) to Graph and back.
//
// A file is untrusted: every size is checked before memory is taken for it, nothing recurses on its content, external data is
// opened only beneath the model's own folder. Every fault is an InvalidArgument that names the node, value or field.
#pragma once

#include <filesystem>
#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "runtime/graph/graph.h"
#include "runtime/graph/limits.h"
#include "runtime/io/file_descriptor.h"

namespace tandem {

// How weights that lie in files of their own come into memory. Mapping takes no time, and processes share the pages; but a file that is cut short
// in place then ends the process (SIGBUS), so what has to live on copies. One that is replaced by a rename does no harm.
enum class Weights : uint8_t { kCopied, kMapped };

using NameSet = std::set<std::string, std::less<>>;

// Initializers and Constant nodes become constants; types are inferred by the ops; nodes are put in an order in which they can
// run. An initializer that is listed as an input too is that input's default: it becomes an input only if `given` has its name (other
// names there mean nothing). Throws NotFound for a file that is not there, InvalidArgument for a broken or unsupported one (all
// unsupported ops in one error).
Graph load_onnx(const std::filesystem::path& path, const Limits& limits = {}, const NameSet& given = {}, Weights weights = Weights::kCopied);
// The same of an open file; `folder` as below.
Graph load_onnx(FileDescriptor file, const std::filesystem::path& folder, const Limits& limits = {}, const NameSet& given = {},
                Weights weights = Weights::kCopied);

// The same for bytes in memory. `folder` is where external data may lie; without one a model that has such data is refused.
Graph parse_onnx(std::string_view bytes, const std::filesystem::path& folder = {}, const Limits& limits = {}, const NameSet& given = {});

// The opset is `opset` (0: kOnnxOpset, or the nearest in which all nodes mean the same), the IR version 10 or what that needs; constants and
// states become initializers, fused ops the standard ones they stand for. The same graph gives the same bytes. Throws InvalidArgument naming an
// internal op that ONNX has no form for, a node whose op means something else in the opset asked for, and for a model over protobuf's 2 GiB.
std::string serialize_onnx(const Graph& graph, int opset = 0);

// Whether weights go into a file of their own, beside the model and named as it is with ".data" behind: if the model would be over protobuf's
// 2 GiB, or always. Offsets in it are multiples of a page (4096 bytes), of large tensors of 64 KiB, so that they can be mapped anywhere.
enum class ExternalData : uint8_t { kIfNeeded, kAlways };

// The same into a file, whole or not at all. With weights in a file of their own that one is written first and the model last; a model that was
// there is taken away before its data is replaced, so that a crash leaves none rather than one with the weights of the other.
void save_onnx(const Graph& graph, const std::filesystem::path& path, int opset = 0, ExternalData external = ExternalData::kIfNeeded);

}  // namespace tandem
