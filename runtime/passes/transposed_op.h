// How an op that comes after a Transpose is computed before it: f(Transpose(x)) = Transpose(f'(x)).
#pragma once

#include <map>
#include <optional>

#include "runtime/passes/permutation.h"

namespace tandem {

// What f' may be.
enum class TransposedOps : uint8_t {
  kStandard,  // f with other attributes: what can be exported, and run anywhere
  kForHost,   // also an op that only a plan for the CPU has: pools with channels last
};

// f', and the order of the Transpose behind it.
struct TransposedOp {
  enum class Inputs : uint8_t {
    kFirst,      // input 0 is the tensor, the others stay what they are
    kBroadcast,  // all inputs are tensors that broadcast to the rank of the order
    kAll,        // all inputs are tensors of the rank of the order
  };
  Inputs inputs = Inputs::kFirst;
  Permutation order;  // of all outputs; shorter or longer than the inputs' if axes go or come
  Attributes attributes;
  const OpDef* def = nullptr;  // null: f's own
  std::map<size_t, std::vector<int64_t>> lists = {};  // inputs that become these constants
};

// Nothing if the op looks at the order of the axes in another way than by naming some of them. `order` has the rank of the transposed input.
std::optional<TransposedOp> transposed_op(const Graph& graph, const Node& node, const Permutation& order, TransposedOps allowed);

}  // namespace tandem
