// Cast (ONNX 6 on; `saturate` of 19 concerns 8-bit floats only) between numbers, 16-bit floats too, and bool. Strings are
// refused.
#include "kernels/api/elementwise.h"
#include "kernels/api/movement.h"
#include "runtime/graph/contexts.h"
#include "runtime/ops/gradient_context.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"to", "saturate"};

bool castable(DType t) {
  switch (t) {
    case DType::kF16:
    case DType::kBF16:
    case DType::kF32:
    case DType::kF64:
    case DType::kI32:
    case DType::kI64:
    case DType::kU8:
    case DType::kI8:
    case DType::kBool: return true;
    default: return false;
  }
}

void infer_cast(InferenceContext& node) {
  const int64_t to = node.get_int("to", 0);
  const DType target = to > 0 && to <= static_cast<int64_t>(DType::kBF16) ? static_cast<DType>(to) : DType::kUndefined;
  node.require(castable(node.dtype(0)) && castable(target), "casts are between floats, i32, i64, u8, i8 and bool (from, to)",
               name(node.dtype(0)), target == DType::kUndefined ? std::to_string(to) : std::string(name(target)));
  node.set_output(0, target, node.has_rank(0) ? std::optional(node.dims(0)) : std::nullopt);
  if (is_integer(node.dtype(0)) && is_integer(target))
    if (auto content = node.content(0)) node.set_content(0, *content);
}

void cast_gradient(GradientContext& node) {
  const DType from = node.type(node.input(0)).dtype;
  if (!is_float(from) || !is_float(node.type(node.output(0)).dtype)) return;  // constant almost everywhere: no gradient flows
  node.set_input_grad(0, node.emit("Cast", {node.output_grad()}, {{"to", static_cast<int64_t>(from)}}));
}

template <auto cast, auto copy>
BoundKernel bind(const BindContext&) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) {
    if (in[0].dtype == out[0].dtype)
      copy(context, in[0], out[0]);
    else
      cast(context, in[0], out[0]);
  }};
}

constexpr OpDef cast_op = {.name = "Cast",
                           .since = 6,
                           .attributes = kAttributes,
                           .infer = infer_cast,
                           .gradient = cast_gradient,
                           .cpu = bind<cpu::cast, cpu::copy>,
                           .cuda = on_cuda(bind<cuda::cast, cuda::copy>)};

constexpr const OpDef* kOps[] = {&cast_op};

}  // namespace

extern const OpFamily cast_ops;
constinit const OpFamily cast_ops = kOps;

}  // namespace tandem
