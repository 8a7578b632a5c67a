// A product of an image and one number a channel goes into the pointwise convolution that reads it, in bf16 with channels last:
//
//   Bf16ChannelsLastConv(Cast(Mul(Cast(x), s)), w, ...)    =>   tandem.Bf16ChannelsLastConv(x, w, ..., s)      s [batch or 1, 1..., channels]
//
// The end of squeeze-and-excitation (Hu et al., 2018): the image is scaled block by block on its way into the product and never stored. Rounded
// as before, so results have the same bits. Behind bf16_storage, on plans for the CPU. Left alone: products that others read, wider kernels.
#include <algorithm>
#include <iterator>

#include "runtime/graph/contexts.h"
#include "runtime/ops/all_ops.h"
#include "runtime/passes/pass.h"
#include "runtime/passes/pattern.h"

namespace tandem {
namespace {

constexpr size_t kScale = 4;  // the input of the convolution

class Fusion {
 public:
  Fusion(Graph& graph, PassNotes& notes) : graph_(graph), notes_(notes), pattern_(graph) {}

  int run() {
    int changes = 0;
    for (size_t n = 0; n < graph_.nodes.size(); ++n)
      if (PatternGraph::is(graph_.nodes[n], "Bf16ChannelsLastConv", "tandem")) changes += fuse(n);
    pattern_.finish();
    return changes;
  }

 private:
  const Dims* dims(ValueId id) const { return pattern_.type(id).dims ? &*pattern_.type(id).dims : nullptr; }

  // The kernel covers one pixel, every pixel is read, and nothing beside the image.
  bool is_pointwise(const Node& conv) const {
    const NodeContext context(conv);
    const Dims* w = dims(conv.inputs[1]);
    const auto are_all = [&](std::string_view name, int64_t wanted) {
      return std::ranges::all_of(context.get_ints(name), [&](int64_t i) { return i == wanted; });
    };
    return w && std::all_of(w->begin() + 2, w->end(), [](const Dim& d) { return d == Dim(1); }) && context.get_int("group", 1) == 1 &&
           are_all("strides", 1) && are_all("pads", 0);
  }

  bool is_scale_of(ValueId s, const Dims& image) const {
    const Dims* scale = dims(s);
    if (!scale || pattern_.type(s).dtype != DType::kF32 || scale->size() != image.size() || scale->back() != image.back()) return false;
    return ((*scale)[0] == Dim(1) || (*scale)[0] == image[0]) &&
           std::all_of(scale->begin() + 1, scale->end() - 1, [](const Dim& d) { return d == Dim(1); });
  }

  bool fuse(size_t n) {
    const Node& conv = graph_.nodes[n];
    const Node* narrow = pattern_.maker(conv.inputs[0], "Cast");
    const Node* product = narrow ? pattern_.maker(narrow->inputs[0], "Mul") : nullptr;
    if (!product || conv.inputs.size() > kScale || !is_pointwise(conv)) return false;
    for (const size_t side : {0, 1}) {
      const Node* wide = pattern_.maker(product->inputs[side], "Cast");
      const ValueId image = wide ? wide->inputs[0] : kNoValue, scale = product->inputs[1 - side];
      if (image == kNoValue || pattern_.type(image).dtype != DType::kBF16 || !pattern_.same_shape(image, conv.inputs[0]) ||
          !is_scale_of(scale, *dims(image)))
        continue;
      return replace(n, image, scale);
    }
    return false;
  }

  bool replace(size_t n, ValueId image, ValueId scale) {
    Node fused = graph_.nodes[n];
    std::vector<ValueId> leaves = {image, scale};
    std::ranges::copy_if(fused.inputs.begin() + 1, fused.inputs.end(), std::back_inserter(leaves), [](ValueId id) { return id != kNoValue; });
    const Cut cut = pattern_.cut(n, leaves);
    if (!cut) {
      notes_.near_miss(graph_, graph_.nodes[n], "its image is not scaled by it: " + cut.obstacle);
      return false;
    }
    fused.inputs.resize(kScale, kNoValue);
    fused.inputs[0] = image;
    fused.inputs.push_back(scale);
    pattern_.replace(n, cut, std::move(fused));
    return true;
  }

  Graph& graph_;
  PassNotes& notes_;
  PatternGraph pattern_;
};

int apply(Graph& graph, PassNotes& notes) { return Fusion(graph, notes).run(); }

}  // namespace

const Pass channel_scale_fusion_pass = {"channel_scale_fusion", "scale images by channel as pointwise convolutions read them, in bf16", apply};

}  // namespace tandem
