// A sum of quantized tensors of which one is made by a channels-last convolution is a part of that convolution, with the same
// bits:
//
//   QuantizedAdd(ChannelsLastQuantizedConv(x, ...), other)    =>   ChannelsLastQuantizedConv(x, ..., other, ...)
//
// It runs on a block of the convolution's bytes while they are near. Behind layout_assignment, on plans for the CPU. Left alone:
// a convolution whose own result has other readers or is returned, and operands that are broadcast.
#include "runtime/passes/pass.h"
#include "runtime/passes/pattern.h"

namespace tandem {
namespace {

constexpr std::string_view kDomain = "tandem";
constexpr size_t kOperands = 10;                          // of a convolution without residual
constexpr size_t kFirst = 0, kSecond = 3, kSumScale = 6;  // inputs of QuantizedAdd: an operand, its scale, its zero point, ...

class Fusion {
 public:
  Fusion(Graph& graph, PassNotes& notes) : graph_(graph), notes_(notes), pattern_(graph) {}

  int run() {
    int changes = 0;
    for (size_t n = 0; n < graph_.nodes.size(); ++n) {
      const Node& node = graph_.nodes[n];
      if (!PatternGraph::is(node, "QuantizedAdd", kDomain)) continue;
      changes += fuse(n, kFirst, kSecond) || fuse(n, kSecond, kFirst);
    }
    pattern_.finish();
    return changes;
  }

 private:
  bool fuse(size_t sum, size_t own, size_t other) {
    const std::vector<ValueId>& inputs = graph_.nodes[sum].inputs;
    const Node* conv = pattern_.maker(inputs[own], "ChannelsLastQuantizedConv", kDomain);
    if (!conv || conv->inputs.size() > kOperands || !pattern_.same_shape(inputs[own], inputs[other])) return false;
    std::vector<ValueId> leaves = conv->inputs;
    leaves.push_back(inputs[other]);
    const Cut cut = pattern_.cut(sum, leaves);
    if (!cut) {
      notes_.near_miss(graph_, graph_.nodes[sum], "not a part of the convolution: " + cut.obstacle);
      return false;
    }
    Node fused = *conv;
    fused.inputs.resize(kOperands, kNoValue);
    for (size_t i = 0; i < 3; ++i) fused.inputs.push_back(inputs[other + i]);
    for (size_t i = 0; i < 2; ++i) fused.inputs.push_back(inputs[kSumScale + i]);
    pattern_.replace(sum, cut, std::move(fused));
    return true;
  }

  Graph& graph_;
  PassNotes& notes_;
  PatternGraph pattern_;
};

int apply(Graph& graph, PassNotes& notes) { return Fusion(graph, notes).run(); }

}  // namespace

const Pass quantized_residual_fusion_pass = {"quantized_residual_fusion",
                                             "make sums of quantized tensors a part of the convolution before them", apply};

}  // namespace tandem
