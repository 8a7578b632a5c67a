// Matrix products of 8-bit integers: MatMulInteger (ONNX 10) with i32 results, QLinearMatMul (10, 21) back to 8 bits; and of
// onnxruntime's (domain com.microsoft) MatMulIntegerToFloat and DynamicQuantizeMatMul. Weights that are constants are packed when
// the plan is made.
#include <memory>
#include <vector>

#include "kernels/api/cast.h"
#include "kernels/api/integer_gemm.h"
#include "kernels/api/integer_products.h"
#include "kernels/api/quantize.h"
#include "runtime/ops/matmul_dims.h"

namespace tandem {
namespace {

constexpr int64_t kAlignment = 64;

void require_8_bits(const InferenceContext& node, int input) {
  const DType type = node.dtype(input);
  node.require(type == DType::kU8 || type == DType::kI8, "input must be u8 or i8 (index, type)", input, name(type));
}
void require_zero_type(const InferenceContext& node, int zero, int of) {
  if (node.has_input(zero)) node.require_same_dtype(zero, of);
}
void require_scale(const InferenceContext& node, int input) {
  const DType type = node.dtype(input);
  node.require(type == DType::kF32 || type == DType::kF16 || type == DType::kBF16,
               "a scale must be f32, f16 or bf16 (index, type)", input, name(type));
}

// Takes pieces off a workspace, in the order in which workspace_of summed their sizes.
class Pieces {
 public:
  explicit Pieces(const KernelContext& context) : rest_(context.workspace) {}
  std::span<std::byte> take(int64_t bytes) {
    const auto size = static_cast<size_t>(round_up(bytes, kAlignment));
    ensure(size <= rest_.size(), "the workspace of an integer product is too small", size, rest_.size());
    const std::span<std::byte> piece = rest_.first(size);
    rest_ = rest_.subspan(size);
    return piece;
  }
  // The numbers of a small tensor as f32.
  const float* floats(const KernelContext& context, ConstTensorView x) {
    const std::span<std::byte> piece = take(x.elements() * 4);
    cpu::cast(context, x, {piece.data(), DType::kF32, x.shape}, {});
    return reinterpret_cast<const float*>(piece.data());
  }

