// DFT (ONNX 17: `axis` is an attribute; 20: an input), STFT (17) and MelWeightMatrix (17).
#include "kernels/api/fourier.h"

#include <utility>

#include "runtime/graph/contexts.h"
#include "runtime/ops/dim_algebra.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes17[] = {"axis", "inverse", "onesided"};
constexpr std::string_view kAttributes20[] = {"inverse", "onesided"};
constexpr std::string_view kStftAttributes[] = {"onesided"};
constexpr std::string_view kMelAttributes[] = {"output_datatype"};

// A number that a constant input holds; nothing if it is not known yet.
template <class Context>
std::optional<int64_t> known_integer(const Context& node, int i) {
  const Tensor* tensor = node.has_input(i) ? node.constant(i) : nullptr;
  if (tensor == nullptr) return std::nullopt;
  node.require(tensor->elements() == 1, "input must be one number (index)", i);
  if (tensor->dtype() == DType::kI32) return std::as_const(*tensor).view().as<int32_t>()[0];
  node.require(tensor->dtype() == DType::kI64, "input must be i32 or i64 (index)", i);
  return std::as_const(*tensor).view().as<int64_t>()[0];
}

double number(ConstTensorView view) {
  if (view.dtype == DType::kI32) return static_cast<double>(view.as<int32_t>()[0]);
  if (view.dtype == DType::kI64) return static_cast<double>(view.as<int64_t>()[0]);
  return visit_float(view.dtype, [&]<class T>() { return static_cast<double>(view.as<T>()[0]); });
}

// The axis of the transform, if it is known.
template <class Context>
std::optional<int> axis_of(const Context& node, int rank) {
  const bool is_attribute = node.node().def->since < 20;
  std::optional<int64_t> axis = is_attribute ? node.get_int("axis", 1) : -2;
  if (!is_attribute && node.has_input(2)) axis = known_integer(node, 2);
  if (!axis) return std::nullopt;
  const int normalized = node.normalized_axis(*axis, rank);
  node.require(normalized != rank - 1, "axis must not be the last, which holds real and imaginary parts", *axis);
  return normalized;
}

bool flag(const NodeContext& node, std::string_view name, int64_t fallback = 0) { return node.get_int(name, fallback) != 0; }

// Of the transform of an axis of `size`; nothing if it is not known.
template <class Context>
std::optional<int64_t> dft_length(const Context& node, std::optional<int64_t> size) {
  if (node.has_input(1)) return known_integer(node, 1);
  if (!size) return std::nullopt;
  return flag(node, "inverse") && flag(node, "onesided") ? std::max<int64_t>(0, 2 * (*size - 1)) : *size;
}

void infer_dft(InferenceContext& node) {
  require_float(node, 0);
  if (!node.has_rank(0)) return node.set_output(0, node.dtype(0), std::nullopt);
  const int rank = node.rank(0);
  Dims y = node.dims(0);
  node.require(rank >= 2, "input must have a signal axis and one for real and imaginary parts", to_string(y));
  const bool inverse = flag(node, "inverse"), onesided = flag(node, "onesided");
  const Dim parts = y.back();
  node.require(!parts.known() || parts.size == 1 || parts.size == 2, "the last axis must be 1 (real) or 2 (complex)",
               to_string(y));
  node.require(!onesided || !parts.known() || parts.size == (inverse ? 2 : 1),
               "onesided takes a real signal, or inverse a complex spectrum", to_string(y));
  y.back() = Dim(int64_t{inverse && onesided ? 1 : 2});
  const std::optional<int> axis = axis_of(node, rank);
  if (!axis) {
    for (int i = 0; i + 1 < rank; ++i) y[static_cast<size_t>(i)] = Dim();
    return node.set_output(0, node.dtype(0), y);
  }
  Dim& along = y[static_cast<size_t>(*axis)];
  const bool same = !node.has_input(1) && !onesided;  // keeps a symbol
  const auto length = dft_length(node, along.known() ? std::optional(along.size) : std::nullopt);
  node.require(!length || *length >= 0, "dft_length must not be negative", length.value_or(0));
  if (!same) along = !length ? Dim() : Dim(onesided && !inverse ? *length / 2 + 1 : *length);
  node.set_output(0, node.dtype(0), y);
}

// The tables for the length that the plan was made for; a run of another length makes its own.
std::shared_ptr<const cpu::FourierPlan> plan_for(const std::shared_ptr<const cpu::FourierPlan>& bound, int64_t length) {
  return bound->length() == length ? bound : std::make_shared<const cpu::FourierPlan>(length);
}

BoundKernel bind_dft(const BindContext& node) {
  const auto axis = axis_of(node, node.rank(0));
  node.require(axis.has_value(), "axis must be known when the plan is made");
  const cpu::DftOptions options = {.axis = *axis, .inverse = flag(node, "inverse"), .onesided = flag(node, "onesided")};
  const int64_t given = known_integer(node, 1).value_or(-1);
  const auto length_of = [=](const Shape& x) {
    if (given >= 0) return given;
    return options.inverse && options.onesided ? std::max<int64_t>(0, 2 * (x[options.axis] - 1)) : x[options.axis];
  };
  node.require(given >= 0 || !node.has_input(1), "dft_length must be known when the plan is made");
  const auto bound = std::make_shared<const cpu::FourierPlan>(length_of(node.shape(0)));
  return {.run = [=](const KernelContext& context, Inputs in,
                     Outputs out) { cpu::dft(context, *plan_for(bound, length_of(in[0].shape)), in[0], options, out[0]); },
          .workspace = cpu::fourier_workspace(bound->length(), node.threads())};
}

