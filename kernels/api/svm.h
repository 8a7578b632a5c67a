// Support vector machines as libsvm defines them, in f32 but for the sums of the decision functions, which are f64 as in
// onnxruntime.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/api/gemm.h"

namespace tandem {

enum class SvmKernelKind : uint8_t { kLinear, kPoly, kRbf, kSigmoid };

struct SvmKernel {
  SvmKernelKind kind = SvmKernelKind::kLinear;
  float gamma = 0, coef0 = 0, degree = 0;
};

namespace cpu {

// The support vectors, as the kernel function reads them.
class SupportVectors {
 public:
  // `vectors` is [count, features] in row-major order.
  SupportVectors(const SvmKernel& kernel, std::span<const float> vectors, int64_t count);

  int64_t count() const { return count_; }
  int64_t features() const { return features_; }
  size_t bytes() const { return static_cast<size_t>(count_ * features_) * sizeof(float); }

  // k[r, v] = kernel(x[r], vector v) for x [rows, features]. `scratch` is at least workspace(rows, threads) bytes.
  void apply(const KernelContext& context, const float* x, int64_t rows, float* k) const;
  size_t workspace(int64_t rows, int threads) const;

 private:
  SvmKernel kernel_;
  int64_t count_, features_;
  std::vector<float> columns_;  // [features, count], for distances
  PackedMatrix packed_;         // for products
};

// One-against-one classification.
struct SvmClassifier {
  int64_t classes = 0;
  std::vector<int64_t> per_class;     // support vectors of each class, which lie one class after the other
  std::vector<float> coefficients;    // [classes - 1, vectors]
  std::vector<float> rho;             // one a pair of classes: (0, 1), (0, 2), ..., (1, 2), ...
  std::vector<float> prob_a, prob_b;  // one a pair, or none

  int64_t pairs() const { return classes * (classes - 1) / 2; }
  bool has_probabilities() const { return !prob_a.empty(); }
};

// The decision values of all pairs, and the votes for each class, from one row of kernel values. Returns the class with most
// votes, the first of equal ones.
int64_t svm_decide(const SvmClassifier& machine, const float* k, float* decisions, int32_t* votes);

// Class probabilities from the decision values (T.-F. Wu, C.-J. Lin, R. C. Weng: Probability estimates for multi-class
// classification by pairwise coupling, JMLR 5, 2004, second method). `scratch` holds classes * (2 * classes + 1) numbers.
void svm_probabilities(const SvmClassifier& machine, const float* decisions, float* probabilities, float* scratch);

}  // namespace cpu
}  // namespace tandem
