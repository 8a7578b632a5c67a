// An operand is memory with a stride for each of its indices, so a diagonal is one index with the sum of two strides. Two
// operands become one by a batched matrix product over [kept by both], [kept of one], [summed].
#include "kernels/api/einsum.h"

#include <algorithm>
#include <array>

#include "kernels/api/gemm.h"
#include "kernels/api/integer_matmul.h"
#include "kernels/api/reduce.h"
#include "kernels/api/strided_box.h"
#include "kernels/cpu/strided_copy.h"

namespace tandem::cpu {
namespace {

constexpr int kMost = EinsumEquation::kMostIndices;
using IndexSet = uint64_t;

// A list of indices that needs no heap.
struct Indices {
  std::array<int, kMost> list{};
  int count = 0;
  void push_back(int index) { list[static_cast<size_t>(count++)] = index; }
  const int* begin() const { return list.data(); }
  const int* end() const { return list.data() + count; }
};

struct Operand {
  const std::byte* data = nullptr;
  Indices order;                         // as they lie, outermost first
  std::array<int64_t, kMost> strides{};  // by index; 0 where the operand has size 1
  IndexSet set = 0;
};

// With a null workspace nothing is computed, only counted.
class EinsumRun {
 public:
  EinsumRun(const KernelContext& context, const EinsumEquation& equation, DType dtype, const EinsumSizes& sizes, bool counts)
      : context_(context), equation_(equation), dtype_(dtype), sizes_(sizes), counts_(counts) {}

  size_t used() const { return used_; }

  void run(std::span<const ConstTensorView> inputs, TensorView y) {
    for (size_t i = 0; i < inputs.size(); ++i) {
      Operand next = sum_lone(operand(inputs[i], equation_.inputs[i]), needed_after(i, i == 0 ? 0 : current_.set));
      if (i == 0)
        current_ = next;
      else
        current_ =
            product(sum_lone(current_, next.set | needed_after(i, 0)), next, needed_after(i, 0), i + 1 == inputs.size(), y);
    }
    // One operand, or a product in another order than the output's.
    if (written_) return;
    current_ = sum_lone(current_, needed_after(inputs.size() - 1, 0));
    Indices order;
    for (const int index : equation_.output) order.push_back(index);
    copy(current_, order, y.data);
  }

 private:
  int64_t size(int index) const { return sizes_[static_cast<size_t>(index)]; }
  int64_t elements(const Indices& order) const {
    int64_t n = 1;
    for (const int index : order) n *= size(index);
    return n;
  }
  static IndexSet bit(int index) { return IndexSet{1} << index; }

  // Indices of the output and of the inputs behind input i, and some more.
  IndexSet needed_after(size_t i, IndexSet more) const {
    for (const int index : equation_.output) more |= bit(index);
    for (size_t later = i + 1; later < equation_.inputs.size(); ++later)
      for (const int index : equation_.inputs[later]) more |= bit(index);
    return more;
  }

  Operand operand(ConstTensorView view, const EinsumTerm& term) const {
    Operand result;
    result.data = view.data;
    const auto strides = dense_strides(view.shape);
    for (size_t a = 0; a < term.size(); ++a) {
      if (!(result.set & bit(term[a]))) result.order.push_back(term[a]);
      result.set |= bit(term[a]);
      if (view.shape[static_cast<int>(a)] != 1) result.strides[static_cast<size_t>(term[a])] += strides[a];
    }
    return result;
  }

  Operand dense(const std::byte* data, const Indices& order) const {
    Operand result;
    result.data = data;
    result.order = order;
    int64_t stride = 1;
    for (int i = order.count - 1; i >= 0; --i) {
      const int index = order.list[static_cast<size_t>(i)];
      result.strides[static_cast<size_t>(index)] = stride;
      result.set |= bit(index);
      stride *= size(index);
    }
    return result;
  }

  std::byte* take(int64_t count) {
    const size_t at = used_;
    used_ += static_cast<size_t>(round_up(checked_mul(count, static_cast<int64_t>(size_of(dtype_)), "einsum"), 64));
    if (counts_) return nullptr;
    ensure(context_.workspace.size() >= used_, "workspace of einsum is too small", context_.workspace.size(), used_);
    return context_.workspace.data() + at;
  }

  void copy(const Operand& from, const Indices& order, std::byte* to) const {
    if (counts_) return;
    StridedBox box;
    int64_t left = elements(order);
    if (left == 0) return;
    for (const int index : order) {
      left /= size(index);
      box.add_axis(size(index), from.strides[static_cast<size_t>(index)], left);
    }
    copy_box(context_, box, from.data, to, size_of(dtype_));
  }

