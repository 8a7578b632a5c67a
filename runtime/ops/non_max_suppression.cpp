// NonMaxSuppression (ONNX 10, 11): of each class of each image the best boxes, none overlapping a better one by more than
// iou_threshold.
//
// Candidates are sorted once (score down, then index up, so ties have one order) and met in that order until enough are kept.
#include <algorithm>
#include <numeric>

#include "runtime/graph/evaluate_context.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"center_point_box"};

struct Box {
  float top, left, bottom, right;
  float area() const { return (bottom - top) * (right - left); }
};

// Corners may come in any order; with `center`, numbers are x, y, width, height.
Box box_at(const float* numbers, bool center) {
  if (center)
    return {numbers[1] - numbers[3] / 2, numbers[0] - numbers[2] / 2, numbers[1] + numbers[3] / 2, numbers[0] + numbers[2] / 2};
  return {std::min(numbers[0], numbers[2]), std::min(numbers[1], numbers[3]), std::max(numbers[0], numbers[2]),
          std::max(numbers[1], numbers[3])};
}

bool overlap(const Box& a, const Box& b, float threshold) {
  const float height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top),
              width = std::min(a.right, b.right) - std::max(a.left, b.left);
  if (!(height > 0 && width > 0)) return false;
  const float common = height * width, whole = a.area() + b.area() - common;
  return whole > 0 && common / whole > threshold;
}

struct Selection {
  std::span<const float> boxes;  // of one image
  bool center;
  int64_t most;
  float iou_threshold;
  const float* score_threshold;  // null: every box is a candidate

  std::vector<int64_t> of(std::span<const float> scores) const {
    std::vector<int64_t> order;
    for (size_t i = 0; i < scores.size(); ++i)
      if (scores[i] == scores[i] && (!score_threshold || scores[i] > *score_threshold)) order.push_back(static_cast<int64_t>(i));
    std::ranges::stable_sort(order, std::ranges::greater(), [&](int64_t i) { return scores[static_cast<size_t>(i)]; });
    std::vector<int64_t> kept;
    std::vector<Box> kept_boxes;
    for (size_t i = 0; i < order.size() && static_cast<int64_t>(kept.size()) < most; ++i) {
      const Box box = box_at(boxes.data() + 4 * order[i], center);
      if (std::ranges::any_of(kept_boxes, [&](const Box& better) { return overlap(better, box, iou_threshold); })) continue;
      kept.push_back(order[i]);
      kept_boxes.push_back(box);
    }
    return kept;
  }
};

// The only element of an optional input.
template <class T>
const T* scalar(const EvaluateContext& node, int i) {
  if (!node.has_input(i)) return nullptr;
  node.require(node.tensor(i).elements() == 1, "limits and thresholds are single numbers (input, elements)", i,
               node.tensor(i).elements());
  return node.tensor(i).as<T>().data();
}

void infer(InferenceContext& node) {
  for (int i : {0, 1}) {
    node.require_dtype(i, DType::kF32);
    node.require(!node.has_rank(i) || node.rank(i) == 3, "boxes and scores must have three axes (input)", i);
  }
  if (node.has_input(2)) node.require_dtype(2, DType::kI64);
  for (int i : {3, 4})
    if (node.has_input(i)) node.require_dtype(i, DType::kF32);
  node.require(!node.has_rank(0) || !differ(node.dims(0)[2], Dim(int64_t{4})), "a box has four numbers");
  node.set_output(0, DType::kI64, Dims{Dim(), Dim(int64_t{3})});
}

void evaluate(EvaluateContext& node) {
  const Tensor &boxes = node.tensor(0), &scores = node.tensor(1);
  const int64_t images = scores.shape()[0], classes = scores.shape()[1], count = scores.shape()[2];
  node.require(boxes.shape() == Shape{images, count, 4}, "boxes and scores differ in images or boxes (boxes, scores)",
               to_string(boxes.shape()), to_string(scores.shape()));
  const int64_t* most = scalar<int64_t>(node, 2);
  const float* iou = scalar<float>(node, 3);
  const float* least = scalar<float>(node, 4);
  const bool center = node.get_int("center_point_box", 0) != 0;
  std::vector<std::vector<int64_t>> kept(static_cast<size_t>(images * classes));
  const auto all_boxes = boxes.as<float>(), all_scores = scores.as<float>();
  const auto part = [](std::span<const float> all, int64_t i, int64_t size) {
    return all.subspan(static_cast<size_t>(i * size), static_cast<size_t>(size));
  };
  for (int64_t i = 0; i < images * classes && most; ++i) {
    const Selection selection{part(all_boxes, i / classes, 4 * count), center, *most, iou ? *iou : 0, least};
    kept[static_cast<size_t>(i)] = selection.of(part(all_scores, i, count));
  }
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < images * classes; ++i)
    for (int64_t box : kept[static_cast<size_t>(i)]) rows.insert(rows.end(), {i / classes, i % classes, box});
  node.set_output(0, Tensor::of<int64_t>({static_cast<int64_t>(rows.size()) / 3, 3}, rows));
}

constexpr OpDef non_max_suppression_op = {.name = "NonMaxSuppression",
                                          .since = 10,
                                          .min_inputs = 2,
                                          .max_inputs = 5,
                                          .attributes = kAttributes,
                                          .infer = infer,
                                          .evaluate = evaluate};

constexpr const OpDef* kOps[] = {&non_max_suppression_op};

}  // namespace

extern const OpFamily non_max_suppression_ops;
constinit const OpFamily non_max_suppression_ops = kOps;

}  // namespace tandem
