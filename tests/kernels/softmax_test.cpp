// Softmax, log-softmax, the losses and all their gradients against plain loops in double, over axes, ragged lengths and threads.
#include "kernels/api/softmax.h"

#include <functional>
#include <limits>

#include "kernels/api/cross_entropy.h"
#include "tests/kernels/random_tensor.h"

namespace tandem {
namespace {

using test::Context;
using test::expect_near;
using test::Values;

const Shape kShapes[] = {{1, 1}, {3, 10}, {2, 33, 5}, {4, 3, 2, 7}, {5, 1000}, {0, 4}, {2, 17, 1}, {150, 3}, {130, 8}};

// Calls row(first, stride, length) for each row of the axis.
void each_row(const AxisView& view, const std::function<void(int64_t, int64_t, int64_t)>& row) {
  for (int64_t o = 0; o < view.outer; ++o)
    for (int64_t i = 0; i < view.inner; ++i) row(o * view.length * view.inner + i, view.inner, view.length);
}

std::vector<double> reference_softmax(const std::vector<double>& x, const AxisView& view, bool log) {
  std::vector<double> y(x.size());
  each_row(view, [&](int64_t first, int64_t stride, int64_t length) {
    double sum = 0;
    for (int64_t i = 0; i < length; ++i) sum += std::exp(x[static_cast<size_t>(first + i * stride)]);
    for (int64_t i = 0; i < length; ++i) {
      const auto at = static_cast<size_t>(first + i * stride);
      y[at] = log ? x[at] - std::log(sum) : std::exp(x[at]) / sum;
    }
  });
  return y;
}

// dx_j = sum over i of dy_i * dy_i/dx_j, written out as the Jacobian.
std::vector<double> reference_softmax_grad(const std::vector<double>& x, const std::vector<double>& dy, const AxisView& view,
                                           bool log) {
  const std::vector<double> p = reference_softmax(x, view, false);
  std::vector<double> dx(x.size(), 0.0);
  each_row(view, [&](int64_t first, int64_t stride, int64_t length) {
    for (int64_t j = 0; j < length; ++j)
      for (int64_t i = 0; i < length; ++i) {
        const auto at_i = static_cast<size_t>(first + i * stride), at_j = static_cast<size_t>(first + j * stride);
        const double jacobian = log ? (i == j) - p[at_j] : p[at_i] * ((i == j) - p[at_j]);
        dx[at_j] += dy[at_i] * jacobian;
      }
  });
  return dx;
}

template <class T>
void check_softmax(const Shape& shape, int axis, int threads) {
  const AxisView view(shape, axis);
  const Values<T> x = Values<T>::random(shape, 1, 3), dy = Values<T>::random(shape, 2);
  const Context context(cpu::softmax_workspace(dtype_of<T>, view, threads), threads);
  Values<T> y(shape), log_y(shape), dx(shape);
  cpu::softmax(context, x.view(), y.view(), view);
  expect_near(y, reference_softmax(x.doubles(), view, false));
  cpu::log_softmax(context, x.view(), log_y.view(), view);
  expect_near(log_y, reference_softmax(x.doubles(), view, true));
  cpu::softmax_grad(context, y.view(), dy.view(), dx.view(), view);
  expect_near(dx, reference_softmax_grad(x.doubles(), dy.doubles(), view, false));
  cpu::log_softmax_grad(context, log_y.view(), dy.view(), dx.view(), view);
  expect_near(dx, reference_softmax_grad(x.doubles(), dy.doubles(), view, true), 10 * test::kTolerance<T>);
}

TEST(Softmax, MatchesLoopsInDoubleOnEveryAxis) {
  for (const Shape& shape : kShapes)
    for (int axis = 0; axis < shape.rank(); ++axis)
      for (int threads : {1, 3}) {
        SCOPED_TRACE(to_string(shape) + " axis " + std::to_string(axis));
        check_softmax<float>(shape, axis, threads);
        check_softmax<double>(shape, axis, threads);
      }
}

TEST(Softmax, WorksInPlace) {
  const Shape shape{3, 5, 2};
  for (int axis = 0; axis < 3; ++axis) {
    const AxisView view(shape, axis);
    Values<float> x = Values<float>::random(shape, 1), y(shape);
    const Context context(cpu::softmax_workspace(DType::kF32, view, 1));
    cpu::softmax(context, x.view(), y.view(), view);
    cpu::softmax(context, x.view(), x.view(), view);
    EXPECT_EQ(x.data, y.data);
  }
}

TEST(Softmax, LargeValuesDoNotOverflowAndNaNSpreads) {
  const AxisView view(Shape{1, 3}, 1);
  Values<float> y(Shape{1, 3});
  cpu::softmax(Context(0), Values<float>({1, 3}, {1e30f, 1e30f, -1e30f}).view(), y.view(), view);
  EXPECT_EQ(y.data, (std::vector<float>{0.5f, 0.5f, 0}));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  cpu::softmax(Context(0), Values<float>({1, 3}, {1, nan, 2}).view(), y.view(), view);
  for (float value : y.data) EXPECT_TRUE(std::isnan(value));
}

TEST(Hardmax, MarksTheFirstLargest) {
  Values<float> y(Shape{2, 3});
  cpu::hardmax(Context(0), Values<float>({2, 3}, {1, 5, 5, -1, -2, -3}).view(), y.view(), AxisView(Shape{2, 3}, 1));
  EXPECT_EQ(y.data, (std::vector<float>{0, 1, 0, 1, 0, 0}));
}

// One loss problem with its reference.
template <class T>
struct Problem {
  Values<T> scores, weights;
  Values<int64_t> labels;
  LossOptions options;
  bool weighted;
  AxisView view{scores.shape, 1};