  // Whether the operand lies dense in this order (indices of size 1 lie anywhere).
  bool lies_in(const Operand& of, const Indices& order) const {
    int64_t stride = 1;
    for (int i = order.count - 1; i >= 0; --i) {
      const int index = order.list[static_cast<size_t>(i)];
      if (size(index) == 1) continue;
      if (of.strides[static_cast<size_t>(index)] != stride) return false;
      stride *= size(index);
    }
    return true;
  }

  // Sums the indices that nobody else needs.
  Operand sum_lone(const Operand& of, IndexSet needed) {
    if ((of.set & ~needed) == 0) return of;
    Indices kept, order;
    for (const int index : of.order)
      if (needed & bit(index)) kept.push_back(index), order.push_back(index);
    for (const int index : of.order)
      if (!(needed & bit(index))) order.push_back(index);
    const std::byte* source = of.data;
    if (!lies_in(of, order)) {
      std::byte* packed = take(elements(order));
      copy(of, order, packed);
      source = packed;
    }
    const int64_t rows = elements(kept);
    std::byte* sums = take(rows);
    if (!counts_)
      reduce(context_, ReduceOp::kSum, {source, dtype_, Shape{rows, rows ? elements(order) / rows : 0}},
             {sums, dtype_, Shape{rows}}, 2);
    return dense(sums, kept);
  }

  struct Matrix {
    ConstTensorView view;
    bool transposed;
  };
  // [batch, rows, columns], read as it lies or transposed where that will do, else copied.
  Matrix matrix(const Operand& of, const Indices& batch, const Indices& rows, const Indices& columns) {
    const auto joined = [](Indices a, const Indices& b, const Indices& c) {
      for (const int index : b) a.push_back(index);
      for (const int index : c) a.push_back(index);
      return a;
    };
    const Indices straight = joined(batch, rows, columns), turned = joined(batch, columns, rows);
    const bool transposed = !lies_in(of, straight) && lies_in(of, turned);
    const std::byte* data = of.data;
    if (!transposed && !lies_in(of, straight)) {
      std::byte* packed = take(elements(straight));
      copy(of, straight, packed);
      data = packed;
    }
    const int64_t m = elements(rows), n = elements(columns);
    return {{data, dtype_, transposed ? Shape{elements(batch), n, m} : Shape{elements(batch), m, n}}, transposed};
  }

  Operand product(const Operand& a, const Operand& b, IndexSet needed, bool last, TensorView y) {
    Indices batch, rows, columns, summed, order;
    for (const int index : a.order) {
      if (!(b.set & bit(index)))
        rows.push_back(index);
      else if (needed & bit(index))
        batch.push_back(index);
      else
        summed.push_back(index);
    }
    for (const int index : b.order)
      if (!(a.set & bit(index))) columns.push_back(index);
    for (const Indices* part : {&batch, &rows, &columns})
      for (const int index : *part) order.push_back(index);
    const Matrix left = matrix(a, batch, rows, summed), right = matrix(b, batch, summed, columns);
    written_ = last && std::equal(order.begin(), order.end(), equation_.output.begin(), equation_.output.end());
    std::byte* out = written_ ? y.data : take(elements(order));
    const TensorView result{out, dtype_, Shape{elements(batch), elements(rows), elements(columns)}};
    multiply(left, right, result);
    return dense(out, order);
  }

  void multiply(const Matrix& a, const Matrix& b, TensorView y) {
    if (is_integer(dtype_)) {
      if (!counts_) integer_matmul(context_, a.view, b.view, a.transposed, b.transposed, y);
      return;
    }
    const size_t bytes = matmul_workspace_bytes(dtype_, a.view.shape, b.view.shape, a.transposed, b.transposed, context_.threads);
    std::byte* scratch = take(ceil_div(static_cast<int64_t>(bytes), static_cast<int64_t>(size_of(dtype_))));
    if (counts_) return;
    KernelContext inner = context_;
    inner.workspace = {scratch, bytes};
    matmul(inner, a.view, b.view, y, {.transpose_a = a.transposed, .transpose_b = b.transposed});
  }

  const KernelContext& context_;
  const EinsumEquation& equation_;
  DType dtype_;
  const EinsumSizes& sizes_;
  bool counts_;
  bool written_ = false;  // the last product went straight to the output
  size_t used_ = 0;
  Operand current_;
};

}  // namespace

size_t einsum_workspace(const EinsumEquation& equation, std::span<const ConstTensorView> inputs, int threads) {
  const EinsumSizes sizes = einsum_sizes(equation, inputs);
  const KernelContext context{.threads = threads};
  EinsumRun run(context, equation, inputs[0].dtype, sizes, true);
  run.run(inputs, {});
  return run.used();
}

void einsum(const KernelContext& context, const EinsumEquation& equation, std::span<const ConstTensorView> inputs, TensorView y) {
  const EinsumSizes sizes = einsum_sizes(equation, inputs);
  EinsumRun(context, equation, y.dtype, sizes, false).run(inputs, y);
}

}  // namespace tandem::cpu
