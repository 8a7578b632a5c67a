// A line is scanned once against a heap of the k best where k is small; else its elements are partitioned around the k-th
// (introselect) and the first k sorted. The order is total (value, then index), so the result does not depend on the way.
#include "kernels/api/top_k.h"

#include <omp.h>

#include <algorithm>

#include "kernels/base/dtype_families.h"
#include "kernels/cpu/parallel.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kHeapShare = 8;  // up to an eighth of the line a heap is kept

template <class T>
struct Entry {
  T value;
  int64_t index;
};

template <class T, bool largest>
bool is_before(const Entry<T>& a, const Entry<T>& b) {
  if (a.value == b.value) return a.index < b.index;
  const bool a_nan = a.value != a.value, b_nan = b.value != b.value;
  if (a_nan || b_nan) return a_nan && b_nan ? a.index < b.index : a_nan == largest;
  return largest ? a.value > b.value : a.value < b.value;
}

// entries[0, k) become the best of the line, in order.
template <class T, bool largest>
void select(const T* line, int64_t stride, int64_t length, int64_t k, Entry<T>* entries) {
  constexpr auto before = is_before<T, largest>;
  if (k * kHeapShare > length) {
    for (int64_t i = 0; i < length; ++i) entries[i] = {line[i * stride], i};
    if (k < length) std::nth_element(entries, entries + k, entries + length, before);
    std::sort(entries, entries + k, before);
    return;
  }
  for (int64_t i = 0; i < k; ++i) entries[i] = {line[i * stride], i};
  std::make_heap(entries, entries + k, before);  // the worst of the best on top
  for (int64_t i = k; i < length; ++i) {
    const Entry<T> candidate{line[i * stride], i};
    if (!before(candidate, entries[0])) continue;
    std::pop_heap(entries, entries + k, before);
    entries[k - 1] = candidate;
    std::push_heap(entries, entries + k, before);
  }
  std::sort_heap(entries, entries + k, before);
}

int64_t most_entries(int64_t length, int64_t k) { return std::max(k, std::min(length, kHeapShare * k)); }

template <class T, bool largest>
void top_k_of(const KernelContext& context, ConstTensorView x, const AxisView& view, int64_t k, TensorView values,
              TensorView indices) {
  const T* in = x.as<T>().data();
  T* best = values ? values.as<T>().data() : nullptr;
  int64_t* where = indices ? indices.as<int64_t>().data() : nullptr;
  const int64_t lines = view.outer * view.inner, each = most_entries(view.length, k);
  ensure(context.workspace.size() >= static_cast<size_t>(each) * sizeof(Entry<T>), "workspace is too small",
         context.workspace.size());
  auto* scratch = reinterpret_cast<Entry<T>*>(context.workspace.data());
#pragma omp parallel for num_threads(context.threads) if (lines > 1 && lines * view.length >= kGrain) schedule(static)
  for (int64_t l = 0; l < lines; ++l) {
    Entry<T>* entries = scratch + omp_get_thread_num() * each;
    const int64_t outer = l / view.inner, inner = l % view.inner;
    select<T, largest>(in + outer * view.length * view.inner + inner, view.inner, view.length, k, entries);
    for (int64_t i = 0; i < k; ++i) {
      const int64_t at = (outer * k + i) * view.inner + inner;
      if (best) best[at] = entries[i].value;
      if (where) where[at] = entries[i].index;
    }
  }
}

}  // namespace

void top_k(const KernelContext& context, ConstTensorView x, int axis, bool largest, TensorView values, TensorView indices) {
  const AxisView view(x.shape, axis);
  const int64_t k = (values ? values : indices).shape[axis];
  ensure(k <= view.length, "more elements wanted than there are", k, view.length);
  if (k == 0) return;
  visit_arithmetic(x.dtype, [&]<class T>() {
    largest ? top_k_of<T, true>(context, x, view, k, values, indices) : top_k_of<T, false>(context, x, view, k, values, indices);
  });
}

size_t top_k_workspace(DType dtype, int64_t length, int64_t k, int threads) {
  size_t bytes = 0;
  visit_arithmetic(dtype, [&]<class T>() { bytes = sizeof(Entry<T>); });
  return static_cast<size_t>(checked_mul(most_entries(length, k), threads, "TopK workspace")) * bytes;
}

}  // namespace tandem::cpu
