#include "serving/batching/instance_choice.h"

#include <algorithm>

#include "serving/batching/slo_controller.h"

namespace tandem {
namespace {

constexpr double kWorthIt = 1.05;  // less is not told from noise, and smaller teams are kinder to other models

InstanceChoice choice_of(SloController controller, int lanes, int lanes_per_batch, const BatchCost& cost) {
  InstanceChoice choice{.lanes_per_batch = lanes_per_batch, .cost = cost};
  if (!cost.is_known()) return choice;
  choice.rows = controller.batch(cost);
  choice.rows_per_second = lanes / lanes_per_batch * static_cast<double>(choice.rows) / cost.seconds(choice.rows);
  const double left = controller.slack(cost), batch = controller.budget() - left;  // all of it, where not even one fits
  choice.fitting = left <= 0 ? 0 : left < batch ? 1 : 2;
  return choice;
}

bool is_shorter(const InstanceChoice& a, const InstanceChoice& b) { return kWorthIt * a.cost.seconds(1) < b.cost.seconds(1); }

// Where no batch is in time, the shortest is the least late.
bool is_better(const InstanceChoice& a, const InstanceChoice& b) {
  if (a.fitting != b.fitting) return a.fitting > b.fitting;
  return a.fitting > 0 ? a.rows_per_second > kWorthIt * b.rows_per_second : is_shorter(a, b);
}

// Whether teams twice as large, were they twice as fast, would be worth it: for a batch that does not fit now.
bool may_gain(const InstanceChoice& choice, double budget, int64_t max_batch) {
  if (choice.fitting < 2) return true;
  const double rate = static_cast<double>(choice.rows) / choice.cost.seconds(choice.rows);
  return std::ranges::any_of(choice.cost.points(), [&](const BatchCost::Point& point) {
    return point.rows <= static_cast<double>(max_batch) && 2 * point.seconds > budget && point.seconds <= budget && point.rows / point.seconds > kWorthIt * rate;
  });
}

// At least twice `size`, and a divisor of `lanes`.
int wider(int size, int lanes) {
  for (int next = 2 * size; next < lanes; ++next)
    if (lanes % next == 0) return next;
  return lanes;
}

}  // namespace

InstanceChoice choose_instances(const Slo& slo, int64_t max_batch, int lanes, const std::function<BatchCost(int lanes_per_batch)>& measure) {
  const SloController controller(slo, max_batch);
  InstanceChoice best = choice_of(controller, lanes, 1, measure(1));
  for (InstanceChoice last = best; last.cost.is_known() && last.lanes_per_batch < lanes && may_gain(last, controller.budget(), max_batch);) {
    const int size = wider(last.lanes_per_batch, lanes);
    InstanceChoice next = choice_of(controller, lanes, size, measure(size));
    if (!next.cost.is_known() || !is_shorter(next, last)) break;
    if (is_better(next, best)) best = next;
    last = std::move(next);
  }
  return best;
}

}  // namespace tandem
