// The narrow windows through which an OpDef sees the graph: one for its shape rule, one for its kernels. The third, for its gradient, emits
// nodes and so needs the list of operators: runtime/ops/gradient_context.h.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/graph/graph.h"
#include "runtime/graph/op_def.h"
#include "runtime/graph/packed_constants.h"

namespace tandem {

// The attributes and arity of one node, with errors that name it. Base of the three contexts.
class NodeContext {
 public:
  explicit NodeContext(const Node& node) : node_(node) {}
  const Node& node() const { return node_; }
  int inputs() const { return static_cast<int>(node_.inputs.size()); }
  int outputs() const { return static_cast<int>(node_.outputs.size()); }
  bool has_input(int i) const { return i < inputs() && node_.inputs[static_cast<size_t>(i)] != kNoValue; }
  bool has_output(int i) const { return i < outputs() && node_.outputs[static_cast<size_t>(i)] != kNoValue; }

  bool has_attribute(std::string_view name) const { return node_.attributes.contains(name); }
  // Each throws InvalidArgument if the attribute is there with another type.
  int64_t get_int(std::string_view name, int64_t fallback) const;
  float get_float(std::string_view name, float fallback) const;
  std::string get_string(std::string_view name, std::string_view fallback) const;
  std::vector<int64_t> get_ints(std::string_view name) const;  // empty if absent
  std::vector<float> get_floats(std::string_view name) const;  // empty if absent
  std::vector<std::string> get_strings(std::string_view name) const;
  Tensor get_tensor(std::string_view name) const;  // null tensor if absent
  Subgraph get_graph(std::string_view name) const;  // null if absent
  // `axis` in [-rank, rank) made non-negative. Throws InvalidArgument otherwise.
  int normalized_axis(int64_t axis, int rank) const;

  // Throws InvalidArgument "[Op] text: values (node 'name')".
  template <class... Values>
  [[noreturn]] void reject(std::string_view text, const Values&... values) const {
    reject_with(text, {ErrorValue(values)...});
  }
  template <class... Values>
  void require(bool holds, std::string_view text, const Values&... values) const {
    if (!holds) [[unlikely]]
      reject_with(text, {ErrorValue(values)...});
  }

 protected:
  [[noreturn]] void reject_with(std::string_view text, std::initializer_list<ErrorValue> values) const;
  const Node& node_;
};

// Shapes may hold symbols and unknowns; the same rule runs again with all of them bound to numbers before memory is planned.
class InferenceContext : public NodeContext {
 public:
  // What is known of the content of small integer tensors (shapes, axes, repeats): one Dims entry an element.
  using KnownContents = std::vector<std::optional<Dims>>;  // indexed by ValueId

  InferenceContext(Graph& graph, const Node& node, KnownContents* contents = nullptr)
      : NodeContext(node), graph_(graph), contents_(contents) {}

  const TensorType& type(int i) const { return graph_input(i).type; }
  DType dtype(int i) const;
  bool has_rank(int i) const;
  const Dims& dims(int i) const;  // REQUIRES has_rank(i)
  int rank(int i) const { return static_cast<int>(dims(i).size()); }
  const Tensor* constant(int i) const;       // the content of a constant input, else null
  std::optional<Dims> content(int i) const;  // elements of a small integer tensor as dims, as far as known

  void set_output(int i, DType dtype, std::optional<Dims> dims);
  void set_output_type(int i, TensorType type);
  void set_output_like(int output, int input) { set_output_type(output, type(input)); }
  void set_content(int output, Dims elements);

  // Throw InvalidArgument naming node, input and types.
  void require_tensor(int i) const;  // not a sequence, not an optional value
  void require_float(int i) const;
  void require_number(int i) const;
  void require_dtype(int i, DType dtype) const;
  void require_same_dtype(int a, int b) const;
  // The broadcast of the shapes of two inputs (symbols equal or 1; an unknown against a known number is that number).
  std::optional<Dims> broadcast_dims(int a, int b) const;
  std::optional<Dims> broadcast_dims(const std::optional<Dims>& a, const std::optional<Dims>& b) const;

 private:
  const Value& graph_input(int i) const { return graph_.value(node_.inputs[static_cast<size_t>(i)]); }
  Graph& graph_;
  KnownContents* contents_;
};

// Checks the arity and attributes of `node` and sets the types of its outputs by its OpDef's rule.
void infer_types(Graph& graph, const Node& node, InferenceContext::KnownContents* contents = nullptr);

// All shapes are numbers here: the largest that the plan allows. A run may bring smaller ones along symbolic dimensions.
class BindContext : public NodeContext {
 public:
  // `packs`: of the plan that this is for; null for a kernel that is bound once and let go.
  BindContext(const Graph& graph, const Node& node, std::span<const Shape> shapes, int threads, PackedConstants* packs = nullptr)
      : NodeContext(node), graph_(graph), shapes_(shapes), threads_(threads), packs_(packs) {}

  DType dtype(int i) const { return graph_.value(node_.inputs[static_cast<size_t>(i)]).type.dtype; }
  const Shape& shape(int i) const { return shapes_[static_cast<size_t>(node_.inputs[static_cast<size_t>(i)])]; }
  DType output_dtype(int i) const { return graph_.value(node_.outputs[static_cast<size_t>(i)]).type.dtype; }
  const Shape& output_shape(int i) const { return shapes_[static_cast<size_t>(node_.outputs[static_cast<size_t>(i)])]; }
  int rank(int i) const { return shape(i).rank(); }
  const Tensor* constant(int i) const;  // the content of a constant input, else null
  // The same where only its form matters: the content of what all its readers have packed is gone.
  bool is_constant(int i) const;
  int threads() const { return threads_; }

  // What `make(view)` makes of the content of constant input `i`, kept with the plan under the name of the constant and `layout`.
  template <class T, class Make>
  T packed(int i, std::string_view layout, Make&& make) const {
    const Value& value = graph_.value(node_.inputs[static_cast<size_t>(i)]);
    const auto make_now = [&] {
      ensure(static_cast<bool>(value.data), "a constant is gone that was not packed in this layout", value.name, layout);
      return T(make(value.data.view()));
    };
    return packs_ ? packs_->find_or_make<T>(value.name, layout, make_now, std::string(name(value.type.dtype)) + to_string(shape(i))) : make_now();
  }

 private:
  const Graph& graph_;
  std::span<const Shape> shapes_;  // indexed by ValueId
  int threads_;
  PackedConstants* packs_;
};

}  // namespace tandem
