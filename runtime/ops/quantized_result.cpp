#include "runtime/ops/quantized_result.h"

#include <limits>

#include "kernels/api/cast.h"

namespace tandem {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

bool is_scale_type(DType t) { return t == DType::kF32 || t == DType::kF16 || t == DType::kBF16; }

}  // namespace

std::string zero_text(ConstTensorView zeros) {
  return "zero " + std::string(reinterpret_cast<const char*>(zeros.data), zeros ? zeros.bytes() : 0);
}

int32_t zero_point(ConstTensorView zero) {
  const auto bits = static_cast<uint8_t>(zero.data[0]);
  return zero.dtype == DType::kI8 ? static_cast<int8_t>(bits) : bits;
}

std::span<std::byte> Pieces::take(int64_t wanted) {
  const auto size = static_cast<size_t>(bytes(wanted));
  ensure(size <= rest_.size(), "the workspace of an integer product is too small", size, rest_.size());
  const std::span<std::byte> piece = rest_.first(size);
  rest_ = rest_.subspan(size);
  return piece;
}

std::span<const float> Pieces::floats(const KernelContext& context, ConstTensorView x) {
  const std::span<std::byte> piece = take(x.elements() * 4);
  cpu::cast(context, x, {piece.data(), DType::kF32, x.shape}, {});
  return {reinterpret_cast<const float*>(piece.data()), static_cast<size_t>(x.elements())};
}

void require_8_bits(const InferenceContext& node, int input) {
  const DType type = node.dtype(input);
  node.require(type == DType::kU8 || type == DType::kI8, "input must be u8 or i8 (index, type)", input, name(type));
}
void require_zero_type(const InferenceContext& node, int zero, int of) {
  if (node.has_input(zero)) node.require_same_dtype(zero, of);
}
void require_scale(const InferenceContext& node, int input) {
  const DType type = node.dtype(input);
  node.require(is_scale_type(type), "a scale must be f32, f16 or bf16 (index, type)", input, name(type));
}

void require_quantized_operands(const InferenceContext& node) {
  for (const int i : {0, 3, 7}) require_8_bits(node, i);
  for (const int i : {1, 4, 6}) require_scale(node, i);
  require_zero_type(node, 2, 0);
  require_zero_type(node, 5, 3);
  if (!node.has_input(8)) return;
  const DType bias = node.dtype(8);
  node.require(bias == DType::kI32 || (bias == DType::kF32 && !node.has_input(9)),
               "a bias must be i32, or f32 without a scale (type)", name(bias));
  if (node.has_input(9)) require_scale(node, 9);
}

QuantizedResult::QuantizedResult(const BindContext& node, int64_t channels)
    : lowest_(node.get_float("lowest", -kInfinity)), highest_(node.get_float("highest", kInfinity)), channels_(channels) {
  for (const int i : {1, 2, 6, 7})
    node.require(node.shape(i).elements() == 1, "scale and zero point of X and Y must be one number (input)", i);
  const auto one_or_all = [&](int i) { return node.shape(i).elements() == 1 || node.shape(i).elements() == channels; };
  node.require(one_or_all(4), "the weight's scale must be one number, or one a channel (scales, channels)",
               node.shape(4).elements(), channels);
  if (node.has_input(8)) node.require(node.shape(8).elements() == channels, "there must be one bias a channel", channels);
  if (node.has_input(9)) node.require(one_or_all(9), "the bias's scale must be one number, or one a channel", channels);
  int64_t floats = 0;
  bool constant = true;
  std::vector<ConstTensorView> views(static_cast<size_t>(node.inputs()));
  for (const int i : {1, 4, 6, 7, 8, 9}) {
    if (!node.has_input(i)) continue;
    const Tensor* content = node.constant(i);
    constant = constant && content;
    if (content) views[static_cast<size_t>(i)] = content->view();
    floats += Pieces::bytes(node.shape(i).elements() * 4);
  }
  const size_t bytes = output_scales_bytes(channels);
  workspace_ = bytes + static_cast<size_t>(floats);
  if (!constant) return;
  memory_ = Tensor(DType::kU8, {static_cast<int64_t>(bytes)});
  Tensor scratch(DType::kU8, {floats});
  KernelContext context;
  context.workspace = {scratch.view().data, static_cast<size_t>(floats)};
  Pieces pieces(context);
  fixed_ = make({}, pieces, {memory_.view().data, bytes}, views);
}

OutputScales QuantizedResult::scales(const KernelContext& context, Pieces& pieces, Inputs in) const {
  if (fixed_) return *fixed_;
  const auto memory = pieces.take(static_cast<int64_t>(output_scales_bytes(channels_)));
  return make(context, pieces, memory, in);
}

OutputScales QuantizedResult::make(const KernelContext& context, Pieces& pieces, std::span<std::byte> memory, Inputs in) const {
  ProductScaling s;
  s.x_scale = pieces.floats(context, in[1])[0];
  s.w_scales = pieces.floats(context, in[4]);
  s.y_scale = pieces.floats(context, in[6])[0];
  if (in.size() > 8) s.bias = in[8];
  if (in.size() > 9 && in[9]) s.bias_scales = pieces.floats(context, in[9]);
  s.y_type = in[7].dtype;
  s.y_zero = zero_point(in[7]);
  s.lowest = lowest_, s.highest = highest_;
  s.with_floors = memory_.bytes() > 0;  // constants
  return make_output_scales(memory, s);
}

}  // namespace tandem
