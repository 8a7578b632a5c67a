// Other shapes for the same elements: Reshape, Flatten, Squeeze, Unsqueeze, Identity. All are views: nothing is computed.
//
// Shapes and axes are attributes in old versions and inputs in new ones (Reshape: 5; Squeeze, Unsqueeze: 13).
#include "runtime/graph/evaluate_context.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/gradient_shapes.h"
#include "runtime/ops/index_list.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr Alias kView[] = {{.input = 0, .output = 0, .kind = AliasKind::kView}};
constexpr std::string_view kAllowZero[] = {"allowzero"}, kAxis[] = {"axis"}, kAxes[] = {"axes"}, kShape[] = {"shape"};

void keep_content(InferenceContext& node) {
  if (auto content = node.content(0)) node.set_content(0, *content);
}

// What is left of `dims` for the dimension `skip` of `taken`.
Dim remaining(const InferenceContext& node, const Dims& dims, Dims taken, size_t skip) {
  taken[skip] = Dim(1);
  const Dim total = product(dims), others = product(taken);
  node.require(!total.known() || !others.known() || (others.size != 0 && total.size % others.size == 0),
               "the elements do not fill the new shape", to_string(dims), to_string(taken));
  return quotient(total, others);
}

void infer_target(InferenceContext& node, Dims target) {
  const bool keep_zero = node.get_int("allowzero", 0) != 0, has_rank = node.has_rank(0);
  size_t open = 0, last_open = 0;
  for (size_t i = 0; i < target.size(); ++i) {
    if (target[i].size == 0 && !keep_zero) {
      node.require(!has_rank || i < node.dims(0).size(), "a 0 in the shape has no dimension to copy (position)", i);
      target[i] = has_rank ? node.dims(0)[i] : Dim();
      continue;
    }
    node.require(target[i].size >= -1, "a dimension is below -1", target[i].size);
    if (target[i] != Dim()) continue;
    ++open;
    last_open = i;
  }
  node.require(open <= 1 || !node.constant(1), "more than one -1 in the shape");
  if (has_rank && open == 1) target[last_open] = remaining(node, node.dims(0), target, last_open);
  if (const auto shape = fixed_shape(target); shape && has_rank)
    if (const Dim total = product(node.dims(0)); total.known())
      node.require(total.size == shape->elements(), "the elements do not fill the new shape", to_string(node.dims(0)),
                   to_string(target));
  node.set_output(0, node.dtype(0), std::move(target));
  keep_content(node);
}

void infer_reshape(InferenceContext& node) {
  node.require_dtype(1, DType::kI64);
  if (const auto content = node.content(1)) return infer_target(node, *content);
  std::optional<Dims> dims;
  if (node.has_rank(1) && node.rank(1) == 1 && node.dims(1)[0].known()) dims = Dims(static_cast<size_t>(node.dims(1)[0].size));
  node.set_output(0, node.dtype(0), std::move(dims));
}

void infer_reshape_attribute(InferenceContext& node) {
  Dims target;
  for (int64_t size : node.get_ints("shape")) target.push_back(Dim(size));
  infer_target(node, std::move(target));
}

void infer_flatten(InferenceContext& node) {
  if (!node.has_rank(0)) return node.set_output(0, node.dtype(0), Dims(2));
  const int64_t raw = node.get_int("axis", 1);
  const int axis = raw == node.rank(0) ? node.rank(0) : node.normalized_axis(raw, node.rank(0));
  const std::span<const Dim> dims(node.dims(0));
  node.set_output(0, node.dtype(0),
                  Dims{product(dims.first(static_cast<size_t>(axis))), product(dims.subspan(static_cast<size_t>(axis)))});
}

std::optional<std::vector<int64_t>> axes_of(const InferenceContext& node) {
  return node.has_input(1) ? known_indices(node, 1) : node.get_ints("axes");
}

