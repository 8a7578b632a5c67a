// The CUDA twins of the losses and their gradients against the CPU's.
#include "kernels/api/cross_entropy.h"

#include <limits>
#include <random>

#include "tests/kernels/cuda/twins.h"

namespace tandem::test {
namespace {

constexpr LossReduction kReductions[] = {LossReduction::kNone, LossReduction::kMean, LossReduction::kSum};

// One sample a warp, a block, part of a warp; samples side by side; more samples than one block sums weights of.
const Shape kShapes[] = {{1, 1}, {5, 10}, {3, 1030}, {40, 33}, {2, 21, 5, 3}, {2, 300, 9}, {0, 4}};

// A loss on the scores, and one on logarithms of probabilities, behind one face.
struct Loss {
  void (*forward_cpu)(const KernelContext&, const LossViews&, TensorView loss, TensorView log_prob, const LossOptions&);
  void (*forward_gpu)(const KernelContext&, const LossViews&, TensorView loss, TensorView log_prob, const LossOptions&);
  void (*grad_cpu)(const KernelContext&, const LossViews&, ConstTensorView, TensorView, const LossOptions&);
  void (*grad_gpu)(const KernelContext&, const LossViews&, ConstTensorView, TensorView, const LossOptions&);
  bool log_prob;
};
const Loss kSoftmax = {cpu::softmax_cross_entropy, cuda::softmax_cross_entropy, cpu::softmax_cross_entropy_grad,
                       cuda::softmax_cross_entropy_grad, true};
const Loss kLikelihood = {[](const KernelContext& context, const LossViews& views, TensorView loss, TensorView,
                             const LossOptions& options) { cpu::negative_log_likelihood(context, views, loss, options); },
                          [](const KernelContext& context, const LossViews& views, TensorView loss, TensorView,
                             const LossOptions& options) { cuda::negative_log_likelihood(context, views, loss, options); },
                          cpu::negative_log_likelihood_grad, cuda::negative_log_likelihood_grad, false};

Shape label_shape(const Shape& scores) {
  Shape labels{scores[0]};
  for (int i = 2; i < scores.rank(); ++i) labels.push_back(scores[i]);
  return labels;
}

template <class L>
Values<L> random_labels(const Shape& scores, unsigned seed) {
  Values<L> labels(label_shape(scores));
  std::mt19937 generator(seed);
  for (L& label : labels.data) label = static_cast<L>(generator() % static_cast<unsigned>(scores[1]));
  return labels;
}

template <class T>
Values<T> positive(const Shape& shape, unsigned seed) {
  auto values = Values<T>::random(shape, seed);
  for (T& v : values.data) v = std::abs(v) + T(0.1);
  return values;
}

// T on the GPU, U (of the same values) on the CPU. An empty shape of weights stands for none.
template <class T, class U, class L>
struct Case {
  Values<T> scores, weights, loss_grad;
  Values<U> cpu_scores, cpu_weights, cpu_loss_grad;
  Values<L> labels;
  bool weighted;
  LossOptions options;

