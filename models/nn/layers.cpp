#include "models/nn/layers.h"

#include <cmath>

#include "kernels/base/philox.h"

namespace tandem::nn {
namespace {

int64_t known_dim(const NetworkBuilder& builder, ValueId x, size_t axis, const std::string& layer) {
  const Dims& dims = builder.dims(x);
  require(axis < dims.size() && dims[axis].known(), "a layer needs to know this dimension of its input (layer, axis, shape)",
          layer, axis, to_string(dims));
  return dims[axis].size;
}

// He et al. 2015 for ReLU: variance 2 / fan_in, so the bound of a uniform distribution is sqrt(6 / fan_in).
float kaiming_bound(int64_t fan_in) { return std::sqrt(6.0f / static_cast<float>(std::max<int64_t>(fan_in, 1))); }

}  // namespace

ValueId NetworkBuilder::uniform_parameter(const std::string& name, const Shape& shape, float bound) {
  Tensor tensor(DType::kF32, shape);
  const auto values = tensor.as<float>();
  const uint64_t parameter = network_.parameters.size();
  for (size_t i = 0; i < values.size(); i += 4) {
    const auto words = philox(seed_, i / 4, parameter);
    for (size_t j = 0; j < 4 && i + j < values.size(); ++j) values[i + j] = (2 * unit_float(words[j]) - 1) * bound;
  }
  network_.parameters.push_back(name);
  return network_.graph.add_constant(name, tensor);
}

ValueId NetworkBuilder::constant_parameter(const std::string& name, const Shape& shape, float value) {
  Tensor tensor(DType::kF32, shape);
  std::ranges::fill(tensor.as<float>(), value);
  network_.parameters.push_back(name);
  return network_.graph.add_constant(name, tensor);
}

ValueId linear(NetworkBuilder& builder, ValueId x, int64_t out, const std::string& name) {
  const int64_t in = known_dim(builder, x, 1, name);
  const ValueId weight = builder.uniform_parameter(name + ".weight", {out, in}, kaiming_bound(in));
  const ValueId bias = builder.constant_parameter(name + ".bias", {out}, 0);
  return builder.emit(name).op("Gemm", {x, weight, bias}, {{"transB", int64_t{1}}});
}

ValueId conv2d(NetworkBuilder& builder, ValueId x, const Conv2d& conv, const std::string& name) {
  const int64_t in = known_dim(builder, x, 1, name);
  const ValueId weight = builder.uniform_parameter(name + ".weight", {conv.channels, in, conv.kernel, conv.kernel},
                                                   kaiming_bound(in * conv.kernel * conv.kernel));
  const ValueId bias = builder.constant_parameter(name + ".bias", {conv.channels}, 0);
  const std::vector<int64_t> kernel(2, conv.kernel), strides(2, conv.stride), pads(4, conv.padding);
  return builder.emit(name).op("Conv", {x, weight, bias}, {{"kernel_shape", kernel}, {"strides", strides}, {"pads", pads}});
}

ValueId batch_norm(NetworkBuilder& builder, ValueId x, const std::string& name) {
  const int64_t channels = known_dim(builder, x, 1, name);
  const ValueId scale = builder.constant_parameter(name + ".scale", {channels}, 1);
  const ValueId bias = builder.constant_parameter(name + ".bias", {channels}, 0);
  Tensor one(DType::kF32, {channels});
  std::ranges::fill(one.as<float>(), 1.0f);
  const ValueId mean = builder.graph().add_constant(name + ".mean", Tensor(DType::kF32, {channels}));
  const ValueId variance = builder.graph().add_constant(name + ".variance", one);
  return builder.emit(name).op("BatchNormalization", {x, scale, bias, mean, variance}, {{"epsilon", 1e-5f}, {"momentum", 0.9f}});
}

ValueId relu(NetworkBuilder& builder, ValueId x, const std::string& name) { return builder.emit(name).op("Relu", {x}); }

ValueId max_pool2d(NetworkBuilder& builder, ValueId x, int64_t size, const std::string& name) {
  const std::vector<int64_t> window(2, size);
  return builder.emit(name).op("MaxPool", {x}, {{"kernel_shape", window}, {"strides", window}});
}

ValueId flatten(NetworkBuilder& builder, ValueId x, const std::string& name) {
  return builder.emit(name).op("Flatten", {x}, {{"axis", int64_t{1}}});
}

ValueId dropout(NetworkBuilder& builder, ValueId x, float ratio, const std::string& name) {
  if (ratio == 0) return x;
  require(ratio > 0 && ratio < 1, "a dropout ratio lies in [0, 1)", ratio);
  Emitter emit = builder.emit(name);
  return emit.op("Dropout", {x, emit.scalar(ratio)});
}

}  // namespace tandem::nn
