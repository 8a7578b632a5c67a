// What the runtime knows of an operator: one object names its rule for shapes, its gradient and its kernels.
//
// The sorted list in runtime/ops/all_ops.cpp is the only registry. A kernel is *bound* once, when a Plan is made: attributes are read,
// weights packed, a tile size chosen; what comes back is called on every run and allocates nothing.
#pragma once

#include <functional>
#include <limits>
#include <span>
#include <string_view>

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

struct Node;
class Graph;
class InferenceContext;  // input types and shapes in, output types and shapes out
class GradientContext;   // values in, gradient nodes out
class BindContext;       // attributes, constant inputs and final shapes of one node
class EvaluateContext;   // values in, values out: runtime/graph/evaluate_context.h

using Inputs = std::span<const ConstTensorView>;  // one a node input; null where absent
using Outputs = std::span<const TensorView>;      // one a node output; null where absent

struct BoundKernel {
  std::function<void(const KernelContext&, Inputs, Outputs)> run;
  size_t workspace =
      0;  // bytes of scratch it wants in KernelContext::workspace, for the shapes it was bound with and all smaller
  size_t constant_bytes = 0;  // bytes it keeps for itself (packed weights)
};

enum class AliasKind : uint8_t {
  kMay,   // the output may take over the input's memory if nobody needs the input afterwards and the bytes are equal
  kView,  // the output is the input's memory under another shape: nothing is computed
  kMust,  // the output replaces the input, which is a state: an optimizer's update
};
struct Alias {
  int input, output;
  AliasKind kind = AliasKind::kMay;
};

// The CUDA twin's binder, or null in a build without kernels/cuda (nothing refers to the twin then).
constexpr auto on_cuda(BoundKernel (*bind)(const BindContext&)) { return TANDEM_HAS_CUDA ? bind : nullptr; }

// Inputs by number, as bits: input_set(0, 2) is 0b101.
template <class... Numbers>
constexpr uint32_t input_set(Numbers... numbers) {
  return ((uint32_t{1} << numbers) | ... | 0u);
}

// What an op does with elements, which tells what types its kernels take.
enum class Elements : uint8_t {
  kComputed,   // arithmetic. CPU: no f16 and bf16 (the plan puts casts to f32 around the node); GPU: no i16, u16, u32, u64 and none below
               // one byte (the node is placed on the CPU)
  kMoved,      // copied as they are: every type
  kConverted,  // from one type to another. CPU: every type; GPU: as kComputed
};

struct OpDef {
  std::string_view name;
  std::string_view domain = "";  // "" is ai.onnx; "ai.onnx.ml"; "tandem" for internal ones
  int since = 1;                 // opset in which this definition begins, and the one in which it has ended (exclusive)
  int until = std::numeric_limits<int>::max();
  int min_inputs = 1, max_inputs = 1;  // max_inputs = kVariadic: any number
  int min_outputs = 1, max_outputs = 1;
  std::span<const std::string_view> attributes = {};  // every attribute name it knows; others are refused
  void (*infer)(InferenceContext&) = nullptr;
  void (*gradient)(GradientContext&) = nullptr;       // null: not differentiable
  BoundKernel (*cpu)(const BindContext&) = nullptr;   // null for a pure view
  BoundKernel (*cuda)(const BindContext&) = nullptr;  // on_cuda(...); null: placed on the CPU, visibly
  // Packs constant inputs for `cpu`, by BindContext::packed, as far as that needs attributes and constants alone: called when a plan is made,
  // for steps too that only the run can bind. Returns those (input_set) whose content the kernel then does without: the plan lets go of a
  // constant that all its readers have packed. Null: nothing is packed.
  uint32_t (*pack)(const BindContext&) = nullptr;
  // In place of a kernel, for an op whose outputs no shape rule can foretell (NonZero), that takes or makes sequences and optional values,
  // or has subgraphs. It runs on the host and makes its outputs itself.
  void (*evaluate)(EvaluateContext&) = nullptr;
  uint32_t host_inputs = 0;   // input_set: read by the binder's closure on the host (axes, starts, repeats), also when it runs on a GPU
  uint32_t shape_inputs = 0;  // input_set: only the shape is looked at, never the content
  Elements elements = Elements::kComputed;
  std::span<const Alias> aliases = {};
  // Only for ops whose kView output does not start where its input does (tandem.View).
  int64_t (*view_offset_bytes)(const Graph&, const Node&) = nullptr;
  // Only for ops whose inputs may be made in place inside output 0 (tandem.Pack): the byte offset of input `i`,
  // or -1 if the shapes leave it open (then the kernel copies).
  int64_t (*placement_offset_bytes)(const Graph&, const Node&, int i) = nullptr;
  // Floating-point operations of one run at these shapes; null: one per output element.
  double (*flops)(const BindContext&) = nullptr;
  bool stateful = false;  // reads a clock, other ranks or a device: never folded, merged or dropped
};
inline constexpr int kVariadic = std::numeric_limits<int>::max();

// The definitions of one file of runtime/ops.
using OpFamily = std::span<const OpDef* const>;

}  // namespace tandem
