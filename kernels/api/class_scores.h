// What the classical models of ai.onnx.ml do with a row of scores: post transforms, a second class made from one score, the best
// class. All as onnxruntime computes it.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>
#include <numbers>
#include <span>

namespace tandem {

// The numbers are those of TreeEnsemble-5.
enum class PostTransform : uint8_t { kNone, kSoftmax, kLogistic, kSoftmaxZero, kProbit };

namespace cpu {

inline float logistic_score(float x) {
  const float v = 1 / (1 + std::exp(-std::fabs(x)));
  return x < 0 ? 1 - v : v;
}

// sqrt(2) * erf^-1(2 x - 1) by S. Winitzki's approximation (2008, a = 0.147), good to 2e-3: what ONNX's reference and onnxruntime
// do too.
inline float probit_score(float x) {
  const float y = 2 * x - 1, log = std::log((1 - y) * (1 + y));
  const float u = 2 / (3.14159f * 0.147f) + 0.5f * log, v = 1 / 0.147f * log;
  return std::numbers::sqrt2_v<float> * (y < 0 ? -1.0f : 1.0f) * std::sqrt(-u + std::sqrt(u * u - v));
}

// Of at least one score, in place. `spare_zeros`: what is zero takes no part and stays about zero.
template <class T>
void softmax_scores(std::span<T> scores, bool spare_zeros) {
  T peak = std::numeric_limits<T>::lowest(), sum = 0;
  for (T score : scores) peak = score > peak ? score : peak;
  for (T& score : scores) {
    if (spare_zeros && std::fabs(score) <= T(0.0000001f)) {
      score *= std::exp(-peak);
    } else {
      score = std::exp(score - peak);
      sum += score;
    }
  }
  for (T& score : scores) score /= sum;
}

// In place. A single score takes the probit only, as in onnxruntime.
template <class T>
void post_transform(PostTransform transform, std::span<T> scores) {
  if (transform == PostTransform::kProbit)
    for (T& score : scores) score = static_cast<T>(probit_score(static_cast<float>(score)));
  if (scores.size() < 2) return;
  if (transform == PostTransform::kLogistic)
    for (T& score : scores) score = static_cast<T>(logistic_score(static_cast<float>(score)));
  if (transform == PostTransform::kSoftmax) softmax_scores(scores, false);
  if (transform == PostTransform::kSoftmaxZero) softmax_scores(scores, true);
}

// Two classes told by the score of one. `is_share`: it is a share of votes, the other class has the rest; else the other has its
// opposite.
template <class T>
void split_score(T score, PostTransform transform, bool is_share, std::span<T> both) {
  if (transform == PostTransform::kProbit) {
    both[0] = static_cast<T>(probit_score(static_cast<float>(score)));
    both[1] = 0;
  } else if (is_share) {
    both[0] = 1 - score;
    both[1] = score;
  } else if (transform == PostTransform::kLogistic) {
    both[0] = static_cast<T>(logistic_score(static_cast<float>(-score)));
    both[1] = static_cast<T>(logistic_score(static_cast<float>(score)));
  } else {
    both[0] = -score;
    both[1] = score;
  }
}

// The position of the largest, the first of equal ones.
template <class T>
size_t best_class(std::span<const T> scores) {
  size_t best = 0;
  for (size_t i = 1; i < scores.size(); ++i)
    if (scores[i] > scores[best]) best = i;
  return best;
}

}  // namespace cpu
}  // namespace tandem