  Problem(const Shape& shape, LossReduction reduction, bool with_weights, bool ignores)
      : scores(Values<T>::random(shape, 7, 2)), weights(Shape{shape[1]}), labels(labels_shape(shape)), weighted(with_weights) {
    options.reduction = reduction;
    std::mt19937 generator(9);
    for (int64_t& label : labels.data) label = static_cast<int64_t>(generator() % static_cast<uint64_t>(shape[1]));
    for (int64_t c = 0; c < shape[1]; ++c) weights[c] = static_cast<T>(0.5 + 0.25 * static_cast<double>(c % 5));
    if (ignores) {
      options.ignore_index = -100;
      for (size_t i = 0; i < labels.data.size(); i += 3) labels.data[i] = -100;
    }
  }
  static Shape labels_shape(const Shape& shape) {
    Shape labels{shape[0]};
    for (int i = 2; i < shape.rank(); ++i) labels.push_back(shape[i]);
    return labels;
  }
  LossViews views() const { return {scores.view(), labels.view(), weighted ? weights.view() : ConstTensorView{}}; }
  double weight(int64_t s) const {
    const int64_t label = labels[s];
    return label < 0 ? 0 : weighted ? static_cast<double>(weights[label]) : 1;
  }
  double total() const {
    double sum = 0;
    for (int64_t s = 0; s < labels.shape.elements(); ++s) sum += weight(s);
    return sum;
  }
  int64_t at(int64_t s, int64_t c) const { return (s / view.inner * view.length + c) * view.inner + s % view.inner; }

