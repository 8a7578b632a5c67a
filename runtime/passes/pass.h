// A pass: one rewrite of a graph that leaves what it computes unchanged.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/graph/graph.h"

namespace tandem {

// A place where a pass nearly did something: all of a pattern was there but one thing.
struct NearMiss {
  std::string node;  // its name, or its first output's where it has none
  std::string why;   // what was in the way: "the sum %s is also read by ..."
};

// What a pass tells of its work, beside the number of changes.
class PassNotes {
 public:
  // Only for what a reader would expect to match: the core of the pattern was there.
  void near_miss(const Graph& graph, const Node& node, std::string why);
  const std::vector<NearMiss>& near_misses() const { return near_misses_; }

 private:
  std::vector<NearMiss> near_misses_;
};

struct Pass {
  std::string_view name;         // snake_case, as given to --disable
  std::string_view description;  // one line for `tandem inspect --passes`
  // Returns the number of changes; the graph is well-formed and free of unused nodes of its own making afterwards.
  int (*rewrite)(Graph&, PassNotes&) = nullptr;
  int apply(Graph& graph) const {
    PassNotes notes;
    return rewrite(graph, notes);
  }
};

// One pass, one file. Sources and rules stand there.
extern const Pass attention_fusion_pass;
extern const Pass batch_norm_folding_pass;
extern const Pass bf16_products_pass;
extern const Pass bf16_storage_pass;
extern const Pass branch_inlining_pass;
extern const Pass byte_table_fusion_pass;
extern const Pass channel_scale_fusion_pass;
extern const Pass common_subexpression_pass;
extern const Pass constant_folding_pass;
extern const Pass dead_code_pass;
extern const Pass einsum_products_pass;
extern const Pass elementwise_regions_pass;
extern const Pass dequantization_folding_pass;
extern const Pass embedding_bag_fusion_pass;
extern const Pass epilogue_fusion_pass;
extern const Pass gelu_fusion_pass;
extern const Pass gradient_fusion_pass;
extern const Pass group_normalization_fusion_pass;
extern const Pass identity_removal_pass;
extern const Pass layout_assignment_pass;
extern const Pass normalization_fusion_pass;
extern const Pass part_simplification_pass;
extern const Pass qdq_elementwise_fusion_pass;
extern const Pass qdq_movement_pass;
extern const Pass qdq_product_fusion_pass;
extern const Pass quantized_mean_fusion_pass;
extern const Pass quantized_residual_fusion_pass;
extern const Pass reshape_simplification_pass;
extern const Pass rotary_fusion_pass;
extern const Pass row_products_pass;
extern const Pass size_sharing_pass;
extern const Pass transpose_sinking_pass;

}  // namespace tandem
