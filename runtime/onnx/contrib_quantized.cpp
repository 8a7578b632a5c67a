// onnxruntime's ops on quantized tensors (domain com.microsoft) that are others of ONNX in a row: QuantizeLinear and
// DequantizeLinear for more types than ONNX's of their time, QGemm, QLinearConv, QLinearReduceMean, QLinearWhere, and products
// and look-ups with packed weights of 2, 4 and 8 bits (MatMulNBits, GatherBlockQuantized).
#include <algorithm>
#include <numeric>

#include "runtime/onnx/contrib.h"

namespace tandem {
namespace {

constexpr std::string_view kAxis[] = {"axis"};
constexpr std::string_view kGemm[] = {"alpha", "transA", "transB"};
constexpr std::string_view kConv[] = {"auto_pad", "channels_last", "dilations", "group", "kernel_shape", "pads", "strides"};
constexpr std::string_view kReduce[] = {"axes", "keepdims"};
constexpr std::string_view kMatMulBits[] = {"K", "N", "accuracy_level", "bits", "block_size"};
constexpr std::string_view kGatherBlocks[] = {"bits", "block_size", "gather_axis", "quantize_axis"};

void quantize(ContribContext& node) {
  node.set_output(0, node.emit("QuantizeLinear", {node.input(0), node.input(1), node.input(2)}, node.node().attributes));
}
void dequantize(ContribContext& node) {
  node.set_output(0, node.emit("DequantizeLinear", {node.input(0), node.input(1), node.input(2)}, node.node().attributes));
}

ValueId restored(ContribContext& node, int x) {
  return node.emit("DequantizeLinear", {node.input(x), node.input(x + 1), node.input(x + 2)});
}

// A, its scale and zero point, B, its scale and zero point, C (i32), scale and zero point of the result, without which it is f32.
void quantized_gemm(ContribContext& node) {
  const auto operand = [&](int i, std::string_view flag) {
    return node.get_int(flag, 0) != 0 ? node.transpose(node.input(i), {1, 0}) : node.input(i);
  };
  const ValueId product = node.emit("MatMulInteger", {operand(0, "transA"), operand(3, "transB"), node.input(2), node.input(5)});
  const ValueId sum = node.cast(node.sum({product, node.input(6)}), DType::kF32);
  const ValueId alpha = node.scalar(static_cast<double>(node.get_float("alpha", 1)), DType::kF32);
  const ValueId scale = node.emit("Mul", {node.emit("Mul", {node.input(1), node.input(4)}), alpha});
  const ValueId y = node.emit("Mul", {sum, scale});
  node.set_output(0, node.has_input(7) ? node.emit("QuantizeLinear", {y, node.input(7), node.input(8)}) : y);
}

void quantized_conv(ContribContext& node) {
  Attributes attributes = node.node().attributes;
  attributes.erase("channels_last");
  const bool last = node.get_int("channels_last", 0) != 0;
  std::vector<ValueId> inputs;
  for (int i = 0; i < node.inputs(); ++i) inputs.push_back(node.input(i));
  std::vector<int64_t> perm;
  if (last) {
    perm.resize(static_cast<size_t>(node.rank(inputs[0])));
    std::iota(perm.begin(), perm.end(), int64_t{0});
    std::rotate(perm.begin() + 1, perm.end() - 1, perm.end());
    inputs[0] = node.transpose(inputs[0], perm);
    std::iota(perm.begin(), perm.end(), int64_t{0});
    std::rotate(perm.begin() + 1, perm.begin() + 2, perm.end());
  }
  const ValueId y = node.emit("QLinearConv", inputs, attributes);
  node.set_output(0, last ? node.transpose(y, perm) : y);
}

void quantized_mean(ContribContext& node) {
  const ValueId axes = node.has_attribute("axes") ? node.ints(node.get_ints("axes")) : kNoValue;
  const ValueId mean = node.emit("ReduceMean", {restored(node, 0), axes}, {{"keepdims", node.get_int("keepdims", 1)}});
  node.set_output(0, node.emit("QuantizeLinear", {mean, node.input(3), node.input(4)}));
}

void quantized_where(ContribContext& node) {
  const ValueId chosen = node.emit("Where", {node.input(0), restored(node, 1), restored(node, 4)});
  node.set_output(0, node.emit("QuantizeLinear", {chosen, node.input(7), node.input(8)}));
}

ValueId byte(ContribContext& node, int64_t value) { return node.constant(Tensor::scalar(static_cast<uint8_t>(value))); }

// Bytes [..., n] of several values each, the lowest bits first -> [..., n * 8 / bits] of one each.
ValueId unpacked(ContribContext& node, ValueId packed, int64_t bits) {
  if (bits == 8) return packed;
  const int rank = node.rank(packed);
  std::vector<ValueId> parts;
  for (int64_t shift = 0; shift < 8; shift += bits) {
    const ValueId low = node.emit("BitShift", {packed, byte(node, shift)}, {{"direction", std::string("RIGHT")}});
    parts.push_back(node.unsqueeze(node.emit("BitwiseAnd", {low, byte(node, (1 << bits) - 1)}), {-1}));
  }
  std::vector<int64_t> shape(static_cast<size_t>(rank), 0);
  shape.back() = -1;
  return node.reshape(node.emit("Concat", parts, {{"axis", int64_t{-1}}}), shape);
}

int64_t checked_bits(const ContribContext& node) {
  const int64_t bits = node.get_int("bits", 4);
  node.require(bits == 2 || bits == 4 || bits == 8, "bits must be 2, 4 or 8", bits);
  return bits;
}

struct Blocks {
  int64_t rows, count, size, bits;  // `count` blocks of `size` values a row
};

// Zero points [rows, blocks]: packed row by row, or floats; 2^(bits - 1) if there are none.
ValueId zero_points(ContribContext& node, ValueId zeros, const Blocks& blocks, DType wanted) {
  if (zeros == kNoValue) return node.scalar(static_cast<double>(int64_t{1} << (blocks.bits - 1)), wanted);
  if (node.dtype(zeros) != DType::kU8) return node.cast(node.reshape(zeros, {blocks.rows, blocks.count, 1}), wanted);
  const ValueId whole = unpacked(node, node.reshape(zeros, {blocks.rows, -1}), blocks.bits);
  return node.cast(node.unsqueeze(node.slice(whole, 1, 0, blocks.count), {2}), wanted);
}

// The weights as a matrix [N, K]: (q - zero point) * scale by block of a row.
ValueId unpacked_weights(ContribContext& node, const Blocks& blocks, int64_t columns) {
  const DType type = node.dtype(node.input(0));
  const ValueId bytes = node.reshape(node.input(1), {blocks.rows, blocks.count, -1});
  const ValueId q = node.cast(unpacked(node, bytes, blocks.bits), type);
  const ValueId centred = node.emit("Sub", {q, zero_points(node, node.input(3), blocks, type)});
  const ValueId scales = node.cast(node.reshape(node.input(2), {blocks.rows, blocks.count, 1}), type);
  const ValueId whole = node.reshape(node.emit("Mul", {centred, scales}), {blocks.rows, -1});
  return columns == blocks.count * blocks.size ? whole : node.slice(whole, 1, 0, columns);
}

// A, packed B [N, blocks of K, bytes], scales, zero points, g_idx, bias.
void matmul_bits(ContribContext& node) {
  node.refuse_inputs({4});
  const int64_t columns = node.get_int("K", 0), size = node.get_int("block_size", 0);
  node.require(columns > 0 && size > 0 && node.get_int("N", 0) > 0, "K, N and block_size must be positive", columns, size);
  const Blocks blocks = {node.get_int("N", 0), (columns + size - 1) / size, size, checked_bits(node)};
  const ValueId weights = node.transpose(unpacked_weights(node, blocks, columns), {1, 0});
  node.set_output(0, node.sum({node.emit("MatMul", {node.input(0), weights}), node.input(5)}));
}

// data, indices, scales, zero points: rows are looked up first, then restored.
void gather_blocks(ContribContext& node) {
  const int rank = node.rank(node.input(0));
  const int axis = node.normalized_axis(node.get_int("gather_axis", 0), rank);
  const int quantized = node.normalized_axis(node.get_int("quantize_axis", 1), rank);
  node.require(axis != quantized, "gather_axis and quantize_axis must differ", axis);
  const int64_t at = quantized < axis ? quantized : quantized + node.rank(node.input(1)) - 1;
  const auto row = [&](ValueId x) {
    return x == kNoValue ? x : node.emit("Gather", {x, node.input(1)}, {{"axis", int64_t{axis}}});
  };
  ValueId q = row(node.input(0)), zeros = row(node.input(3));
  const ValueId scales = row(node.input(2));
  if (node.dtype(q) == DType::kU8) {
    const int64_t bits = checked_bits(node);
    node.require(quantized == rank - 1, "bytes are packed along the last axis, which quantize_axis must be", quantized);
    q = unpacked(node, q, bits);
    if (zeros == kNoValue)
      zeros = node.emit("Expand", {byte(node, int64_t{1} << (bits - 1)), node.emit("Shape", {scales})});
    else if (bits < 8)
      zeros = node.slice(unpacked(node, zeros, bits), -1, 0, node.size(scales, -1));
  }
  const int64_t size = node.get_int("block_size", 128);
  node.set_output(0, node.emit("DequantizeLinear", {q, scales, zeros}, {{"axis", at}, {"block_size", size}}));
}

void nothing(InferenceContext&) {}

constexpr ContribOp op(std::string_view name, int least, int most, std::span<const std::string_view> attributes,
                       void (*expand)(ContribContext&)) {
  return {{.name = name,
           .domain = "com.microsoft",
           .min_inputs = least,
           .max_inputs = most,
           .attributes = attributes,
           .infer = nothing},
          expand};
}

constexpr ContribOp kOps[] = {
    op("QuantizeLinear", 2, 3, kAxis, quantize),
    op("DequantizeLinear", 2, 3, kAxis, dequantize),
    op("QGemm", 6, 9, kGemm, quantized_gemm),
    op("QLinearConv", 8, 9, kConv, quantized_conv),
    op("QLinearReduceMean", 5, 5, kReduce, quantized_mean),
    op("QLinearWhere", 9, 9, {}, quantized_where),
    op("MatMulNBits", 3, 6, kMatMulBits, matmul_bits),
    op("GatherBlockQuantized", 3, 4, kGatherBlocks, gather_blocks),
};

}  // namespace

constinit const ContribFamily contrib_quantized_ops = kOps;

}  // namespace tandem
