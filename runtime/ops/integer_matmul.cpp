// Matrix products of 8-bit integers: MatMulInteger (ONNX 10) with i32 results, QLinearMatMul (10, 21) back to 8 bits; and of
// onnxruntime's (domain com.microsoft) MatMulIntegerToFloat and DynamicQuantizeMatMul; tandem.QuantizedMatMul is QLinearMatMul
// with a bias and a clamp (quantized_result.h). Weights that are constants are packed when the plan is made.
#include "kernels/api/integer_gemm.h"
#include "kernels/api/integer_products.h"
#include "kernels/api/quantize.h"
#include "runtime/ops/matmul_dims.h"
#include "runtime/ops/quantized_result.h"

namespace tandem {
namespace {

int64_t float_bytes(int64_t elements) { return Pieces::bytes(elements * 4); }

// B in the layout of the kernel, if it and its zero point are constants and it is one matrix.
cpu::PackedWeight packed_weights(const BindContext& node, int b, int zero) {
  const Tensor* weights = node.constant(b);
  const bool has_zero = node.has_input(zero);
  const Tensor* zeros = has_zero ? node.constant(zero) : nullptr;
  if (!weights || weights->shape().rank() != 2 || (has_zero && !zeros)) return {};
  const int64_t k = weights->shape()[0], n = weights->shape()[1];
  if (zeros)
    node.require(zeros->elements() == 1 || zeros->elements() == n, "zero points must be one, or one a column", zeros->elements(), n);
  const ConstTensorView given = zeros ? zeros->view() : ConstTensorView{};
  return node.packed<cpu::PackedWeight>(b, "integer columns, " + zero_text(given), [&](ConstTensorView view) {
    IntegerMatrix matrix = {view.data, view.dtype == DType::kI8, n, 1, nullptr, 1};
    if (given) matrix.zero = given.data, matrix.zeros = given.elements();
    return cpu::PackedWeight::columns(matrix, n, k);
  });
}
const PackedIntegers* view_of(const cpu::PackedWeight& packed) { return packed ? &packed.view() : nullptr; }

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
                cpu::quantized_matmul(context, in[0], input_or_null(in, 2), in[1], input_or_null(in, 3), out[0], nullptr,
                                      view_of(packed));
              },
          .workspace = cpu::quantized_matmul_workspace_bytes(node.shape(0), node.shape(1), static_cast<bool>(packed))};
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

int64_t sums_bytes(const BindContext& node, int a, int b, bool packed) {
  const size_t workspace = cpu::quantized_matmul_workspace_bytes(node.shape(a), node.shape(b), packed);
  return Pieces::bytes(static_cast<int64_t>(workspace)) + float_bytes(node.output_shape(0).elements());
}

Sums multiply(const KernelContext& context, Pieces& pieces, const Operand& a, const Operand& b, const Shape& y,
              const cpu::PackedWeight& packed_b) {
  const size_t workspace = cpu::quantized_matmul_workspace_bytes(a.x.shape, b.x.shape, static_cast<bool>(packed_b));
  const auto sums = pieces.take(y.elements() * 4);
  cpu::quantized_matmul(with_workspace(context, pieces.take(static_cast<int64_t>(workspace))), a.x, a.zero, b.x, b.zero,
                        {sums.data(), DType::kI32, y}, nullptr, view_of(packed_b));
  const int64_t columns = b.x.shape.rank() > 1 ? b.x.shape[b.x.shape.rank() - 1] : 1,
                rows = columns > 0 ? y.elements() / columns : 0;
  const int64_t rows_of_matrix = a.x.shape.rank() > 1 ? a.x.shape[a.x.shape.rank() - 2] : 1;
  require(b.scales == 1 || (columns > 0 && b.scales % columns == 0), "scales must be one, or one a column (scales, columns)",
          b.scales, columns);
  require(a.scales == 1 || (rows_of_matrix > 0 && a.scales % rows_of_matrix == 0),
          "scales must be one, or one a row (scales, rows)", a.scales, rows_of_matrix);
  return {reinterpret_cast<int32_t*>(sums.data()), rows, columns, {a.scale, a.scales, b.scale, b.scales, rows_of_matrix}};
}

// QLinearMatMul(a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero)
void infer_qlinear_matmul(InferenceContext& node) {
  require_quantized_operands(node);
  node.set_output(0, node.dtype(7), matmul_dims(node, 0, 3));
}

