// Ops of com.microsoft that ONNX has too, under another name or in a younger opset, and those that a few of ONNX's say:
// distances, Fourier transforms of real signals, n-grams that a decoder must not repeat. skl2onnx writes CDist, tf2onnx Rfft,
// exports of fairseq NGramRepeatBlock.
#include <limits>

#include "runtime/onnx/contrib.h"

namespace tandem {
namespace {

constexpr std::string_view kUpper[] = {"upper"};
constexpr std::string_view kMode[] = {"mode"};
constexpr std::string_view kMetric[] = {"metric"};
constexpr std::string_view kGrid[] = {"align_corners", "mode", "padding_mode"};
constexpr std::string_view kWindows[] = {"auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "storage_order", "strides"};
constexpr std::string_view kNgram[] = {"ngram_size"};
constexpr std::string_view kFourier[] = {"normalized", "onesided", "signal_ndim"};

void trilu(ContribContext& node) {
  node.set_output(0, node.emit("Trilu", {node.input(0), node.input(1)}, {{"upper", node.get_int("upper", 1)}}));
}

void range(ContribContext& node) {
  const ValueId step = node.has_input(2) ? node.input(2) : node.scalar(1, node.dtype(node.input(0)));
  node.set_output(0, node.emit("Range", {node.input(0), node.input(1), step}));
}

// The pads may be a row of a matrix.
void pad(ContribContext& node) {
  const ValueId pads = node.reshape(node.input(1), {-1});
  node.set_output(0, node.emit("Pad", {node.input(0), pads, node.input(2)}, {{"mode", node.get_string("mode", "constant")}}));
}

void gather_nd(ContribContext& node) {
  node.set_output(0, node.emit("GatherND", {node.input(0), node.cast(node.input(1), DType::kI64)}));
}

void expand_dims(ContribContext& node) {
  const ValueId axes = node.reshape(node.cast(node.input(1), DType::kI64), {1});
  node.set_output(0, node.emit("Unsqueeze", {node.input(0), axes}));
}

// Values in the order in which they come, where each value of x is among them, and how often each is there.
void unique(ContribContext& node) {
  const auto made = node.emit_many("Unique", {node.input(0)}, 4, {{"sorted", int64_t{0}}});
  node.set_output(0, made[0]);
  node.set_output(1, made[2]);
  node.set_output(2, made[3]);
}

void grid_sample(ContribContext& node) {
  std::string mode = node.get_string("mode", "bilinear");
  if (mode == "bilinear") mode = "linear";
  if (mode == "bicubic") mode = "cubic";
  node.set_output(0, node.emit("GridSample", {node.input(0), node.input(1)},
                               {{"mode", mode},
                                {"padding_mode", node.get_string("padding_mode", "zeros")},
                                {"align_corners", node.get_int("align_corners", 0)}}));
}

// |a|^2 + |b|^2 - 2 a.b for every pair of rows, as onnxruntime does; what rounding makes negative is 0.
void pairwise_distances(ContribContext& node) {
  const std::string metric = node.get_string("metric", "sqeuclidean");
  node.require(metric == "sqeuclidean" || metric == "euclidean", "metric must be sqeuclidean or euclidean", metric);
  const ValueId a = node.input(0), b = node.input(1);
  const ValueId a_squares = node.emit("ReduceSumSquare", {a, node.ints({1})});
  const ValueId b_squares = node.emit("ReduceSumSquare", {b, node.ints({1})}, {{"keepdims", int64_t{0}}});
  const ValueId products = node.emit("MatMul", {a, node.transpose(b, {1, 0})});
  const ValueId twice = node.emit("Mul", {products, node.scalar(2, node.dtype(a))});
  const ValueId squares = node.emit("Relu", {node.emit("Sub", {node.emit("Add", {a_squares, b_squares}), twice})});
  node.set_output(0, metric == "euclidean" ? node.emit("Sqrt", {squares}) : squares);
}

int64_t signal_axes(const ContribContext& node) {
  const int64_t axes = node.get_int("signal_ndim", 1);
  node.require(axes == 1 || axes == 2, "signal_ndim must be 1 or 2", axes);
  node.require(node.get_int("normalized", 0) == 0, "normalized must be 0", node.get_int("normalized", 0));
  node.require(node.get_int("onesided", 1) == 1, "onesided must be 1", node.get_int("onesided", 1));
  return axes;
}

ValueId fourier(ContribContext& node, ValueId x, int64_t axis, bool inverse, bool one_sided) {
  return node.emit("DFT", {x, kNoValue, node.scalar(static_cast<double>(axis), DType::kI64)},
                   {{"inverse", int64_t{inverse}}, {"onesided", int64_t{one_sided}}});
}

// [..., n] -> [..., n / 2 + 1, 2]
void real_fourier(ContribContext& node) {
  const int64_t axes = signal_axes(node);
  ValueId y = fourier(node, node.unsqueeze(node.input(0), {-1}), -2, false, true);
  if (axes == 2) y = fourier(node, y, -3, false, false);
  node.set_output(0, y);
}

// [..., m, 2] -> [..., 2 (m - 1)]: the half that is left out is the conjugate of the other, the other way round.
void inverse_real_fourier(ContribContext& node) {
  ValueId half = node.input(0);
  if (signal_axes(node) == 2) half = fourier(node, half, -3, true, false);
  const int64_t axis = node.rank(half) - 2;
  const ValueId reversed = node.emit("Slice", {half, node.ints({-2}), node.ints({0}), node.ints({axis}), node.ints({-1})});
  const ValueId signs = node.constant(visit_number(node.dtype(half), []<class T>() {
    return Tensor::of<T>({2}, {static_cast<T>(1), static_cast<T>(-1)});
  }));
  const ValueId whole = node.emit("Concat", {half, node.emit("Mul", {reversed, signs})}, {{"axis", axis}});
  const ValueId signal = fourier(node, whole, -2, true, false);
  node.set_output(0, node.emit("Squeeze", {node.slice(signal, -1, 0, 1), node.ints({-1})}));
}

// A MaxPool of images whose channels are the last axis.
void max_pool_of_channels_last(ContribContext& node) {
  const int rank = node.rank(node.input(0));
  std::vector<int64_t> to_first{0, rank - 1}, to_last{0};
  for (int64_t axis = 1; axis < rank - 1; ++axis) to_first.push_back(axis), to_last.push_back(axis + 1);
  to_last.push_back(1);
  node.set_output(0, node.transpose(node.emit("MaxPool", {node.transpose(node.input(0), to_first)}, node.node().attributes), to_last));
}

// -inf for the scores of tokens that would end an n-gram which the row of tokens has already: of each window of n tokens the
// last, if the others are what the row ends with. Rows of fewer than n tokens have no window.
void block_repeated_ngrams(ContribContext& node) {
  constexpr int64_t kMostTokens = 64, kEnd = std::numeric_limits<int64_t>::max();
  const int64_t n = node.get_int("ngram_size", 0);
  node.require(n >= 1 && n <= kMostTokens, "ngram_size must be from 1 to 64", n);
  const ValueId tokens = node.input(0), scores = node.input(1), last = node.slice(tokens, 1, n - 1, kEnd);
  ValueId repeated = n == 1 ? node.emit("Equal", {last, last}) : kNoValue;
  for (int64_t i = 0; i < n - 1; ++i) {
    const int64_t from_end = n - 1 - i;
    const ValueId ending = node.slice(tokens, 1, -from_end, from_end == 1 ? kEnd : 1 - from_end);
    const ValueId same = node.emit("Equal", {node.slice(tokens, 1, i, -from_end), ending});
    repeated = repeated == kNoValue ? same : node.emit("And", {repeated, same});
  }
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const DType type = node.dtype(scores);
  const ValueId most = node.emit("Where", {repeated, node.scalar(-kInfinity, type), node.scalar(kInfinity, type)});
  node.set_output(0,
                  node.emit("ScatterElements", {scores, last, most}, {{"axis", int64_t{1}}, {"reduction", std::string("min")}}));
}

constexpr ContribOp kOps[] = {
    contrib_op("Trilu", 1, 2, 1, kUpper, trilu),
    contrib_op("Range", 2, 3, 1, {}, range),
    contrib_op("Pad", 2, 3, 1, kMode, pad),
    contrib_op("GatherND", 2, 2, 1, {}, gather_nd),
    contrib_op("ExpandDims", 2, 2, 1, {}, expand_dims),
    contrib_op("Unique", 1, 1, 3, {}, unique),
    contrib_op("GridSample", 2, 2, 1, kGrid, grid_sample),
    contrib_op("NhwcMaxPool", 1, 1, 1, kWindows, max_pool_of_channels_last),
    contrib_op("CDist", 2, 2, 1, kMetric, pairwise_distances),
    contrib_op("Rfft", 1, 1, 1, kFourier, real_fourier),
    contrib_op("Irfft", 1, 1, 1, kFourier, inverse_real_fourier),
    contrib_op("NGramRepeatBlock", 2, 2, 1, kNgram, block_repeated_ngrams),
};

}  // namespace

constinit const ContribFamily contrib_tensor_ops = kOps;

}  // namespace tandem
