// NonMaxSuppression, against a loop that looks for the best remaining box again and again.
#include <algorithm>

#include "tests/conformance/cases/cases.h"

namespace tandem::conformance {
namespace {

struct Limits {
  int64_t most;
  double iou, score;
  bool has_score, center;
};

struct Corners {
  double top, left, bottom, right;
  double area() const { return (bottom - top) * (right - left); }
};

Corners corners(std::span<const double> box, bool center) {
  if (center) return {box[1] - box[3] / 2, box[0] - box[2] / 2, box[1] + box[3] / 2, box[0] + box[2] / 2};
  return {std::min(box[0], box[2]), std::min(box[1], box[3]), std::max(box[0], box[2]), std::max(box[1], box[3])};
}

double intersection_over_union(const Corners& a, const Corners& b) {
  const double height = std::min(a.bottom, b.bottom) - std::max(a.top, b.top),
               width = std::min(a.right, b.right) - std::max(a.left, b.left);
  if (height <= 0 || width <= 0) return 0;
  return height * width / (a.area() + b.area() - height * width);
}

Reference selection(const Limits& limits) {
  return [=](const std::vector<Tensor>& in) {
    const std::vector<double> boxes = numbers(in[0]), scores = numbers(in[1]);
    const int64_t count = in[1].shape()[2], classes = in[1].shape()[1];
    std::vector<int64_t> rows;
    for (int64_t i = 0; i < in[1].shape()[0] * classes; ++i) {
      const auto score = [&](int64_t box) { return scores[static_cast<size_t>(i * count + box)]; };
      const auto at = [&](int64_t box) {
        return corners(std::span(boxes).subspan(static_cast<size_t>((i / classes * count + box) * 4), 4), limits.center);
      };
      std::vector<bool> gone(static_cast<size_t>(count), false);
      for (int64_t kept = 0; kept < limits.most; ++kept) {
        int64_t best = -1;
        for (int64_t box = 0; box < count; ++box)
          if (!gone[static_cast<size_t>(box)] && (!limits.has_score || score(box) > limits.score) &&
              (best < 0 || score(box) > score(best)))
            best = box;
        if (best < 0) break;
        rows.insert(rows.end(), {i / classes, i % classes, best});
        for (int64_t box = 0; box < count; ++box)
          if (box == best || intersection_over_union(at(best), at(box)) > limits.iou) gone[static_cast<size_t>(box)] = true;
      }
    }
    return std::vector{i64({static_cast<int64_t>(rows.size()) / 3, 3}, rows)};
  };
}

}  // namespace

void add_detection_cases(Cases& cases) {
  const auto add = [&](const Shape& scores, const Limits& limits) {
    std::vector<Tensor> inputs = {uniform({scores[0], scores[2], 4}, 0, 3), uniform(scores, 0, 1, 5), i64({limits.most}),
                                  f32({1}, {static_cast<float>(limits.iou)})};
    if (limits.has_score) inputs.push_back(f32({}, {static_cast<float>(limits.score)}));
    cases.push_back({.op = "NonMaxSuppression",
                     .what = to_string(scores),
                     .inputs = inputs,
                     .attributes = {{"center_point_box", int64_t{limits.center}}},
                     .constants = {2, 3, 4},
                     .reference = selection(limits)});
  };
  add({2, 3, 40}, {100, 0.5, 0, false, false});
  add({2, 3, 40}, {4, 0.25, 0.5, true, false});
  add({1, 2, 200}, {30, 0.75, 0.125, true, true});
  add({1, 1, 5}, {5, 0.5, 2, true, false});
  add({0, 2, 5}, {5, 0.5, 0, false, false});
  // Ties: equal scores in the order of the boxes, equal boxes only once; boxes without area overlap nothing.
  cases.push_back({.op = "NonMaxSuppression",
                   .what = "ties",
                   .inputs = {f32({1, 5, 4}, {0, 0, 1, 1, 2, 2, 3, 3, 1, 1, 0, 0, 4, 4, 4, 4, 4, 4, 4, 4}),
                              f32({1, 1, 5}, {0.5f, 0.5f, 0.5f, 0.5f, 0.5f}), i64({9})},
                   .reference = fixed(i64({4, 3}, {0, 0, 0, 0, 0, 1, 0, 0, 3, 0, 0, 4}))});
  cases.push_back({.op = "NonMaxSuppression",
                   .what = "of none",
                   .inputs = {uniform({1, 5, 4}), uniform({1, 1, 5})},
                   .reference = fixed(i64({0, 3}, {}))});
}

}  // namespace tandem::conformance
