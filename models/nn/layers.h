// Layers: functions that append nodes and parameters to a network under construction.
//
// Parameters are named "<layer>.weight" and "<layer>.bias"; their start values come from Philox under (seed, index of the
// parameter), so the same seed gives the same bits on every machine.
#pragma once

#include <string>

#include "runtime/train/emitter.h"
#include "runtime/train/network.h"

namespace tandem::nn {

class NetworkBuilder {
 public:
  explicit NetworkBuilder(uint64_t seed) : seed_(seed) {}

  Network& network() { return network_; }
  Graph& graph() { return network_.graph; }
  Emitter emit(std::string prefix) { return Emitter(network_.graph, std::move(prefix)); }
  const Dims& dims(ValueId id) const { return *network_.graph.value(id).type.dims; }

  // A trained constant, uniform in [-bound, bound].
  ValueId uniform_parameter(const std::string& name, const Shape& shape, float bound);
  ValueId constant_parameter(const std::string& name, const Shape& shape, float value);

 private:
  Network network_;
  uint64_t seed_;
};

// y = x W^T + b: x [batch, in], W [out, in] (Kaiming uniform for ReLU: He et al. 2015), b zero.
ValueId linear(NetworkBuilder& builder, ValueId x, int64_t out, const std::string& name);

struct Conv2d {
  int64_t channels = 1;  // of the output
  int64_t kernel = 3;
  int64_t stride = 1;
  int64_t padding = 0;  // on every side
};
// x [batch, channels, height, width] -> [batch, conv.channels, ...], with bias; Kaiming uniform.
ValueId conv2d(NetworkBuilder& builder, ValueId x, const Conv2d& conv, const std::string& name);

// Over the channels of x [batch, channels, ...]; epsilon 1e-5, momentum 0.9 (ONNX: the share of the old statistics).
ValueId batch_norm(NetworkBuilder& builder, ValueId x, const std::string& name);

ValueId relu(NetworkBuilder& builder, ValueId x, const std::string& name);
ValueId max_pool2d(NetworkBuilder& builder, ValueId x, int64_t size, const std::string& name);  // stride = size
ValueId flatten(NetworkBuilder& builder, ValueId x, const std::string& name);               // [batch, ...] -> [batch, features]
ValueId dropout(NetworkBuilder& builder, ValueId x, float ratio, const std::string& name);  // x itself for ratio 0

}  // namespace tandem::nn
