#include "tests/conformance/case.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/api/convert.h"
#include "kernels/base/dtype_families.h"
#include "kernels/base/philox.h"
#include "runtime/ops/all_ops.h"
#include "tests/conformance/cases/cases.h"

namespace tandem::conformance {

const OpDef& definition(const Case& one) {
  const size_t dot = one.op.rfind('.');
  const std::string domain = dot == std::string::npos ? "" : one.op.substr(0, dot);
  const std::string name = dot == std::string::npos ? one.op : one.op.substr(dot + 1);
  return one.opset ? find_op(domain, name, one.opset) : newest_op(name, domain);
}

const Cases& all_cases() {
  static const Cases cases = [] {
    Cases all;
    for (const auto add : kFamilies) add(all);
    return all;
  }();
  return cases;
}

Tensor uniform(const Shape& shape, double low, double high, uint64_t seed) {
  Tensor tensor(DType::kF32, shape);
  auto values = tensor.as<float>();
  for (size_t i = 0; i < values.size(); ++i)
    values[i] = static_cast<float>(low + (high - low) * static_cast<double>(unit_float(philox(seed, i, 0)[0])));
  return tensor;
}

Tensor f32(const Shape& shape, std::vector<float> values) { return Tensor::of<float>(shape, values); }
Tensor f64(const Shape& shape, const std::vector<double>& values) { return Tensor::of<double>(shape, values); }
Tensor i64(const Shape& shape, std::vector<int64_t> values) { return Tensor::of<int64_t>(shape, values); }
Tensor booleans(const Shape& shape, const std::vector<bool>& values) { return Tensor::of<bool>(shape, values); }
Tensor strings(const Shape& shape, std::vector<std::string> values) {
  return Tensor::strings(shape, std::span<const std::string>(values));
}

std::vector<double> numbers(const Tensor& tensor) {
  std::vector<double> wide(static_cast<size_t>(tensor.elements()));
  visit_convertible(tensor.dtype(), [&]<class T>() {
    std::ranges::transform(tensor.as<T>(), wide.begin(), [](T value) { return convert<double>(value); });
  });
  return wide;
}

Tensor as(DType dtype, const Tensor& tensor) {
  Tensor other(dtype, tensor.shape());
  const std::vector<double> values = numbers(tensor);
  visit_convertible(
      dtype, [&]<class T>() { std::ranges::transform(values, other.as<T>().begin(), [](double v) { return convert<T>(v); }); });
  return other;
}

Reference each(std::function<double(double)> f) {
  return [f = std::move(f)](const std::vector<Tensor>& inputs) {
    std::vector<double> values = numbers(inputs[0]);
    for (double& value : values) value = f(value);
    return std::vector{f64(inputs[0].shape(), values)};
  };
}

Reference pairs(std::function<double(double, double)> f) {
  return [f = std::move(f)](const std::vector<Tensor>& inputs) {
    const Shape shape = broadcast(inputs[0].shape(), inputs[1].shape());
    const std::vector<double> operands[] = {numbers(inputs[0]), numbers(inputs[1])};
    std::vector<double> values;
    for (int64_t i = 0; i < shape.elements(); ++i) {
      double pair[2];
      for (int k = 0; k < 2; ++k) {
        const Shape& own = inputs[static_cast<size_t>(k)].shape();
        int64_t rest = i, offset = 0, stride = 1;
        for (int a = shape.rank() - 1, o = own.rank() - 1; a >= 0; rest /= shape[a], --a, --o) {
          if (o < 0) continue;
          offset += own[o] == 1 ? 0 : rest % shape[a] * stride;
          stride *= own[o];
        }
        pair[k] = operands[k][static_cast<size_t>(offset)];
      }
      values.push_back(f(pair[0], pair[1]));
    }
    return std::vector{f64(shape, values)};
  };
}

Reference differences(Reference forward, int dy, std::vector<int> inputs, std::vector<int> by) {
  return [=, forward = std::move(forward)](const std::vector<Tensor>& in) {
    std::vector<Tensor> x;
    for (const int i : inputs) x.push_back(i < 0 ? Tensor() : in[static_cast<size_t>(i)]);
    const std::vector<double> weights = numbers(in[static_cast<size_t>(dy)]);
    const auto loss = [&] {
      const std::vector<double> y = numbers(forward(x)[0]);
      return std::inner_product(y.begin(), y.end(), weights.begin(), 0.0);
    };
    std::vector<Tensor> gradients;
    for (const int i : by) {
      Tensor& input = x[static_cast<size_t>(std::ranges::find(inputs, i) - inputs.begin())];
      const Tensor kept = as(DType::kF64, input);
      std::vector<double> slopes;
      for (size_t e = 0; e < kept.as<double>().size(); ++e) {
        constexpr double kStep = 1e-5;
        double losses[2];
        for (const int side : {0, 1}) {
          input = kept.clone();
          input.as<double>()[e] += side ? kStep : -kStep;
          losses[side] = loss();
        }
        slopes.push_back((losses[1] - losses[0]) / (2 * kStep));
      }
      input = kept;
      gradients.push_back(f64(kept.shape(), slopes));
    }
    return gradients;
  };
}

Reference fixed(Tensor expected) {
  return [expected = std::move(expected)](const std::vector<Tensor>&) { return std::vector{expected}; };
}

}  // namespace tandem::conformance
