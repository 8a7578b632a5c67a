// ai.onnx.ml SVMClassifier and SVMRegressor (1), with support vectors (libsvm) or, without, linear (liblinear). Scores, labels
// and their quirks are onnxruntime's: decisions of pairs of classes where there are no probabilities, and [-s, s] for two
// classes.
#include "kernels/api/svm.h"

#include <algorithm>
#include <memory>
#include <numeric>

#include "runtime/ops/class_labels.h"
#include "runtime/ops/f32_rows.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kRegressor[] = {"coefficients", "kernel_params",  "kernel_type", "n_supports",
                                           "one_class",    "post_transform", "rho",         "support_vectors"};
constexpr std::string_view kClassifier[] = {"classlabels_ints",
                                            "classlabels_strings",
                                            "coefficients",
                                            "kernel_params",
                                            "kernel_type",
                                            "post_transform",
                                            "prob_a",
                                            "prob_b",
                                            "rho",
                                            "support_vectors",
                                            "vectors_per_class"};
constexpr int64_t kBlock = 128;  // rows whose kernel values are held at once
constexpr int64_t kMostClasses = 65535;

SvmKernel kernel_of(const NodeContext& node) {
  SvmKernel kernel;
  const std::string kind = node.get_string("kernel_type", "LINEAR");
  if (kind == "POLY") kernel.kind = SvmKernelKind::kPoly;
  if (kind == "RBF") kernel.kind = SvmKernelKind::kRbf;
  if (kind == "SIGMOID") kernel.kind = SvmKernelKind::kSigmoid;
  node.require(kernel.kind != SvmKernelKind::kLinear || kind == "LINEAR", "kernel_type must be LINEAR, POLY, RBF or SIGMOID",
               kind);
  const auto parameters = node.get_floats("kernel_params");
  node.require(parameters.empty() || parameters.size() == 3, "kernel_params must be gamma, coef0 and degree (values)",
               parameters.size());
  if (!parameters.empty()) kernel.gamma = parameters[0], kernel.coef0 = parameters[1], kernel.degree = parameters[2];
  return kernel;
}

// `vectors` [count, features of the input].
cpu::SupportVectors support_vectors(const BindContext& node, const SvmKernel& kernel, std::span<const float> vectors,
                                    int64_t count, const F32Rows& rows) {
  node.require(count >= 1 && static_cast<int64_t>(vectors.size()) == checked_mul(count, rows.columns(), "support vectors"),
               "support vectors must have as many features as the input (numbers, vectors, features)", vectors.size(), count,
               rows.columns());
  return cpu::SupportVectors(kernel, vectors, count);
}

// Kernel values, block by block: calls each(first row, rows, values).
struct KernelBlocks {
  F32Rows rows;
  cpu::SupportVectors vectors;
  int64_t block_rows;

  KernelBlocks(F32Rows rows_of_input, cpu::SupportVectors of, int64_t per_block)
      : rows(std::move(rows_of_input)),
        vectors(std::move(of)),
        block_rows(std::min(per_block, std::max<int64_t>(1, rows.rows()))) {}

  size_t block_bytes() const { return static_cast<size_t>(round_up(block_rows * vectors.count() * int64_t{sizeof(float)}, 64)); }
  size_t workspace(int threads) const { return rows.bytes() + block_bytes() + vectors.workspace(block_rows, threads); }

  template <class Each>
  void run(const KernelContext& context, ConstTensorView x, Each each) const {
    F32Rows::View in = rows.read(context, x);
    auto* values = reinterpret_cast<float*>(in.rest.workspace.data());
    in.rest.workspace = in.rest.workspace.subspan(block_bytes());
    for (int64_t first = 0; first < in.rows; first += block_rows) {
      const int64_t count = std::min(block_rows, in.rows - first);
      vectors.apply(in.rest, in.data + first * in.columns, count, values);
      each(first, count, values);
    }
  }
};

void infer_regressor(InferenceContext& node) {
  require_features(node);
  post_transform_of(node);
  kernel_of(node);
  node.set_output(0, DType::kF32, Dims{rows_of(node), Dim(1)});
}