  std::vector<double> losses() const {
    const std::vector<double> log_p = reference_softmax(scores.doubles(), view, true);
    std::vector<double> each;
    double sum = 0;
    for (int64_t s = 0; s < labels.shape.elements(); ++s) {
      each.push_back(labels[s] < 0 ? 0 : -weight(s) * log_p[static_cast<size_t>(at(s, labels[s]))]);
      sum += each.back();
    }
    if (options.reduction == LossReduction::kNone) return each;
    return {options.reduction == LossReduction::kMean ? sum / total() : sum};
  }
  // (softmax - one-hot) * weight, times the gradient that arrives.
  std::vector<double> grads(const Values<T>& dloss) const {
    std::vector<double> dx = reference_softmax(scores.doubles(), view, false);
    for (int64_t s = 0; s < labels.shape.elements(); ++s)
      for (int64_t c = 0; c < view.length; ++c) {
        const double arriving = options.reduction == LossReduction::kNone  ? static_cast<double>(dloss[s])
                                : options.reduction == LossReduction::kSum ? static_cast<double>(dloss[0])
                                                                           : static_cast<double>(dloss[0]) / total();
        double& grad = dx[static_cast<size_t>(at(s, c))];
        grad = (grad - (labels[s] == c)) * weight(s) * arriving;
      }
    return dx;
  }
};

template <class T>
void check_loss(const Problem<T>& problem, int threads) {
  const Shape loss_shape = problem.options.reduction == LossReduction::kNone ? problem.labels.shape : Shape{};
  const Context context(cpu::cross_entropy_workspace(problem.scores.shape, dtype_of<T>, threads), threads);
  Values<T> loss(loss_shape), log_p(problem.scores.shape), dx(problem.scores.shape), nll(loss_shape);
  cpu::softmax_cross_entropy(context, problem.views(), loss.view(), log_p.view(), problem.options);
  expect_near(loss, problem.losses());
  expect_near(log_p, reference_softmax(problem.scores.doubles(), problem.view, true));
  const Values<T> dloss = Values<T>::random(loss_shape, 11);
  cpu::softmax_cross_entropy_grad(context, problem.views(), dloss.view(), dx.view(), problem.options);
  expect_near(dx, problem.grads(dloss));
  LossViews of_log_p = problem.views();
  of_log_p.scores = log_p.view();
  cpu::negative_log_likelihood(context, of_log_p, nll.view(), problem.options);
  expect_near(nll, problem.losses());
}

TEST(CrossEntropy, MatchesLoopsInDouble) {
  for (const Shape& shape : {Shape{6, 10}, Shape{7, 33}, Shape{3, 4, 5}, Shape{2, 5, 3, 2}})
    for (LossReduction reduction : {LossReduction::kNone, LossReduction::kMean, LossReduction::kSum})
      for (bool weighted : {false, true})
        for (bool ignores : {false, true}) {
          SCOPED_TRACE(to_string(shape));
          check_loss(Problem<float>(shape, reduction, weighted, ignores), 1);
          check_loss(Problem<double>(shape, reduction, weighted, ignores), 3);
        }
}

TEST(CrossEntropy, RefusesALabelOutsideTheClasses) {
  for (int64_t wrong : {int64_t{-1}, int64_t{10}, std::numeric_limits<int64_t>::max()}) {
    Problem<float> problem({6, 10}, LossReduction::kMean, false, false);
    problem.labels[4] = wrong;
    Values<float> loss(Shape{});
    const Context context(cpu::cross_entropy_workspace(problem.scores.shape, DType::kF32, 1));
    EXPECT_THROW(cpu::softmax_cross_entropy(context, problem.views(), loss.view(), {}, problem.options), Error);
  }
}

TEST(CrossEntropy, BitsDoNotDependOnThreads) {
  const Problem<float> problem({5000, 10}, LossReduction::kMean, false, false);
  const auto run = [&](int threads) {
    Values<float> loss(Shape{}), dx(problem.scores.shape);
    const Values<float> one({}, {1});
    const Context context(cpu::cross_entropy_workspace(problem.scores.shape, DType::kF32, threads), threads);
    cpu::softmax_cross_entropy(context, problem.views(), loss.view(), {}, problem.options);
    cpu::softmax_cross_entropy_grad(context, problem.views(), one.view(), dx.view(), problem.options);
    dx.data.push_back(loss[0]);
    return dx.data;
  };
  EXPECT_EQ(run(1), run(4));
}

}  // namespace
}  // namespace tandem
