#include "kernels/api/training_update.h"

#include <cmath>

#include "kernels/cpu/parallel.h"

namespace tandem::cpu {
namespace {

// Calls element(i) for all i < n.
template <class Element>
void for_each(const KernelContext& context, int64_t n, Element element) {
  parallel_chunks(context, n, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) element(i);
  });
}

template <class T>
auto reader(ConstTensorView view) {
  return [data = view.as<T>().data()](int64_t i) { return static_cast<double>(data[i]); };
}
template <class T>
auto writer(TensorView view) {
  return [data = view.as<T>().data()](int64_t i, double value) { data[i] = static_cast<T>(value); };
}

}  // namespace

void training_update(const KernelContext& context, const AdagradUpdate& update, ConstTensorView x, ConstTensorView gradient,
                     ConstTensorView h, TensorView new_x, TensorView new_h) {
  const double rate = update.rate / (1 + static_cast<double>(update.step) * update.decay_factor);
  visit_float(x.dtype, [&]<class T>() {
    const auto xs = reader<T>(x), gs = reader<T>(gradient), hs = reader<T>(h);
    const auto put_x = writer<T>(new_x), put_h = writer<T>(new_h);
    for_each(context, x.elements(), [=](int64_t i) {
      const double value = xs(i), slope = update.norm_coefficient * value + gs(i), sum = hs(i) + slope * slope;
      put_x(i, value - rate * slope / (std::sqrt(sum) + update.epsilon));
      put_h(i, sum);
    });
  });
}

void training_update(const KernelContext& context, const MomentumUpdate& update, ConstTensorView x, ConstTensorView gradient,
                     ConstTensorView v, TensorView new_x, TensorView new_v) {
  const double beta = update.step > 0 ? update.beta : 1;
  visit_float(x.dtype, [&]<class T>() {
    const auto xs = reader<T>(x), gs = reader<T>(gradient), vs = reader<T>(v);
    const auto put_x = writer<T>(new_x), put_v = writer<T>(new_v);
    for_each(context, x.elements(), [=](int64_t i) {
      const double value = xs(i), slope = update.norm_coefficient * value + gs(i), velocity = update.alpha * vs(i) + beta * slope;
      put_x(i, value - update.rate * (update.nesterov ? slope + update.alpha * velocity : velocity));
      put_v(i, velocity);
    });
  });
}

void training_update(const KernelContext& context, const AdamUpdate& update, ConstTensorView x, ConstTensorView gradient,
                     ConstTensorView v, ConstTensorView h, TensorView new_x, TensorView new_v, TensorView new_h) {
  const double step = static_cast<double>(update.step);
  double rate = update.rate;
  if (update.step > 0) rate *= std::sqrt(1 - std::pow(update.beta, step)) / (1 - std::pow(update.alpha, step));
  visit_float(x.dtype, [&]<class T>() {
    const auto xs = reader<T>(x), gs = reader<T>(gradient), vs = reader<T>(v), hs = reader<T>(h);
    const auto put_x = writer<T>(new_x), put_v = writer<T>(new_v), put_h = writer<T>(new_h);
    for_each(context, x.elements(), [=](int64_t i) {
      const double value = xs(i), slope = update.norm_coefficient * value + gs(i);
      const double mean = update.alpha * vs(i) + (1 - update.alpha) * slope,
                   square = update.beta * hs(i) + (1 - update.beta) * slope * slope;
      put_x(i, (1 - update.norm_coefficient_post) * (value - rate * mean / (std::sqrt(square) + update.epsilon)));
      put_v(i, mean);
      put_h(i, square);
    });
  });
}

}  // namespace tandem::cpu