// The length of a frame, if it is known: the input frame_length, else the window's, else the signal's.
std::optional<int64_t> frame_length(const InferenceContext& node) {
  if (node.has_input(3)) return known_integer(node, 3);
  const int from = node.has_input(2) ? 2 : 0, axis = node.has_input(2) ? 0 : 1;
  if (!node.has_rank(from) || node.rank(from) <= axis) return std::nullopt;
  const Dim& dim = node.dims(from)[static_cast<size_t>(axis)];
  return dim.known() ? std::optional(dim.size) : std::nullopt;
}

void infer_stft(InferenceContext& node) {
  require_float(node, 0);
  if (node.has_input(2)) node.require_same_dtype(0, 2);
  Dim batch, frames, bins;
  const bool onesided = flag(node, "onesided", 1);
  const auto step = known_integer(node, 1), frame = frame_length(node);
  node.require(!step || *step > 0, "frame_step must be positive", step.value_or(0));
  node.require(!frame || *frame > 0, "a frame must not be empty", frame.value_or(0));
  if (frame && node.has_input(2) && node.has_rank(2))
    node.require(node.rank(2) == 1 && !differ(node.dims(2)[0], Dim(*frame)),
                 "window must be one number a sample of a frame (window, frame)", to_string(node.dims(2)), *frame);
  if (frame) bins = Dim(onesided ? *frame / 2 + 1 : *frame);
  if (node.has_rank(0)) {
    const Dims& signal = node.dims(0);
    node.require(signal.size() == 2 || signal.size() == 3, "signal must be [batch, length], or [batch, length, 1 or 2]",
                 to_string(signal));
    node.require(!onesided || signal.size() == 2 || signal[2].size != 2, "onesided takes a real signal", to_string(signal));
    batch = signal[0];
    if (step && frame) {
      node.require(!signal[1].known() || signal[1].size >= *frame, "the signal is shorter than a frame (signal, frame)",
                   to_string(signal), *frame);
      frames = shifted(floor_quotient(shifted(signal[1], -*frame), *step), 1);
    }
  }
  node.set_output(0, node.dtype(0), Dims{batch, frames, bins, Dim(2)});
}

BoundKernel bind_stft(const BindContext& node) {
  const int64_t given = known_integer(node, 3).value_or(-1);
  const auto length_of = [=, has_window = node.has_input(2)](const Shape& signal, const Shape& window) {
    return given >= 0 ? given : has_window ? window[0] : signal[1];
  };
  const auto bound =
      std::make_shared<const cpu::FourierPlan>(length_of(node.shape(0), node.has_input(2) ? node.shape(2) : Shape()));
  return {.run =
              [=](const KernelContext& context, Inputs in, Outputs out) {
                const ConstTensorView window = in.size() > 2 ? in[2] : ConstTensorView{};
                const auto plan = plan_for(bound, length_of(in[0].shape, window.shape));
                cpu::stft(context, *plan, in[0], static_cast<int64_t>(number(in[1])), window, out[0]);
              },
          .workspace = cpu::fourier_workspace(bound->length(), node.threads())};
}

void infer_mel(InferenceContext& node) {
  const auto bands = known_integer(node, 0), length = known_integer(node, 1);
  node.require((!bands || *bands >= 0) && (!length || *length >= 0), "num_mel_bins and dft_length must not be negative");
  const auto type = static_cast<DType>(node.get_int("output_datatype", static_cast<int64_t>(DType::kF32)));
  node.set_output(0, type, Dims{length ? Dim(*length / 2 + 1) : Dim(), bands ? Dim(*bands) : Dim()});
}

BoundKernel bind_mel(const BindContext&) {
  return {.run = [](const KernelContext&, Inputs in, Outputs out) {
    const auto integer = [&](size_t i) { return static_cast<int64_t>(number(in[i])); };
    const MelBands bands = {integer(0), integer(1), integer(2), number(in[3]), number(in[4])};
    require(bands.sample_rate > 0, "[MelWeightMatrix] sample_rate must be positive", bands.sample_rate);
    cpu::mel_weights(bands, out[0]);
  }};
}

constexpr OpDef dft(int since, int until, int inputs, std::span<const std::string_view> attributes) {
  return {.name = "DFT",
          .since = since,
          .until = until,
          .max_inputs = inputs,
          .attributes = attributes,
          .infer = infer_dft,
          .cpu = bind_dft,
          .host_inputs = input_set(1, 2)};
}
constexpr OpDef dft_op_17 = dft(17, 20, 2, kAttributes17);
constexpr OpDef dft_op_20 = dft(20, std::numeric_limits<int>::max(), 3, kAttributes20);

constexpr OpDef stft_op = {.name = "STFT",
                           .since = 17,
                           .min_inputs = 2,
                           .max_inputs = 4,
                           .attributes = kStftAttributes,
                           .infer = infer_stft,
                           .cpu = bind_stft,
                           .host_inputs = input_set(1, 3)};

constexpr OpDef mel_weight_matrix_op = {.name = "MelWeightMatrix",
                                        .since = 17,
                                        .min_inputs = 5,
                                        .max_inputs = 5,
                                        .attributes = kMelAttributes,
                                        .infer = infer_mel,
                                        .cpu = bind_mel,
                                        .host_inputs = input_set(0, 1, 2, 3, 4)};

constexpr const OpDef* kOps[] = {&dft_op_17, &dft_op_20, &stft_op, &mel_weight_matrix_op};

}  // namespace

extern const OpFamily fourier_ops;
constinit const OpFamily fourier_ops = kOps;

}  // namespace tandem
