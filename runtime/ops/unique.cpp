// Unique (ONNX 11): the distinct elements, or the distinct slices along an axis, in ascending order or in that of their first
// appearance; with where each first stands, which of them each element is, and how often it is there. NaN equals NaN and comes
// last, as in NumPy.
#include <algorithm>
#include <numeric>

#include "kernels/base/dtype_families.h"
#include "kernels/base/half.h"
#include "runtime/graph/evaluate_context.h"
#include "runtime/graph/op_def.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"axis", "sorted"};

void infer(InferenceContext& node) {
  std::optional<Dims> dims;
  if (!node.has_attribute("axis")) {
    dims = Dims{Dim()};
  } else if (node.has_rank(0)) {
    dims = node.dims(0);
    (*dims)[static_cast<size_t>(node.normalized_axis(node.get_int("axis", 0), node.rank(0)))] = Dim();
  }
  node.set_output(0, node.dtype(0), std::move(dims));
  for (int i = 1; i < 4; ++i) node.set_output(i, DType::kI64, Dims{Dim()});
}

// What elements are compared as.
template <class T>
auto comparable(T value) {
  if constexpr (std::is_same_v<T, F16> || std::is_same_v<T, BF16>)
    return to_float(value);
  else
    return value;
}

// Negative, zero or positive, as a is before b, equal or after it.
template <class T>
int order_of(T a, T b) {
  if (a == b) return 0;
  if constexpr (std::is_floating_point_v<T>)
    if (a != a || b != b) return static_cast<int>(a != a) - static_cast<int>(b != b);
  return a < b ? -1 : 1;
}

template <class F>
void visit_comparable(DType type, F&& f) {
  if (type == DType::kF16) return f.template operator()<F16>();
  if (type == DType::kBF16) return f.template operator()<BF16>();
  if (type == DType::kString) return f.template operator()<std::string_view>();
  visit_arithmetic_or_bool(type, f);
}

// Items are slices along the axis; those that are equal are a group.
struct Grouping {
  std::vector<int64_t> first, counts;  // by group
  std::vector<int64_t> group_of;       // by item
};

template <class T>
Grouping group(const Tensor& x, const AxisView& view, bool sorted) {
  const T* data = x.as<T>().data();
  const auto compare = [&](int64_t a, int64_t b) {
    for (int64_t o = 0; o < view.outer; ++o)
      for (int64_t i = 0; i < view.inner; ++i) {
        const T *left = data + (o * view.length + a) * view.inner + i, *right = data + (o * view.length + b) * view.inner + i;
        if (const int order = order_of(comparable(*left), comparable(*right))) return order;
      }
    return 0;
  };
  std::vector<int64_t> items(static_cast<size_t>(view.length));
  std::iota(items.begin(), items.end(), 0);
  std::ranges::sort(items, [&](int64_t a, int64_t b) {
    const int order = compare(a, b);
    return order < 0 || (order == 0 && a < b);
  });
  Grouping found;
  found.group_of.resize(items.size());
  for (size_t i = 0; i < items.size(); ++i) {
    if (i == 0 || compare(items[i - 1], items[i]) != 0) found.first.push_back(items[i]), found.counts.push_back(0);
    found.group_of[static_cast<size_t>(items[i])] = static_cast<int64_t>(found.first.size()) - 1;
    ++found.counts.back();
  }
  if (sorted) return found;
  std::vector<size_t> order(found.first.size());  // of groups, by first appearance
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {}, [&](size_t g) { return found.first[g]; });
  Grouping appearing;
  std::vector<int64_t> place(order.size());
  for (size_t i = 0; i < order.size(); ++i) {
    appearing.first.push_back(found.first[order[i]]);
    appearing.counts.push_back(found.counts[order[i]]);
    place[order[i]] = static_cast<int64_t>(i);
  }
  for (int64_t g : found.group_of) appearing.group_of.push_back(place[static_cast<size_t>(g)]);
  return appearing;
}

Tensor list(const std::vector<int64_t>& values) { return Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values); }

void evaluate(EvaluateContext& node) {
  const Tensor& whole = node.tensor(0);
  const bool flat = !node.has_attribute("axis");
  const Tensor x = flat ? whole.reshaped({whole.elements()}) : whole;
  const int axis = flat ? 0 : node.normalized_axis(node.get_int("axis", 0), x.shape().rank());
  const AxisView view(x.shape(), axis);
  Grouping groups;
  visit_comparable(x.dtype(), [&]<class T>() { groups = group<T>(x, view, node.get_int("sorted", 1) != 0); });
  Shape shape = x.shape();
  shape.set(axis, static_cast<int64_t>(groups.first.size()));
  Tensor y(x.dtype(), shape);
  visit_size(x.dtype(), [&]<class T>() {
    const T* in = x.view().raw<T>().data();
    T* out = y.view().raw<T>().data();
    for (int64_t o = 0; o < view.outer; ++o)
      for (int64_t i : groups.first) out = std::copy_n(in + (o * view.length + i) * view.inner, view.inner, out);
  });
  node.set_output(0, y.dtype() == DType::kString ? y.clone() : std::move(y));
  node.set_output(1, list(groups.first));
  node.set_output(2, list(groups.group_of));
  node.set_output(3, list(groups.counts));
}

constexpr OpDef unique_op = {
    .name = "Unique", .since = 11, .max_outputs = 4, .attributes = kAttributes, .infer = infer, .evaluate = evaluate};

constexpr const OpDef* kOps[] = {&unique_op};

}  // namespace

extern const OpFamily unique_ops;
constinit const OpFamily unique_ops = kOps;

}  // namespace tandem
