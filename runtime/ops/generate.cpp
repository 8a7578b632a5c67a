// EyeLike (ONNX 9) and the windows of signal processing, HannWindow, HammingWindow, BlackmanWindow (17).
#include "kernels/api/generate.h"

#include <algorithm>

#include "runtime/graph/contexts.h"
#include "runtime/ops/element_types.h"

namespace tandem {
namespace {

constexpr std::string_view kEye[] = {"dtype", "k"}, kWindow[] = {"output_datatype", "periodic"};

void infer_eye(InferenceContext& node) {
  if (node.has_rank(0)) node.require(node.rank(0) == 2, "input must be a matrix; its rank", node.rank(0));
  node.set_output(0, dtype_attribute(node, "dtype", node.dtype(0)),
                  node.has_rank(0) ? std::optional(node.dims(0)) : std::nullopt);
}
BoundKernel bind_eye(const BindContext& node) {
  return {.run = [k = node.get_int("k", 0)](const KernelContext& context, Inputs, Outputs out) { cpu::eye(context, k, out[0]); }};
}

Dim window_size(const InferenceContext& node) {
  const auto content = node.content(0);
  if (!content || content->size() != 1) return {};
  const Dim& size = (*content)[0];
  node.require(!size.known() || size.size >= 0, "the size of a window is negative", size.size);
  return size;
}
void infer_window(InferenceContext& node) {
  require_index(node, 0);
  if (const Tensor* size = node.constant(0)) {
    node.require(size->elements() == 1, "size must be one number; its shape", to_string(size->shape()));
  }
  node.set_output(0, dtype_attribute(node, "output_datatype", DType::kF32), Dims{window_size(node)});
}

template <int a, int b, int c, int denominator>
BoundKernel bind_window(const BindContext& node) {
  constexpr double kUnit = 1.0 / denominator;
  const bool periodic = node.get_int("periodic", 1) != 0;
  return {.run = [periodic](const KernelContext& context, Inputs, Outputs out) {
    const int64_t size = out[0].elements();
    cpu::cosine_window(context, {a * kUnit, b * kUnit, c * kUnit}, std::max<int64_t>(1, periodic ? size : size - 1), out[0]);
  }};
}

constexpr OpDef window(std::string_view name, BoundKernel (*bind)(const BindContext&)) {
  return {.name = name, .since = 17, .attributes = kWindow, .infer = infer_window, .cpu = bind, .shape_inputs = input_set(0)};
}

constexpr OpDef eye_like_op = {
    .name = "EyeLike", .since = 9, .attributes = kEye, .infer = infer_eye, .cpu = bind_eye, .shape_inputs = input_set(0)};
constexpr OpDef hann_window_op = window("HannWindow", bind_window<1, 1, 0, 2>);
constexpr OpDef hamming_window_op = window("HammingWindow", bind_window<25, 21, 0, 46>);
constexpr OpDef blackman_window_op = window("BlackmanWindow", bind_window<42, 50, 8, 100>);

constexpr const OpDef* kOps[] = {&eye_like_op, &hann_window_op, &hamming_window_op, &blackman_window_op};

}  // namespace

extern const OpFamily generate_ops;
constinit const OpFamily generate_ops = kOps;

}  // namespace tandem