// Rows of A with scales of their own, or columns of each of B's matrices.
BoundKernel bind_with_many_scales(const BindContext& node, const cpu::PackedWeight& packed) {
  for (const int i : {6, 7})
    node.require(node.shape(i).elements() == 1, "scale and zero point of the result must be one number",
                 to_string(node.shape(i)));
  return {
      .run =
          [packed](const KernelContext& context, Inputs in, Outputs out) {
            Pieces pieces(context);
            const Operand a = {in[0], in[2], pieces.floats(context, in[1]).data(), in[1].elements()};
            const Operand b = {in[3], in[5], pieces.floats(context, in[4]).data(), in[4].elements()};
            const float y_scale = pieces.floats(context, in[6])[0];
            const Sums sums = multiply(context, pieces, a, b, out[0].shape, packed);
            cpu::requantize(context, sums.values, sums.rows, sums.columns, sums.scales, y_scale, zero_point(in[7]), out[0]);
          },
      .workspace = static_cast<size_t>(sums_bytes(node, 0, 3, static_cast<bool>(packed)) + float_bytes(node.shape(1).elements()) +
                                       float_bytes(node.shape(4).elements()) + float_bytes(1))};
}

BoundKernel bind_qlinear_matmul(const BindContext& node) {
  const cpu::PackedWeight packed = packed_weights(node, 3, 5);
  const bool many = node.shape(1).elements() != 1 || (node.shape(4).elements() != 1 && node.rank(3) != 2) || node.rank(3) < 2;
  if (many && !node.has_input(8)) return bind_with_many_scales(node, packed);
  const QuantizedResult result(node, node.shape(3)[node.rank(3) - 1]);
  return {.run =
              [packed, result](const KernelContext& context, Inputs in, Outputs out) {
                Pieces pieces(context);
                const OutputScales scales = result.scales(context, pieces, in);
                cpu::quantized_matmul(pieces.rest_of(context), in[0], in[2], in[3], in[5], out[0], &scales, view_of(packed));
              },
          .workspace =
              result.workspace() + cpu::quantized_matmul_workspace_bytes(node.shape(0), node.shape(3), static_cast<bool>(packed)),
          .constant_bytes = result.constant_bytes()};
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
          .workspace = static_cast<size_t>(sums_bytes(node, 0, 1, static_cast<bool>(packed)))};
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
  return {.run =
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
          .workspace = static_cast<size_t>(sums_bytes(node, 0, 1, static_cast<bool>(packed)) +
                                           Pieces::bytes(node.shape(0).elements()) + 2 * Pieces::bytes(4))};
}

// Of the first input's rows; it has one axis at least.
double flops(const BindContext& node) {
  const Shape& a = node.shape(0);
  return 2.0 * static_cast<double>(node.output_shape(0).elements()) * static_cast<double>(a[a.rank() - 1]);
}

constexpr OpDef matmul_integer_op = {.name = "MatMulInteger",
                                     .since = 10,
                                     .min_inputs = 2,
                                     .max_inputs = 4,
                                     .infer = infer_matmul_integer,
                                     .cpu = bind_matmul_integer,
                                     .flops = flops};
constexpr OpDef qlinear_matmul_op = {.name = "QLinearMatMul",
                                     .since = 10,
                                     .min_inputs = 8,
                                     .max_inputs = 8,
                                     .infer = infer_qlinear_matmul,
                                     .cpu = bind_qlinear_matmul,
                                     .elements = Elements::kConverted,
                                     .flops = flops};
constexpr std::string_view kClamp[] = {"highest", "lowest"};
constexpr OpDef quantized_matmul_op = {.name = "QuantizedMatMul",
                                       .domain = "tandem",
                                       .min_inputs = 8,
                                       .max_inputs = 10,
                                       .attributes = kClamp,
                                       .infer = infer_qlinear_matmul,
                                       .cpu = bind_qlinear_matmul,
                                       .elements = Elements::kConverted,
                                       .flops = flops};
constexpr OpDef matmul_integer_to_float_op = {.name = "MatMulIntegerToFloat",
                                              .domain = "com.microsoft",
                                              .min_inputs = 4,
                                              .max_inputs = 7,
                                              .infer = infer_to_float,
                                              .cpu = bind_to_float,
                                              .flops = flops};
constexpr OpDef dynamic_quantize_matmul_op = {.name = "DynamicQuantizeMatMul",
                                              .domain = "com.microsoft",
                                              .min_inputs = 3,
                                              .max_inputs = 5,
                                              .infer = infer_dynamic,
                                              .cpu = bind_dynamic};

constexpr const OpDef* kOps[] = {&matmul_integer_op, &qlinear_matmul_op, &quantized_matmul_op, &matmul_integer_to_float_op,
                                 &dynamic_quantize_matmul_op};

}  // namespace

extern const OpFamily integer_matmul_ops;
constinit const OpFamily integer_matmul_ops = kOps;

}  // namespace tandem