void infer_squeeze(InferenceContext& node) {
  const auto axes = axes_of(node);
  keep_content(node);
  if (!node.has_rank(0) || !axes) return node.set_output(0, node.dtype(0), std::nullopt);
  const bool all = axes->empty();
  if (all && !fixed_shape(node.dims(0))) return node.set_output(0, node.dtype(0), std::nullopt);  // an open dimension may be 1
  const uint32_t mask = axis_mask(node, *axes, node.rank(0));
  Dims dims;
  for (size_t i = 0; i < node.dims(0).size(); ++i) {
    const Dim& dim = node.dims(0)[i];
    if (all ? dim.size != 1 : !(mask >> i & 1))
      dims.push_back(dim);
    else
      node.require(!dim.known() || dim.size == 1, "a squeezed dimension must be 1 (axis, size)", i, dim.size);
  }
  node.set_output(0, node.dtype(0), std::move(dims));
}

void infer_unsqueeze(InferenceContext& node) {
  const auto axes = axes_of(node);
  if (!node.has_rank(0) || !axes) return node.set_output(0, node.dtype(0), std::nullopt);
  const int rank = node.rank(0) + static_cast<int>(axes->size());
  node.require(rank <= Shape::kMaxRank, "rank exceeds the limit", rank, Shape::kMaxRank);
  const uint32_t mask = axis_mask(node, *axes, rank);
  Dims dims;
  auto next = node.dims(0).begin();
  for (int i = 0; i < rank; ++i) dims.push_back(mask >> i & 1 ? Dim(1) : *next++);
  const bool is_list = rank <= 1;
  node.set_output(0, node.dtype(0), std::move(dims));
  if (is_list) keep_content(node);
}

void infer_identity(InferenceContext& node) {
  node.set_output_like(0, 0);
  keep_content(node);
}

// Of sequences and optional values (14, 16); a tensor is a view.
void evaluate_identity(EvaluateContext& node) { node.set_output(0, node.input(0)); }

void reshape_gradient(GradientContext& node) {
  if (node.wants(0)) node.set_input_grad(0, reshape_like(node, node.output_grad(), node.input(0)));
}
void identity_gradient(GradientContext& node) { node.set_input_grad(0, node.output_grad()); }

constexpr OpDef view(std::string_view name, int since, int until, int inputs, std::span<const std::string_view> attributes,
                     void (*infer)(InferenceContext&), void (*gradient)(GradientContext&) = reshape_gradient) {
  return {.name = name,
          .since = since,
          .until = until,
          .min_inputs = 1,
          .max_inputs = inputs,
          .attributes = attributes,
          .infer = infer,
          .gradient = gradient,
          .host_inputs = inputs > 1 ? input_set(1) : 0,
          .aliases = kView};
}
constexpr int kLatest = std::numeric_limits<int>::max();

constexpr OpDef reshape_op_1 = view("Reshape", 1, 5, 1, kShape, infer_reshape_attribute);
constexpr OpDef reshape_op_5 = {.name = "Reshape",
                                .since = 5,
                                .min_inputs = 2,
                                .max_inputs = 2,
                                .attributes = kAllowZero,
                                .infer = infer_reshape,
                                .gradient = reshape_gradient,
                                .host_inputs = input_set(1),
                                .aliases = kView};
constexpr OpDef flatten_op = view("Flatten", 1, kLatest, 1, kAxis, infer_flatten);
constexpr OpDef squeeze_op_1 = view("Squeeze", 1, 13, 1, kAxes, infer_squeeze);
constexpr OpDef squeeze_op_13 = view("Squeeze", 13, kLatest, 2, {}, infer_squeeze);
constexpr OpDef unsqueeze_op_1 = view("Unsqueeze", 1, 13, 1, kAxes, infer_unsqueeze);
constexpr OpDef unsqueeze_op_13 = {.name = "Unsqueeze",
                                   .since = 13,
                                   .min_inputs = 2,
                                   .max_inputs = 2,
                                   .infer = infer_unsqueeze,
                                   .gradient = reshape_gradient,
                                   .host_inputs = input_set(1),
                                   .aliases = kView};
constexpr OpDef identity_op = {.name = "Identity",
                               .infer = infer_identity,
                               .gradient = identity_gradient,
                               .evaluate = evaluate_identity,
                               .aliases = kView};

constexpr const OpDef* kOps[] = {&reshape_op_1, &reshape_op_5, &flatten_op, &squeeze_op_1, &squeeze_op_13, &unsqueeze_op_1,
                                     &unsqueeze_op_13, &identity_op};

}  // namespace

extern const OpFamily reshape_ops;
constinit const OpFamily reshape_ops = kOps;

}  // namespace tandem
