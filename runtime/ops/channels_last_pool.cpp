// tandem.ChannelsLastMaxPool and ChannelsLastAveragePool: MaxPool (without indices) and AveragePool of images [batch, spatial..., channels],
// which the pass layout_assignment puts into plans for the CPU; and Bf16ChannelsLastMaxPool and Bf16ChannelsLastAveragePool, the same of bf16.
// Bf16GlobalAverage: the means over all spatial axes, which stay as ones, in f32.
#include "kernels/api/bf16_conv.h"
#include "kernels/api/pool_channels_last.h"

#include <algorithm>

#include "runtime/ops/channels_last.h"
#include "runtime/ops/pool_window.h"

namespace tandem {
namespace {

constexpr std::string_view kMaxAttributes[] = {"auto_pad", "ceil_mode", "dilations", "kernel_shape", "pads", "strides"};
constexpr std::string_view kAverageAttributes[] = {"auto_pad", "ceil_mode", "count_include_pad", "dilations", "kernel_shape", "pads", "strides"};

void set_dims(InferenceContext& node) {
  if (!node.has_rank(0)) return node.set_output(0, node.dtype(0), std::nullopt);
  node.require(node.rank(0) >= 3 && node.rank(0) <= 5, "input X must have 1 to 3 spatial axes", to_string(node.dims(0)));
  const Dims x = channels_first(node.dims(0));
  node.set_output(0, node.dtype(0), channels_last(window_dims(node, WindowAttributes(node), x, x[1])));
}

void infer_max(InferenceContext& node) {
  node.require(cpu::pools_channels_last(node.dtype(0)), "input must be f32, u8 or i8 (type)", name(node.dtype(0)));
  set_dims(node);
}
void infer_average(InferenceContext& node) {
  node.require_dtype(0, DType::kF32);
  set_dims(node);
}

void infer_short(InferenceContext& node) {
  node.require_dtype(0, DType::kBF16);
  set_dims(node);
}

void infer_global(InferenceContext& node) {
  node.require_dtype(0, DType::kBF16);
  if (!node.has_rank(0)) return node.set_output(0, DType::kF32, std::nullopt);
  node.require(node.rank(0) >= 3, "input X must have spatial axes", to_string(node.dims(0)));
  Dims dims = node.dims(0);
  std::fill(dims.begin() + 1, dims.end() - 1, Dim(1));
  node.set_output(0, DType::kF32, std::move(dims));
}

BoundKernel bind_max(const BindContext& node) {
  return {.run = [window = PoolWindow(node, channels_first(node.shape(0)))](const KernelContext& context, Inputs in, Outputs out) {
    cpu::max_pool_channels_last(context, window.of(channels_first(in[0].shape)), in[0], out[0]);
  }};
}
BoundKernel bind_average(const BindContext& node) {
  return {.run = [window = PoolWindow(node, channels_first(node.shape(0))), count_pad = node.get_int("count_include_pad", 0) != 0](
                     const KernelContext& context, Inputs in, Outputs out) {
    cpu::average_pool_channels_last(context, window.of(channels_first(in[0].shape)), in[0], out[0], count_pad);
  }};
}

BoundKernel bind_short_max(const BindContext& node) {
  return {.run = [window = PoolWindow(node, channels_first(node.shape(0)))](const KernelContext& context, Inputs in, Outputs out) {
    cpu::bf16_max_pool(context, window.of(channels_first(in[0].shape)), in[0], out[0]);
  }};
}
BoundKernel bind_short_average(const BindContext& node) {
  return {.run = [window = PoolWindow(node, channels_first(node.shape(0))), count_pad = node.get_int("count_include_pad", 0) != 0](
                     const KernelContext& context, Inputs in, Outputs out) {
    cpu::bf16_average_pool(context, window.of(channels_first(in[0].shape)), in[0], out[0], count_pad);
  }};
}

constexpr OpDef max_pool_op = {
    .name = "ChannelsLastMaxPool", .domain = "tandem", .attributes = kMaxAttributes, .infer = infer_max, .cpu = bind_max};
constexpr OpDef average_pool_op = {
    .name = "ChannelsLastAveragePool", .domain = "tandem", .attributes = kAverageAttributes, .infer = infer_average, .cpu = bind_average};

constexpr OpDef short_max_pool_op = {.name = "Bf16ChannelsLastMaxPool",
                                     .domain = "tandem",
                                     .attributes = kMaxAttributes,
                                     .infer = infer_short,
                                     .cpu = bind_short_max,
                                     .elements = Elements::kConverted};
constexpr OpDef short_average_pool_op = {.name = "Bf16ChannelsLastAveragePool",
                                         .domain = "tandem",
                                         .attributes = kAverageAttributes,
                                         .infer = infer_short,
                                         .cpu = bind_short_average,
                                         .elements = Elements::kConverted};

BoundKernel bind_global(const BindContext&) {
  return {.run = [](const KernelContext& context, Inputs in, Outputs out) { cpu::bf16_global_average(context, in[0], out[0]); }};
}
constexpr OpDef global_average_op = {
    .name = "Bf16GlobalAverage", .domain = "tandem", .infer = infer_global, .cpu = bind_global, .elements = Elements::kConverted};

constexpr const OpDef* kOps[] = {&max_pool_op, &average_pool_op, &short_max_pool_op, &short_average_pool_op, &global_average_op};

}  // namespace

extern const OpFamily channels_last_pool_ops;
constinit const OpFamily channels_last_pool_ops = kOps;

}  // namespace tandem
