// onnxruntime's ops on quantized tensors (domain com.microsoft) that are others of ONNX in a row: QuantizeLinear and
// DequantizeLinear for more types than ONNX's of their time, QGemm, QLinearConv, QLinearReduceMean, QLinearWhere, DynamicQuantizeLSTM,
// and look-ups in packed weights of 2, 4 and 8 bits (GatherBlockQuantized; MatMulNBits has a kernel of its own).
#include <algorithm>
#include <numeric>

#include "runtime/onnx/contrib.h"

namespace tandem {
namespace {

constexpr std::string_view kAxis[] = {"axis"};
constexpr std::string_view kGemm[] = {"alpha", "transA", "transB"};
constexpr std::string_view kConv[] = {"auto_pad", "channels_last", "dilations", "group", "kernel_shape", "pads", "strides"};
constexpr std::string_view kReduce[] = {"axes", "keepdims"};
constexpr std::string_view kLstm[] = {"activation_alpha", "activation_beta", "activations", "clip",
                                      "direction",        "hidden_size",     "input_forget"};
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

// A QGemm as the nodes that a pass runs on integers as one: Gemm between DequantizeLinear and QuantizeLinear.
void gemm_between(ContribContext& node) {
  const int64_t transposed = node.get_int("transB", 0) != 0;
  std::vector<ValueId> inputs = {restored(node, 0)};
  inputs.push_back(node.emit("DequantizeLinear", {node.input(3), node.input(4), node.input(5)}, {{"axis", 1 - transposed}}));
  if (node.has_input(6)) {
    const ValueId unit = node.emit("Mul", {node.input(1), node.input(4)});
    const int64_t last = std::max(node.rank(node.input(6)) - 1, 0);
    inputs.push_back(node.emit("DequantizeLinear", {node.input(6), unit}, {{"axis", last}}));
  }
  const ValueId y = node.emit("Gemm", inputs, {{"transB", transposed}});
  node.set_output(0, node.emit("QuantizeLinear", {y, node.input(7), node.input(8)}));
}

// A, its scale and zero point, B, its scale and zero point, C (i32), scale and zero point of the result, without which it is f32.
void quantized_gemm(ContribContext& node) {
  if (node.has_input(7) && node.get_float("alpha", 1) == 1 && node.get_int("transA", 0) == 0) return gemm_between(node);
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

// [directions, size, gates] of bytes with scales [directions] or [directions, gates], and zero points like them -> weights of an LSTM.
ValueId restored_gates(ContribContext& node, int w, int scale) {
  const auto spread = [&](int i) { return node.reshape(node.cast(node.input(i), DType::kF32), {node.size(node.input(w), 0), 1, -1}); };
  ValueId x = node.cast(node.input(w), DType::kF32);
  if (node.has_input(scale + 1)) x = node.emit("Sub", {x, spread(scale + 1)});
  return node.transpose(node.emit("Mul", {x, spread(scale)}), {0, 2, 1});
}

// X, W, R, B, lengths, first h and c, peepholes, then scale and zero point of W and of R. The input and the states, which onnxruntime
// rounds to 8 bits for each product (in groups that hang on its threads), stay f32: the weights are what the file has quantized.
void quantized_lstm(ContribContext& node) {
  node.need_inputs({0, 1, 2, 8, 10});
  std::vector<ValueId> inputs = {node.input(0), restored_gates(node, 1, 8), restored_gates(node, 2, 10)};
  for (int i = 3; i < 8; ++i) inputs.push_back(node.input(i));
  const auto outputs = node.emit_many("LSTM", std::move(inputs), 3, node.node().attributes);
  for (int i = 0; i < 3; ++i) node.set_output(i, outputs[static_cast<size_t>(i)]);
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

constexpr ContribOp kOps[] = {
    contrib_op("QuantizeLinear", 2, 3, 1, kAxis, quantize),
    contrib_op("DequantizeLinear", 2, 3, 1, kAxis, dequantize),
    contrib_op("QGemm", 6, 9, 1, kGemm, quantized_gemm),
    contrib_op("QLinearConv", 8, 9, 1, kConv, quantized_conv),
    contrib_op("QLinearReduceMean", 5, 5, 1, kReduce, quantized_mean),
    contrib_op("QLinearWhere", 9, 9, 1, {}, quantized_where),
    contrib_op("DynamicQuantizeLSTM", 3, 12, 3, kLstm, quantized_lstm),
    contrib_op("GatherBlockQuantized", 3, 4, 1, kGatherBlocks, gather_blocks),
};

}  // namespace

constinit const ContribFamily contrib_quantized_ops = kOps;

}  // namespace tandem