 private:
  std::span<std::byte> rest_;
};
int64_t float_bytes(int64_t elements) { return round_up(elements * 4, kAlignment); }

// B in the layout of the kernel, if it and its zero point are constants and it is one matrix.
using Packed = std::shared_ptr<const std::vector<int16_t>>;
Packed packed_weights(const BindContext& node, int b, int zero) {
  const Tensor* weights = node.constant(b);
  const bool has_zero = zero < node.inputs() && node.has_input(zero);
  const Tensor* zeros = has_zero ? node.constant(zero) : nullptr;
  if (!weights || weights->shape().rank() != 2 || (has_zero && !zeros)) return nullptr;
  const int64_t k = weights->shape()[0], n = weights->shape()[1];
  const IntegerGemmShape shape = {0, n, k};
  IntegerMatrix matrix = {weights->view().data, weights->dtype() == DType::kI8, n, 1, nullptr, 1};
  if (zeros) {
    node.require(zeros->elements() == 1 || zeros->elements() == n, "zero points must be one, or one a column", zeros->elements(),
                 n);
    matrix.zero = zeros->view().data;
    matrix.zeros = zeros->elements();
  }
  auto packed = std::make_shared<std::vector<int16_t>>(static_cast<size_t>(cpu::packed_integer_b(shape)));
  cpu::pack_integer_b(shape, matrix, packed->data());
  return packed;
}

ConstTensorView input_or_null(Inputs in, size_t i) { return i < in.size() ? in[i] : ConstTensorView{}; }
KernelContext with_workspace(KernelContext context, std::span<std::byte> workspace) {
  context.workspace = workspace;
  return context;
}

void infer_matmul_integer(InferenceContext& node) {
  require_8_bits(node, 0);
  require_8_bits(node, 1);
  require_zero_type(node, 2, 0);
  require_zero_type(node, 3, 1);
  node.set_output(0, DType::kI32, matmul_dims(node, 0, 1));
}

BoundKernel bind_matmul_integer(const BindContext& node) {
  const auto packed = packed_weights(node, 1, 3);
  return {.run =
              [packed](const KernelContext& context, Inputs in, Outputs out) {
                cpu::quantized_matmul(context, in[0], input_or_null(in, 2), in[1], input_or_null(in, 3), out[0],
                                    packed ? packed->data() : nullptr);
              },
          .workspace = cpu::quantized_matmul_workspace_bytes(node.shape(0), node.shape(1)),
          .constant_bytes = packed ? packed->size() * sizeof(int16_t) : 0};
}

// One side of a product: the integers, what each stands for.
struct Operand {
  ConstTensorView x, zero;
  const float* scale;
  int64_t scales;  // how many
};

// The i32 sums and their scales, in pieces of the workspace.
struct Sums {
  int32_t* values;
  int64_t rows, columns;
  ProductScales scales;
};

int64_t sums_bytes(const BindContext& node, int a, int b) {
  const size_t workspace = cpu::quantized_matmul_workspace_bytes(node.shape(a), node.shape(b));
  return round_up(static_cast<int64_t>(workspace), kAlignment) + float_bytes(node.output_shape(0).elements());
}

Sums multiply(const KernelContext& context, Pieces& pieces, const Operand& a, const Operand& b, const Shape& y,
              const Packed& packed_b) {
  const size_t workspace = cpu::quantized_matmul_workspace_bytes(a.x.shape, b.x.shape);
  const auto sums = pieces.take(y.elements() * 4);
  cpu::quantized_matmul(with_workspace(context, pieces.take(static_cast<int64_t>(workspace))), a.x, a.zero, b.x, b.zero,
                      {sums.data(), DType::kI32, y}, packed_b ? packed_b->data() : nullptr);
  const int64_t columns = b.x.shape.rank() > 1 ? b.x.shape[b.x.shape.rank() - 1] : 1,
                rows = columns > 0 ? y.elements() / columns : 0;
  const int64_t rows_of_matrix = a.x.shape.rank() > 1 ? a.x.shape[a.x.shape.rank() - 2] : 1;
  require(b.scales == 1 || (columns > 0 && b.scales % columns == 0), "scales must be one, or one a column (scales, columns)",
          b.scales, columns);
  require(a.scales == 1 || (rows_of_matrix > 0 && a.scales % rows_of_matrix == 0),
          "scales must be one, or one a row (scales, rows)", a.scales, rows_of_matrix);
  return {reinterpret_cast<int32_t*>(sums.data()), rows, columns, {a.scale, a.scales, b.scale, b.scales, rows_of_matrix}};
}

void infer_qlinear_matmul(InferenceContext& node) {
  for (int i : {0, 3, 7}) require_8_bits(node, i);
  for (int i : {1, 4, 6}) require_scale(node, i);
  require_zero_type(node, 2, 0);
  require_zero_type(node, 5, 3);
  node.set_output(0, node.dtype(7), matmul_dims(node, 0, 3));
}

constexpr float zero_point(ConstTensorView zero) {
  const auto bits = static_cast<uint8_t>(zero.data[0]);
  return zero.dtype == DType::kI8 ? static_cast<float>(static_cast<int8_t>(bits)) : static_cast<float>(bits);
}

BoundKernel bind_qlinear_matmul(const BindContext& node) {
  const auto packed = packed_weights(node, 3, 5);
  for (int i : {6, 7})
    node.require(node.shape(i).elements() == 1, "scale and zero point of the result must be one number",
                 to_string(node.shape(i)));
  return {.run =
              [packed](const KernelContext& context, Inputs in, Outputs out) {
                Pieces pieces(context);
                const Operand a = {in[0], in[2], pieces.floats(context, in[1]), in[1].elements()};
                const Operand b = {in[3], in[5], pieces.floats(context, in[4]), in[4].elements()};
                const float* y_scale = pieces.floats(context, in[6]);
                const Sums sums = multiply(context, pieces, a, b, out[0].shape, packed);
                cpu::requantize(context, sums.values, sums.rows, sums.columns, sums.scales, {}, *y_scale, zero_point(in[7]),
                                out[0]);
              },
          .workspace = static_cast<size_t>(sums_bytes(node, 0, 3) + float_bytes(node.shape(1).elements()) +
                                           float_bytes(node.shape(4).elements()) + float_bytes(1)),
          .constant_bytes = packed ? packed->size() * sizeof(int16_t) : 0};
}

void check_float_bias(const InferenceContext& node, int bias) {
  if (node.has_input(bias)) node.require_dtype(bias, DType::kF32);
}

// MatMulIntegerToFloat(A, B, a_scale, b_scale, a_zero_point?, b_zero_point?, bias?)
void infer_to_float(InferenceContext& node) {
  require_8_bits(node, 0);
  require_8_bits(node, 1);
  for (int i : {2, 3}) node.require_dtype(i, DType::kF32);
  require_zero_type(node, 4, 0);
  require_zero_type(node, 5, 1);
  check_float_bias(node, 6);
  node.set_output(0, DType::kF32, matmul_dims(node, 0, 1));
}
BoundKernel bind_to_float(const BindContext& node) {
  const auto packed = packed_weights(node, 1, 5);
  return {.run =
              [packed](const KernelContext& context, Inputs in, Outputs out) {
                Pieces pieces(context);
                const Operand a = {in[0], input_or_null(in, 4), in[2].as<float>().data(), in[2].elements()};
                const Operand b = {in[1], input_or_null(in, 5), in[3].as<float>().data(), in[3].elements()};
                const Sums sums = multiply(context, pieces, a, b, out[0].shape, packed);
                cpu::scale_products(context, sums.values, sums.rows, sums.columns, sums.scales, input_or_null(in, 6), out[0]);
              },
          .workspace = static_cast<size_t>(sums_bytes(node, 0, 1)),
          .constant_bytes = packed ? packed->size() * sizeof(int16_t) : 0};
}

// DynamicQuantizeMatMul(A, B, b_scale, b_zero_point?, bias?): A is quantized to u8 first.
void infer_dynamic(InferenceContext& node) {
  node.require_dtype(0, DType::kF32);
  require_8_bits(node, 1);
  node.require_dtype(2, DType::kF32);
  require_zero_type(node, 3, 1);
  check_float_bias(node, 4);
  node.set_output(0, DType::kF32, matmul_dims(node, 0, 1));
}
BoundKernel bind_dynamic(const BindContext& node) {
  const auto packed = packed_weights(node, 1, 3);
  return {
      .run =
          [packed](const KernelContext& context, Inputs in, Outputs out) {
            Pieces pieces(context);
            const TensorView x = {pieces.take(in[0].elements()).data(), DType::kU8, in[0].shape};
            const TensorView scale = {pieces.take(4).data(), DType::kF32, {}}, zero = {pieces.take(1).data(), DType::kU8, {}};
            cpu::dynamic_quantize_linear(context, in[0], x, scale, zero);
            const Operand a = {x, zero, scale.as<float>().data(), 1};
            const Operand b = {in[1], input_or_null(in, 3), in[2].as<float>().data(), in[2].elements()};
            const Sums sums = multiply(context, pieces, a, b, out[0].shape, packed);
            cpu::scale_products(context, sums.values, sums.rows, sums.columns, sums.scales, input_or_null(in, 4), out[0]);
          },
      .workspace = static_cast<size_t>(sums_bytes(node, 0, 1) + round_up(node.shape(0).elements(), kAlignment) + 2 * kAlignment),
      .constant_bytes = packed ? packed->size() * sizeof(int16_t) : 0};
}

constexpr OpDef matmul_integer_op = {.name = "MatMulInteger",
                                     .since = 10,
                                     .min_inputs = 2,
                                     .max_inputs = 4,
                                     .infer = infer_matmul_integer,
                                     .cpu = bind_matmul_integer};
constexpr OpDef qlinear_matmul_op = {.name = "QLinearMatMul",
                                     .since = 10,
                                     .min_inputs = 8,
                                     .max_inputs = 8,
                                     .infer = infer_qlinear_matmul,
                                     .cpu = bind_qlinear_matmul,
                                     .elements = Elements::kConverted};
constexpr OpDef matmul_integer_to_float_op = {.name = "MatMulIntegerToFloat",
                                              .domain = "com.microsoft",
                                              .min_inputs = 4,
                                              .max_inputs = 7,
                                              .infer = infer_to_float,
                                              .cpu = bind_to_float};
constexpr OpDef dynamic_quantize_matmul_op = {.name = "DynamicQuantizeMatMul",
                                              .domain = "com.microsoft",
                                              .min_inputs = 3,
                                              .max_inputs = 5,
                                              .infer = infer_dynamic,
                                              .cpu = bind_dynamic};

constexpr const OpDef* kOps[] = {&matmul_integer_op, &qlinear_matmul_op, &matmul_integer_to_float_op,
                                 &dynamic_quantize_matmul_op};

}  // namespace

extern const OpFamily integer_matmul_ops;
constinit const OpFamily integer_matmul_ops = kOps;

}  // namespace tandem
