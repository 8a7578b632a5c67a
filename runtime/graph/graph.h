// The one IR: a directed acyclic graph of nodes over named values. Plain data; rules live in ops/, rewrites in passes/.
//
// Nodes are kept in an order in which they can run. A value is an input of the graph, a constant, a state (a tensor that
// lives from run to run: a weight in training, an optimizer's moment, a step counter) or the output of one node.
// A state changes only through a node whose OpDef says that an output *must* take over the state's memory.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "runtime/graph/tensor.h"

namespace tandem {

struct OpDef;  // runtime/graph/op_def.h

using ValueId = int32_t;
inline constexpr ValueId kNoValue = -1;  // an optional input or output that is absent

// One dimension: a number, a named symbol ("batch"), or neither (unknown).
struct Dim {
  int64_t size = -1;
  std::string symbol;

  Dim() = default;
  Dim(int64_t fixed) : size(fixed) {}
  Dim(std::string name) : symbol(std::move(name)) {}
  Dim(const char* name) : symbol(name) {}
  bool known() const { return size >= 0; }
  bool operator==(const Dim&) const = default;
};
using Dims = std::vector<Dim>;

// "[batch, 3, ?]"
std::string to_string(const Dims& dims);
// The shape if all dimensions are known.
std::optional<Shape> fixed_shape(const Dims& dims);
Dims to_dims(const Shape& shape);

// What a value is made of: one tensor; a sequence of tensors; one of these that may be absent (ONNX TypeProto).
enum class Container : uint8_t { kTensor, kSequence, kOptional, kOptionalSequence };

struct TensorType {
  DType dtype = DType::kUndefined;
  std::optional<Dims> dims = {};  // empty: not even the rank is known. Of a sequence: what all its tensors have in common
  Container container = Container::kTensor;
};

class Graph;
// The body of If, Loop, Scan. It stands alone: a value that it takes from the graph around it is one more input of the body, after the formal
// ones, and one more input of the node, after its own; a node with two bodies has those of the first (by attribute name) before those of the
// second. ONNX's outer names are resolved to that by the importer.
using Subgraph = std::shared_ptr<const Graph>;

using Attribute = std::variant<int64_t, float, std::string, std::vector<int64_t>, std::vector<float>, std::vector<std::string>, Tensor,
                               Subgraph>;
using Attributes = std::map<std::string, Attribute, std::less<>>;

enum class ValueKind : uint8_t { kInput, kConstant, kState, kResult };

struct Value {
  std::string name;  // unique in the graph
  TensorType type;
  ValueKind kind = ValueKind::kResult;
  Tensor data;  // a constant's content; a state's content at the start
};

struct Node {
  const OpDef* def = nullptr;  // the definition in force: name, domain and version
  std::string name;
  std::vector<ValueId> inputs;   // kNoValue for an absent optional one
  std::vector<ValueId> outputs;  // likewise
  Attributes attributes;
};

class Graph {
 public:
  std::string name = "main";
  std::map<std::string, int, std::less<>> opsets;  // domain -> version; "" is ai.onnx
  std::vector<Value> values;                       // indexed by ValueId
  std::vector<Node> nodes;
  std::vector<ValueId> inputs;
  std::vector<ValueId> outputs;
  int captured_inputs = 0;                      // of a body: how many inputs, the last ones, come from the graph around it
  std::map<std::string, std::string> metadata;  // ONNX metadata_props and producer notes

  Value& value(ValueId id) { return values[static_cast<size_t>(id)]; }
  const Value& value(ValueId id) const { return values[static_cast<size_t>(id)]; }

  ValueId add_input(std::string name, DType dtype, Dims dims);
  ValueId add_constant(std::string name, Tensor data);
  ValueId add_state(std::string name, Tensor initial);
  ValueId add_result(std::string name);
  // Appends a node whose outputs are new values; their types are inferred at once. A name already taken gets a suffix.
  // Throws InvalidArgument if the op does not take these inputs or attributes.
  std::vector<ValueId> add_node(const OpDef& def, std::vector<ValueId> inputs, int outputs, Attributes attributes = {},
                                std::string name = "");

  // Throws NotFound naming the nearest name.
  ValueId find(std::string_view name) const;
  // A name nobody has yet, now taken: `base`, or `base` with a number.
  std::string unique_name(std::string_view base);

  // For each value the indices of the nodes that read it (once per node).
  std::vector<std::vector<int>> consumers() const;
  // For each value the index of the node that makes it, or -1.
  std::vector<int> producers() const;

 private:
  void reserve_name(const std::string& name);
  ValueId add_value(Value value);

  std::map<std::string, int, std::less<>> names_;  // every name in use -> the last suffix tried for it
};

// Throws Internal (InvalidArgument for an imported graph's faults) naming node and value unless: every value is made once and
// before it is read, names are unique, types are set and equal what the ops infer, a state is not read after it was replaced.
void verify(const Graph& graph);

// One line a node: "%y: f32[batch, 10] = Gemm(%x, %w, %b) {transB=1}". Stable, made for tests and for reading.
std::string to_text(const Graph& graph);

}  // namespace tandem