BoundKernel bind_regressor(const BindContext& node) {
  const auto coefficients = node.get_floats("coefficients"), rho = node.get_floats("rho"),
             given = node.get_floats("support_vectors");
  const int64_t count = node.get_int("n_supports", 0);
  node.require(!rho.empty(), "rho is missing");
  node.require(count >= 0 && (count == 0 || static_cast<int64_t>(coefficients.size()) == count),
               "one coefficient a support vector is needed (has, vectors)", coefficients.size(), count);
  F32Rows rows(node.dtype(0), node.shape(0));
  // Without support vectors the coefficients are the only one, and what it gives is the score.
  cpu::SupportVectors vectors =
      count ? support_vectors(node, kernel_of(node), given, count, rows) : support_vectors(node, {}, coefficients, 1, rows);
  const auto blocks = std::make_shared<const KernelBlocks>(std::move(rows), std::move(vectors), kBlock);
  const auto weights = count ? coefficients : std::vector<float>{1};
  return {.run =
              [=, rho = rho[0], one_class = node.get_int("one_class", 0) != 0, transform = post_transform_of(node)](
                  const KernelContext& context, Inputs in, Outputs out) {
                float* y = out[0].as<float>().data();
                blocks->run(context, in[0], [&](int64_t first, int64_t count, const float* values) {
                  for (int64_t r = 0; r < count; ++r) {
                    float& score = y[first + r];
                    score = std::inner_product(weights.begin(), weights.end(), values + r * static_cast<int64_t>(weights.size()),
                                               0.0f) +
                            rho;
                    if (one_class) score = score > 0 ? 1.0f : -1.0f;
                    cpu::post_transform(transform, std::span(&score, 1));
                  }
                });
              },
          .workspace = blocks->workspace(node.threads()),
          .constant_bytes = blocks->vectors.bytes()};
}

cpu::SvmClassifier classifier_of(const NodeContext& node, int64_t classes) {
  cpu::SvmClassifier machine{classes,
                             node.get_ints("vectors_per_class"),
                             node.get_floats("coefficients"),
                             node.get_floats("rho"),
                             node.get_floats("prob_a"),
                             node.get_floats("prob_b")};
  node.require(classes >= 2 && classes <= kMostClasses, "there must be 2 to 65535 classes", classes);
  node.require(machine.prob_a.size() == machine.prob_b.size(), "prob_a and prob_b must have one length", machine.prob_a.size(),
               machine.prob_b.size());
  return machine;
}

// Whether there are support vectors at all.
bool is_libsvm(const NodeContext& node) {
  const auto counts = node.get_ints("vectors_per_class");
  return std::ranges::any_of(counts, [](int64_t count) { return count != 0; });
}

void infer_classifier(InferenceContext& node) {
  require_features(node);
  post_transform_of(node);
  kernel_of(node);
  const Tensor labels = class_labels(node, "classlabels_ints");
  const cpu::SvmClassifier machine = classifier_of(node, labels.elements());
  const bool shows_pairs = is_libsvm(node) && !machine.has_probabilities() && machine.classes > 2;
  node.set_output(0, labels.dtype(), Dims{rows_of(node)});
  node.set_output(1, DType::kF32, Dims{rows_of(node), Dim(shows_pairs ? machine.pairs() : machine.classes)});
}

void check_pairs(const NodeContext& node, const cpu::SvmClassifier& machine, int64_t vectors) {
  const auto pairs = static_cast<size_t>(machine.pairs());
  node.require(static_cast<int64_t>(machine.per_class.size()) == machine.classes &&
                   std::ranges::all_of(machine.per_class, [](int64_t count) { return count >= 0; }),
               "vectors_per_class needs a number a class (has, classes)", machine.per_class.size(), machine.classes);
  node.require(static_cast<int64_t>(machine.coefficients.size()) >= checked_mul(machine.classes - 1, vectors, "coefficients"),
               "there are fewer coefficients than classes - 1 times support vectors (has, classes, vectors)",
               machine.coefficients.size(), machine.classes, vectors);
  node.require(machine.rho.size() >= pairs && (machine.prob_a.empty() || machine.prob_a.size() >= pairs),
               "rho, and prob_a and prob_b if there, need a value a pair of classes (rho, prob_a, pairs)", machine.rho.size(),
               machine.prob_a.size(), pairs);
}

