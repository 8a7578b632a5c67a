// ai.onnx.ml OneHotEncoder (1): a category, text or integer, becomes a row of zeros with a one at its place in the list. What is
// not in the list becomes all zeros (zeros = 1, the default) or an error that names it (zeros = 0; on a GPU a row of NaN).
#include <memory>

#include "kernels/api/encoders.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"cats_int64s", "cats_strings", "zeros"};

// The list of categories as a 1-D tensor.
Tensor categories_of(const NodeContext& node) {
  const auto texts = node.get_strings("cats_strings");
  const auto numbers = node.get_ints("cats_int64s");
  node.require(texts.empty() != numbers.empty(), "exactly one of cats_strings and cats_int64s is needed (strings, ints)",
               texts.size(), numbers.size());
  if (!texts.empty()) return Tensor::strings({static_cast<int64_t>(texts.size())}, std::span<const std::string>(texts));
  return Tensor::of<int64_t>({static_cast<int64_t>(numbers.size())}, numbers);
}

void infer(InferenceContext& node) {
  const Tensor categories = categories_of(node);
  const DType type = node.dtype(0);
  if (categories.dtype() == DType::kString) {
    node.require_dtype(0, DType::kString);
  } else {
    node.require(type == DType::kI64 || type == DType::kI32 || type == DType::kF32 || type == DType::kF64,
                 "input must be a number: the categories are integers", name(type));
  }
  std::optional<Dims> y;
  if (node.has_rank(0)) {
    y = node.dims(0);
    y->push_back(categories.elements());
  }
  node.set_output(0, DType::kF32, std::move(y));
}

template <auto kernel>
BoundKernel bind(const BindContext& node) {
  const auto index = std::make_shared<const KeyIndex>(categories_of(node).view());
  return {.run = [index, refuse = node.get_int("zeros", 1) == 0](const KernelContext& context, Inputs in, Outputs out) {
    kernel(context, in[0], out[0], *index, refuse);
  }};
}

constexpr OpDef one_hot_encoder_op = {
    .name = "OneHotEncoder",
    .domain = "ai.onnx.ml",
    .attributes = kAttributes,
    .infer = infer,
    .cpu = bind<cpu::one_hot_encode>,
    .cuda = on_cuda(bind<cuda::one_hot_encode>),
};

constexpr const OpDef* kOps[] = {&one_hot_encoder_op};

}  // namespace

extern const OpFamily one_hot_encoder_ops;
constinit const OpFamily one_hot_encoder_ops = kOps;

}  // namespace tandem
