// Shape (start and end from ONNX 15 on) and Size. They read no element, only the shape of the run.
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"start", "end"};

// [first, last) of the dimensions; ONNX clamps rather than refuses.
std::pair<int, int> range_of(const NodeContext& node, int rank) {
  const auto clamped = [&](int64_t i) { return static_cast<int>(std::clamp<int64_t>(i < 0 ? i + rank : i, 0, rank)); };
  const int first = clamped(node.get_int("start", 0)), last = clamped(node.get_int("end", rank));
  return {first, std::max(first, last)};
}

void infer_shape(InferenceContext& node) {
  if (!node.has_rank(0)) return node.set_output(0, DType::kI64, Dims(1));
  const auto [first, last] = range_of(node, node.rank(0));
  node.set_output(0, DType::kI64, Dims{Dim(int64_t{last - first})});
  node.set_content(0, Dims(node.dims(0).begin() + first, node.dims(0).begin() + last));
}
BoundKernel bind_shape(const BindContext& node) {
  const auto [first, last] = range_of(node, node.rank(0));
  return {.run = [first = first, last = last](const KernelContext&, Inputs in, Outputs out) {
    const auto dims = in[0].shape.dims().subspan(static_cast<size_t>(first), static_cast<size_t>(last - first));
    std::ranges::copy(dims, out[0].as<int64_t>().begin());
  }};
}

void infer_size(InferenceContext& node) {
  node.set_output(0, DType::kI64, Dims{});
  if (!node.has_rank(0)) return;
  if (const Dim size = product(node.dims(0)); size != Dim()) node.set_content(0, {size});
}
BoundKernel bind_size(const BindContext&) {
  return {.run = [](const KernelContext&, Inputs in, Outputs out) { out[0].as<int64_t>()[0] = in[0].elements(); }};
}

constexpr OpDef shape_op = {.name = "Shape", .attributes = kAttributes, .infer = infer_shape, .cpu = bind_shape, .shape_inputs = input_set(0)};
constexpr OpDef size_op = {.name = "Size", .infer = infer_size, .cpu = bind_size, .shape_inputs = input_set(0)};

constexpr const OpDef* kOps[] = {&shape_op, &size_op};

}  // namespace

extern const OpFamily shape_ops;
constinit const OpFamily shape_ops = kOps;

}  // namespace tandem