BoundKernel bind_libsvm(const BindContext& node, const Tensor& labels, cpu::SvmClassifier machine) {
  int64_t count = 0;
  for (int64_t own : machine.per_class) count = checked_add(count, own, "support vectors");
  check_pairs(node, machine, count);
  F32Rows rows(node.dtype(0), node.shape(0));
  cpu::SupportVectors vectors = support_vectors(node, kernel_of(node), node.get_floats("support_vectors"), count, rows);
  const auto blocks = std::make_shared<const KernelBlocks>(std::move(rows), std::move(vectors), kBlock);
  const size_t own = blocks->workspace(node.threads());
  const int64_t coupling = machine.classes * (2 * machine.classes + 1), scratch = machine.pairs() + coupling + machine.classes;
  return {.run =
              [=, transform = post_transform_of(node)](const KernelContext& context, Inputs in, Outputs out) {
                const int64_t columns = out[1].shape[1];
                float* z = out[1].as<float>().data();
                auto* decisions = reinterpret_cast<float*>(context.workspace.data() + own);
                auto* votes = reinterpret_cast<int32_t*>(decisions + machine.pairs() + coupling);
                blocks->run(context, in[0], [&](int64_t first, int64_t rows, const float* values) {
                  for (int64_t r = 0; r < rows; ++r) {
                    const int64_t best = cpu::svm_decide(machine, values + r * blocks->vectors.count(), decisions, votes);
                    const std::span<float> scores(z + (first + r) * columns, static_cast<size_t>(columns));
                    if (machine.has_probabilities())
                      cpu::svm_probabilities(machine, decisions, scores.data(), decisions + machine.pairs());
                    else if (columns > 2)
                      std::copy_n(decisions, columns, scores.data());
                    if (machine.has_probabilities() || columns > 2)
                      cpu::post_transform(transform, scores);
                    else
                      cpu::split_score(decisions[0], transform, transform != PostTransform::kNone, scores);
                    visit_size(labels.dtype(), [&]<class Label>() {
                      if (out[0])
                        out[0].raw<Label>()[static_cast<size_t>(first + r)] =
                            labels.view().raw<Label>()[static_cast<size_t>(best)];
                    });
                  }
                });
              },
          .workspace = own + static_cast<size_t>(scratch) * sizeof(float),
          .constant_bytes = blocks->vectors.bytes()};
}

BoundKernel bind_liblinear(const BindContext& node, const Tensor& labels, const cpu::SvmClassifier& machine) {
  node.require(!machine.rho.empty(), "rho is missing");
  F32Rows rows(node.dtype(0), node.shape(0));
  cpu::SupportVectors vectors = support_vectors(node, {}, machine.coefficients, machine.classes, rows);
  const auto blocks = std::make_shared<const KernelBlocks>(std::move(rows), std::move(vectors), kBlock);
  const float limit =
      std::ranges::all_of(machine.coefficients, [](float c) { return c >= 0; }) ? 0.5f : std::numeric_limits<float>::denorm_min();
  const bool by_limit = machine.classes == 2 && !machine.has_probabilities();
  return {
      .run =
          [=, rho = machine.rho[0], transform = post_transform_of(node)](const KernelContext& context, Inputs in, Outputs out) {
            const int64_t classes = labels.elements();
            blocks->run(context, in[0], [&](int64_t first, int64_t rows, const float* values) {
              for (int64_t r = 0; r < rows; ++r) {
                const std::span<float> scores(out[1].as<float>().data() + (first + r) * classes, static_cast<size_t>(classes));
                for (int64_t c = 0; c < classes; ++c) scores[static_cast<size_t>(c)] = values[r * classes + c] + rho;
                size_t best = cpu::best_class<float>(scores);
                if (by_limit && scores[best] >= limit) best = 1;
                cpu::post_transform(transform, scores);
                visit_size(labels.dtype(), [&]<class Label>() {
                  if (out[0]) out[0].raw<Label>()[static_cast<size_t>(first + r)] = labels.view().raw<Label>()[best];
                });
              }
            });
          },
      .workspace = blocks->workspace(node.threads()),
      .constant_bytes = blocks->vectors.bytes()};
}

BoundKernel bind_classifier(const BindContext& node) {
  const Tensor labels = class_labels(node, "classlabels_ints");
  node.require(node.has_output(1), "the output of scores must be there");
  cpu::SvmClassifier machine = classifier_of(node, labels.elements());
  return is_libsvm(node) ? bind_libsvm(node, labels, std::move(machine)) : bind_liblinear(node, labels, machine);
}

constexpr OpDef svm_regressor_op = {
    .name = "SVMRegressor", .domain = "ai.onnx.ml", .attributes = kRegressor, .infer = infer_regressor, .cpu = bind_regressor};
constexpr OpDef svm_classifier_op = {.name = "SVMClassifier",
                                     .domain = "ai.onnx.ml",
                                     .min_outputs = 2,
                                     .max_outputs = 2,
                                     .attributes = kClassifier,
                                     .infer = infer_classifier,
                                     .cpu = bind_classifier};

constexpr const OpDef* kOps[] = {&svm_regressor_op, &svm_classifier_op};

}  // namespace

extern const OpFamily svm_ops;
constinit const OpFamily svm_ops = kOps;

}  // namespace tandem