  void expect_equal(const Loss& loss, double tolerance) const {
    SCOPED_TRACE("scores " + to_string(scores.shape) + ", reduction " + std::to_string(static_cast<int>(options.reduction)));
    const Context context(cpu::cross_entropy_workspace(scores.shape, dtype_of<U>, 1));
    const LossViews views{cpu_scores.view(), labels.view(), weighted ? cpu_weights.view() : ConstTensorView{}};
    Values<U> expected(loss_grad.shape), log_prob(scores.shape), grad(scores.shape);
    loss.forward_cpu(context, views, expected.view(), log_prob.view(), options);
    loss.grad_cpu(context, views, cpu_loss_grad.view(), grad.view(), options);

    const DeviceContext device(cuda::cross_entropy_workspace(scores.shape));
    const DeviceTensor device_labels(labels), device_weights(weights), device_grad(loss_grad);
    DeviceTensor device_scores(scores), value(Values<T>{loss_grad.shape}), device_log_prob(scores),
        result(Values<T>{scores.shape});
    const LossViews device_views{device_scores.view(), device_labels.view(),
                                 weighted ? device_weights.view() : ConstTensorView{}};
    loss.forward_gpu(device, device_views, value.view(), loss.log_prob ? device_log_prob.view() : TensorView{}, options);
    loss.grad_gpu(device, device_views, device_grad.view(), result.view(), options);
    expect_twins(value.values<T>(), expected, tolerance);
    if (loss.log_prob) expect_twins(device_log_prob.values<T>(), log_prob, tolerance);
    expect_twins(result.values<T>(), grad, tolerance);
    static_cast<void>(device.memory.read());  // its fences
    if (!loss.log_prob) return;
    loss.grad_gpu(device, device_views, device_grad.view(), device_scores.view(), options);  // in place
    expect_twins(device_scores.values<T>(), grad, tolerance);
  }
};

template <class T, class L>
Case<T, T, L> random_case(const Shape& shape, LossReduction reduction, bool weighted, bool ignores, unsigned seed) {
  const Shape loss_shape = reduction == LossReduction::kNone ? label_shape(shape) : Shape{};
  const auto scores = Values<T>::random(shape, seed, 3), loss_grad = Values<T>::random(loss_shape, seed + 1);
  const auto weights = positive<T>({shape[1]}, seed + 2);
  Case<T, T, L> one{scores,   weights,        loss_grad, scores, weights, loss_grad, random_labels<L>(shape, seed),
                    weighted, {reduction, {}}};
  if (!ignores) return one;
  one.options.ignore_index = seed == 1 ? 0 : -7;  // a class, or none
  for (size_t i = 0; i < one.labels.data.size(); i += 3) one.labels.data[i] = static_cast<L>(*one.options.ignore_index);
  return one;
}

template <class T, class L>
void expect_equal(const Loss& loss, double tolerance) {
  for (const Shape& shape : kShapes)
    for (LossReduction reduction : kReductions)
      for (unsigned seed : kSeeds)
        for (int form = 0; form < 4; ++form)
          random_case<T, L>(shape, reduction, form & 1, form & 2, seed).expect_equal(loss, tolerance);
}

TEST(CudaSoftmaxCrossEntropy, EqualsItsTwin) {
  expect_equal<float, int64_t>(kSoftmax, 1e-5);
  expect_equal<double, int32_t>(kSoftmax, 1e-11);
}
TEST(CudaLikelihood, EqualsItsTwin) {
  expect_equal<float, int64_t>(kLikelihood, 1e-5);
  expect_equal<double, int32_t>(kLikelihood, 1e-12);
}
TEST(CudaSoftmaxCrossEntropy, SumsManySamples) {
  for (const Loss& loss : {kSoftmax, kLikelihood})
    random_case<float, int64_t>({3000, 3}, LossReduction::kMean, true, true, 1).expect_equal(loss, 1e-5);
}

TEST(CudaSoftmaxCrossEntropy, LetsAnIgnoredSampleBeNan) {
  for (const Loss& loss : {kSoftmax, kLikelihood}) {
    auto one = random_case<float, int64_t>({4, 10}, LossReduction::kMean, false, true, 2);
    ASSERT_EQ(one.labels[0], *one.options.ignore_index);
    one.scores[3] = one.cpu_scores[3] = std::numeric_limits<float>::quiet_NaN();
    one.expect_equal(loss, 1e-5);
  }
}

template <class T>
void expect_halves() {
  for (const Loss& loss : {kSoftmax, kLikelihood})
    for (unsigned seed : kSeeds) {
      const Halves<T> scores({20, 33}, seed), weights({33}, seed + 1), loss_grad({}, seed + 2);
      Case<T, float, int64_t>{scores.half,
                              weights.half,
                              loss_grad.half,
                              scores.wide,
                              weights.wide,
                              loss_grad.wide,
                              random_labels<int64_t>(scores.half.shape, seed),
                              true,
                              {LossReduction::kSum, {}}}
          .expect_equal(loss, kHalfTolerance<T>);
    }
}
TEST(CudaSoftmaxCrossEntropy, RoundsHalvesOnce) {
  expect_halves<F16>();
  expect_halves<BF16>();
}

// What the CPU throws for.
TEST(CudaSoftmaxCrossEntropy, ShowsALabelThatIsNoClass) {
  for (const Loss& loss : {kSoftmax, kLikelihood})
    for (int64_t label : {int64_t{-1}, int64_t{4}, int64_t{1} << 40})
      for (LossReduction reduction : kReductions) {
        const auto scores = Values<float>::random({3, 4}, 1);
        const DeviceTensor x(scores), labels(Values<int64_t>({3}, {0, label, 3}));
        const bool none = reduction == LossReduction::kNone;
        const DeviceTensor loss_grad(none ? Values<float>({3}, {1, 1, 1}) : Values<float>(Shape{}, {1}));
        DeviceTensor value(Values<float>{none ? Shape{3} : Shape{}}), grad(Values<float>{scores.shape});
        const DeviceContext context(cuda::cross_entropy_workspace(scores.shape));
        loss.forward_gpu(context, {x.view(), labels.view(), {}}, value.view(), {}, {reduction, {}});
        loss.grad_gpu(context, {x.view(), labels.view(), {}}, loss_grad.view(), grad.view(), {reduction, {}});
        const auto values = value.values<float>(), grads = grad.values<float>();
        for (int64_t i = 0; i < values.shape.elements(); ++i) EXPECT_EQ(std::isnan(values[i]), !none || i == 1);
        for (int64_t i = 0; i < 12; ++i) EXPECT_EQ(std::isnan(grads[i]), i / 4 == 1) << i;
      }
}

}  // namespace
}  // namespace tandem::test
