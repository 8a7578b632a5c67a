// The reference of a gradient op: central differences of a forward reference, in double.
#pragma once

#include "tests/conformance/case.h"

namespace tandem::conformance {

// d(sum of dy * forward(inputs)[0]) / d(inputs[at]), in the shape of that input.
inline Tensor differences(const Reference& forward, std::vector<Tensor> inputs, size_t at, const Tensor& dy) {
  constexpr double kStep = 1e-5;
  const std::vector<double> weights = numbers(dy), values = numbers(inputs[at]);
  const Shape shape = inputs[at].shape();
  std::vector<double> gradient;
  for (size_t i = 0; i < values.size(); ++i) {
    double change = 0;
    for (double side : {1.0, -1.0}) {
      std::vector<double> moved = values;
      moved[i] += side * kStep;
      inputs[at] = f64(shape, moved);
      const std::vector<double> y = numbers(forward(inputs)[0]);
      for (size_t k = 0; k < y.size(); ++k) change += side * weights[k] * y[k];
    }
    gradient.push_back(change / (2 * kStep));
  }
  return f64(shape, gradient);
}

}  // namespace tandem::conformance
