// ai.onnx.ml LinearRegressor and LinearClassifier (1): products with the coefficients, then a post transform. Two classes told by
// one row of coefficients get the score and its opposite, as in ONNX's reference implementation.
#include <memory>

#include "kernels/api/gemm.h"
#include "runtime/ops/class_labels.h"
#include "runtime/ops/f32_rows.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kRegressor[] = {"coefficients", "intercepts", "post_transform", "targets"};
constexpr std::string_view kClassifier[] = {"classlabels_ints", "classlabels_strings", "coefficients",
                                            "intercepts",       "multi_class",         "post_transform"};

// scores [rows, targets] = x * coefficients^T + intercepts, in f32.
class LinearScores {
 public:
  LinearScores(const BindContext& node, int64_t targets)
      : rows_(node.dtype(0), node.shape(0)), targets_(targets), intercepts_(node.get_floats("intercepts")) {
    const auto coefficients = node.get_floats("coefficients");
    const int64_t features = rows_.columns();
    node.require(static_cast<int64_t>(coefficients.size()) == targets * features,
                 "there must be one coefficient a target and feature (has, targets, features)", coefficients.size(), targets,
                 features);
    intercepts_.resize(static_cast<size_t>(targets));
    const ConstTensorView view{reinterpret_cast<const std::byte*>(coefficients.data()), DType::kF32, {targets, features}};
    packed_ = cpu::pack_matrix(view, true);
    workspace_ = rows_.bytes() + cpu::gemm_workspace_bytes<float>({rows_.rows(), targets, features}, node.threads());
  }
  size_t workspace() const { return workspace_; }
  size_t bytes() const { return packed_.bytes(); }
  int64_t targets() const { return targets_; }

  void run(const KernelContext& context, ConstTensorView x, float* scores) const {
    const F32Rows::View in = rows_.read(context, x);
    cpu::GemmArgs<float> args;
    args.a = in.data, args.lda = in.columns, args.packed_b = &packed_, args.c = scores, args.ldc = targets_;
    args.bias = intercepts_.data();
    cpu::gemm<float>(in.rest, {in.rows, targets_, in.columns}, args);
  }

 private:
  F32Rows rows_;
  int64_t targets_;
  std::vector<float> intercepts_;
  cpu::PackedMatrix packed_;
  size_t workspace_ = 0;
};

void infer_regressor(InferenceContext& node) {
  require_features(node);
  post_transform_of(node);
  const int64_t targets = node.get_int("targets", 1);
  node.require(targets >= 1, "targets must be positive", targets);
  node.set_output(0, DType::kF32, Dims{rows_of(node), Dim(targets)});
}

BoundKernel bind_regressor(const BindContext& node) {
  const auto model = std::make_shared<const LinearScores>(node, node.get_int("targets", 1));
  return {.run =
              [model, transform = post_transform_of(node)](const KernelContext& context, Inputs in, Outputs out) {
                float* y = out[0].as<float>().data();
                model->run(context, in[0], y);
                for (int64_t r = 0; r < out[0].shape[0]; ++r)
                  cpu::post_transform(transform, std::span(y + r * model->targets(), static_cast<size_t>(model->targets())));
              },
          .workspace = model->workspace(),
          .constant_bytes = model->bytes()};
}

// Rows of coefficients; the intercepts tell, else the labels.
int64_t targets_of(const NodeContext& node, int64_t labels) {
  const auto intercepts = static_cast<int64_t>(node.get_floats("intercepts").size());
  return intercepts > 0 ? intercepts : labels;
}

void infer_classifier(InferenceContext& node) {
  require_features(node);
  post_transform_of(node);
  const Tensor labels = class_labels(node, "classlabels_ints");
  const int64_t classes = labels.elements(), targets = targets_of(node, classes);
  node.require(classes >= 1 && (targets == classes || (targets == 1 && classes == 2)),
               "as many classes as rows of coefficients are needed, or two for one (classes, rows)", classes, targets);
  node.set_output(0, labels.dtype(), Dims{rows_of(node)});
  node.set_output(1, DType::kF32, Dims{rows_of(node), Dim(classes)});
}

void choose(const KernelContext&, float* scores, int64_t rows, int64_t targets, PostTransform transform, ConstTensorView labels,
            TensorView chosen) {
  const auto classes = static_cast<size_t>(labels.elements());
  visit_size(labels.dtype, [&]<class Label>() {
    const auto names = labels.raw<Label>();
    Label* out = chosen ? chosen.raw<Label>().data() : nullptr;
    for (int64_t r = rows - 1; r >= 0; --r) {  // from the end: scores of one column grow into two
      const std::span<float> all(scores + r * static_cast<int64_t>(classes), classes);
      size_t best = 0;
      if (targets == 1 && classes == 2) {
        const float score = scores[r];
        best = score > 0 ? 1 : 0;
        cpu::split_score(score, transform, false, all);
      } else {
        best = cpu::best_class<float>(all);
        cpu::post_transform(transform, all);
      }
      if (out) out[r] = names[best];
    }
  });
}

BoundKernel bind_classifier(const BindContext& node) {
  const Tensor labels = class_labels(node, "classlabels_ints");
  node.require(node.has_output(1), "the output of scores must be there");
  const auto model = std::make_shared<const LinearScores>(node, targets_of(node, labels.elements()));
  return {.run =
              [model, labels, transform = post_transform_of(node)](const KernelContext& context, Inputs in, Outputs out) {
                float* scores = out[1].as<float>().data();
                model->run(context, in[0], scores);
                choose(context, scores, out[1].shape[0], model->targets(), transform, labels.view(), out[0]);
              },
          .workspace = model->workspace(),
          .constant_bytes = model->bytes()};
}

constexpr OpDef linear_regressor_op = {
    .name = "LinearRegressor", .domain = "ai.onnx.ml", .attributes = kRegressor, .infer = infer_regressor, .cpu = bind_regressor};
constexpr OpDef linear_classifier_op = {.name = "LinearClassifier",
                                        .domain = "ai.onnx.ml",
                                        .min_outputs = 2,
                                        .max_outputs = 2,
                                        .attributes = kClassifier,
                                        .infer = infer_classifier,
                                        .cpu = bind_classifier};

constexpr const OpDef* kOps[] = {&linear_regressor_op, &linear_classifier_op};

}  // namespace

extern const OpFamily linear_model_ops;
constinit const OpFamily linear_model_ops = kOps;

}  // namespace tandem
