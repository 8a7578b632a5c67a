// What attention_fusion finds of an attention that is written out: the operands, what masks and scales the scores, and how heads or windows
// are parted from the batch on the way. Two readers fill it: attention_scores.cpp from the softmax back to the first product,
// attention_operands.cpp from both products back to Q, K and V.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/passes/pattern.h"

namespace tandem {

// Q, K or V on the way back from its product.
struct AttentionOperand {
  ValueId value = kNoValue;
  ValueId leaf = kNoValue;      // where the pattern ends: `value`, or what a Reshape that others read too makes of it
  std::vector<int64_t> perm;  // of the Transpose that stands for those passed
  double factor = 1;
  int64_t repeats = 1;  // of each head
};

struct AttentionMask {
  ValueId leaf = kNoValue;   // where the pattern ends
  ValueId value = kNoValue;  // what the fused node reads
  bool hides = false;        // of bools: true where a key is hidden
  double hidden = 0;
  size_t scores_rank = 0;    // of the scores that it masks
  bool rewritten = false;    // `hidden` is not the number in the graph
};

// Scores that a Reshape gives one more axis, in front: [batch * heads, rows, keys] to [batch, heads, rows, keys], or [batch * windows, heads,
// rows, keys] to five axes. Another Reshape takes it back.
struct AttentionGrouping {
  Dim batch, groups;
};

struct AttentionMatch {
  ValueId product = kNoValue;  // Q K^T
  AttentionOperand q, k, v;
  std::vector<AttentionMask> masks;  // in the order in which they are applied
  double scale = 1, cap = 0;
  std::optional<double> floor;    // a bound that is below all finite scores
  ValueId head_scale = kNoValue;  // [heads, 1, 1]: one more factor of the scores
  bool guarded = false;
  std::optional<AttentionGrouping> grouping;
  std::vector<ValueId> shapes;  // that Reshapes and Expands on the way read: others may read them too
  std::string obstacle;
};

// From the second operand's product back over softmax, masks and scales. The product Q K^T, or null if this is no attention; `match` then
// holds what was passed, and an obstacle if it cannot be fused.
const Node* read_scores(const PatternGraph& pattern, const Node& second_product, AttentionMatch& match);

// Q, K and V as far back as nobody else (`uses`: readers by value) reads what lies between and the kernel can walk the layout. Fills the
// obstacle.
void read_attention_operands(const PatternGraph& pattern, const std::vector<int>& uses, const Node& first_product, const Node& second_product,
                             AttentionMatch& match);

// How the two values are grouped if one is the other with its first axis parted in two; else nothing. All dimensions must agree for certain.
std::optional<AttentionGrouping> grouping_between(const PatternGraph& pattern, ValueId one, ValueId other);

}  // namespace tandem
