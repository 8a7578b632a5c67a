// Distances are summed feature by feature for all support vectors at once: each sum has one order, and the loop over vectors is a
// SIMD loop.
#include "kernels/api/svm.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/api/class_scores.h"
#include "kernels/cpu/parallel.h"

namespace tandem::cpu {
namespace {

float raised(float base, float degree) {
  if (degree == 2) return base * base;
  if (degree == 3) return base * base * base;
  return std::pow(base, degree);
}

// p = the coupling of the pairwise probabilities r [classes, classes]; q and qp are scratch.
void couple(int64_t classes, const float* r, float* p, float* q, float* qp) {
  constexpr int kMostRounds = 100;
  for (int64_t i = 0; i < classes; ++i) {
    p[i] = 1 / static_cast<float>(classes);
    float diagonal = 0;
    for (int64_t j = 0; j < classes; ++j) {
      if (j == i) continue;
      diagonal += r[j * classes + i] * r[j * classes + i];
      q[i * classes + j] = -r[j * classes + i] * r[i * classes + j];
    }
    q[i * classes + i] = diagonal;
  }
  const float tolerance = 0.005f / static_cast<float>(classes);
  for (int round = 0; round < kMostRounds; ++round) {
    float pqp = 0, error = 0;
    for (int64_t i = 0; i < classes; ++i) {
      qp[i] = 0;
      for (int64_t j = 0; j < classes; ++j) qp[i] += q[i * classes + j] * p[j];
      pqp += p[i] * qp[i];
    }
    for (int64_t i = 0; i < classes; ++i) error = std::max(error, std::fabs(qp[i] - pqp));
    if (error < tolerance) break;
    for (int64_t i = 0; i < classes; ++i) {
      const float step = (pqp - qp[i]) / q[i * classes + i], scale = 1 + step;
      p[i] += step;
      pqp = (pqp + step * (step * q[i * classes + i] + 2 * qp[i])) / scale / scale;
      for (int64_t j = 0; j < classes; ++j) {
        qp[j] = (qp[j] + step * q[i * classes + j]) / scale;
        p[j] /= scale;
      }
    }
  }
}

}  // namespace

SupportVectors::SupportVectors(const SvmKernel& kernel, std::span<const float> vectors, int64_t count)
    : kernel_(kernel), count_(count), features_(static_cast<int64_t>(vectors.size()) / count) {
  if (kernel.kind == SvmKernelKind::kRbf) {
    columns_.resize(vectors.size());
    for (int64_t v = 0; v < count_; ++v)
      for (int64_t f = 0; f < features_; ++f)
        columns_[static_cast<size_t>(f * count_ + v)] = vectors[static_cast<size_t>(v * features_ + f)];
  } else {
    packed_ = pack_matrix({reinterpret_cast<const std::byte*>(vectors.data()), DType::kF32, {count_, features_}}, true);
  }
}

void SupportVectors::apply(const KernelContext& context, const float* x, int64_t rows, float* k) const {
  if (kernel_.kind == SvmKernelKind::kRbf) {
    parallel_chunks(context, rows, grain_of(count_ * features_), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) {
        float* sums = k + r * count_;
        std::fill_n(sums, count_, 0.0f);
        for (int64_t f = 0; f < features_; ++f) {
          const float value = x[r * features_ + f];
          const float* column = columns_.data() + f * count_;
          for (int64_t v = 0; v < count_; ++v) sums[v] += (value - column[v]) * (value - column[v]);
        }
        for (int64_t v = 0; v < count_; ++v) sums[v] = std::exp(-kernel_.gamma * sums[v]);
      }
    });
    return;
  }
  GemmArgs<float> args;
  args.a = x, args.lda = features_, args.packed_b = &packed_, args.c = k, args.ldc = count_;
  args.alpha = kernel_.kind == SvmKernelKind::kLinear ? 1 : kernel_.gamma;
  gemm<float>(context, {rows, count_, features_}, args);
  if (kernel_.kind == SvmKernelKind::kLinear) return;
  parallel_chunks(context, rows * count_, kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const float value = k[i] + kernel_.coef0;
      k[i] = kernel_.kind == SvmKernelKind::kPoly ? raised(value, kernel_.degree) : std::tanh(value);
    }
  });
}

size_t SupportVectors::workspace(int64_t rows, int threads) const {
  return kernel_.kind == SvmKernelKind::kRbf ? 0 : gemm_workspace_bytes<float>({rows, count_, features_}, threads);
}

int64_t svm_decide(const SvmClassifier& machine, const float* k, float* decisions, int32_t* votes) {
  const int64_t classes = machine.classes,
                vectors = std::accumulate(machine.per_class.begin(), machine.per_class.end(), int64_t{0});
  const auto sum_over = [&](int64_t row, int64_t first, int64_t count) {
    const float* coefficients = machine.coefficients.data() + row * vectors;
    double sum = 0;
    for (int64_t v = first; v < first + count; ++v) sum += coefficients[v] * k[v];
    return sum;
  };
  std::fill_n(votes, classes, 0);
  size_t pair = 0;
  int64_t start_i = 0;
  for (int64_t i = 0; i < classes; ++i) {
    const int64_t count_i = machine.per_class[static_cast<size_t>(i)];
    int64_t start_j = start_i + count_i;
    for (int64_t j = i + 1; j < classes; ++j, ++pair) {
      const int64_t count_j = machine.per_class[static_cast<size_t>(j)];
      const double sum = sum_over(j - 1, start_i, count_i) + sum_over(i, start_j, count_j) + machine.rho[pair];
      decisions[pair] = static_cast<float>(sum);
      ++votes[sum > 0 ? i : j];
      start_j += count_j;
    }
    start_i += count_i;
  }
  return std::max_element(votes, votes + classes) - votes;
}

void svm_probabilities(const SvmClassifier& machine, const float* decisions, float* probabilities, float* scratch) {
  constexpr float kLeast = 1e-7f;
  const int64_t classes = machine.classes;
  float* r = scratch;
  size_t pair = 0;
  for (int64_t i = 0; i < classes; ++i)
    for (int64_t j = i + 1; j < classes; ++j, ++pair) {
      const float raw = 1 - logistic_score(decisions[pair] * machine.prob_a[pair] + machine.prob_b[pair]);
      const float chance = std::min(std::max(raw, kLeast), 1 - kLeast);
      r[i * classes + j] = chance;
      r[j * classes + i] = 1 - chance;
    }
  couple(classes, r, probabilities, scratch + classes * classes, scratch + 2 * classes * classes);
}

}  // namespace tandem::cpu
