// NumPy's matmul on views: the broadcast leading axes become a set of products. Where only `a` has leading axes they become rows.
#include "kernels/api/gemm.h"
#include "kernels/cpu/gemm/driver.h"

namespace tandem::cpu {
namespace {

// Both operands as stacks of matrices: a 1-D operand has got its axis of 1.
struct Operands {
  Shape a_lead, b_lead, lead;
  int64_t m, n, k;
  bool a_is_vector, b_is_vector;
};

Shape leading(const Shape& shape) { return Shape(shape.dims().first(static_cast<size_t>(std::max(0, shape.rank() - 2)))); }

Operands operands_of(const Shape& a, const Shape& b, bool transpose_a, bool transpose_b) {
  require(a.rank() >= 1 && b.rank() >= 1, "matmul of a scalar", to_string(a), to_string(b));
  Operands o;
  o.a_is_vector = a.rank() == 1, o.b_is_vector = b.rank() == 1;
  require(!(o.a_is_vector && transpose_a) && !(o.b_is_vector && transpose_b), "matmul cannot transpose a vector", to_string(a), to_string(b));
  const int64_t a_rows = o.a_is_vector ? 1 : a[a.rank() - 2], a_cols = a[a.rank() - 1];
  const int64_t b_rows = o.b_is_vector ? b[0] : b[b.rank() - 2], b_cols = o.b_is_vector ? 1 : b[b.rank() - 1];
  o.m = transpose_a ? a_cols : a_rows;
  o.k = transpose_a ? a_rows : a_cols;
  o.n = transpose_b ? b_rows : b_cols;
  require(o.k == (transpose_b ? b_cols : b_rows), "inner sizes of matmul differ", to_string(a), to_string(b));
  o.a_lead = leading(a), o.b_lead = leading(b);
  o.lead = broadcast(o.a_lead, o.b_lead);
  return o;
}

// The leading axes of `a` as rows, where every product reads the same B.
void fold_leading_axes(Operands& o, bool transpose_a) {
  if (transpose_a || o.b_lead.elements() != 1 || o.a_lead.elements() != o.lead.elements()) return;
  o.m *= o.lead.elements();
  o.a_lead = o.b_lead = o.lead = Shape();
}

ProductSet products_of(const Operands& o) {
  ProductSet set;
  set.c_stride = o.m * o.n;
  for (int axis = 0; axis < o.lead.rank(); ++axis) {
    const auto stride = [&](const Shape& lead, int64_t matrix) {
      const int at = axis - (o.lead.rank() - lead.rank());
      return at < 0 || lead[at] == 1 ? 0 : lead.product(at + 1, lead.rank()) * matrix;
    };
    set.push_back(o.lead[axis], stride(o.a_lead, o.m * o.k), stride(o.b_lead, o.k * o.n));
  }
  return set;
}

template <class T>
void set_epilogue(GemmArgs<T>& args, const MatmulOptions& options, int64_t n) {
  args.alpha = static_cast<T>(options.alpha);
  args.activation = options.activation;
  if (!options.bias) return;
  require(options.bias.elements() == n, "bias of matmul needs one value a column", to_string(options.bias.shape), n);
  args.bias = options.bias.as<T>().data();
}

}  // namespace

Shape matmul_shape(const Shape& a, const Shape& b, bool transpose_a, bool transpose_b) {
  const Operands o = operands_of(a, b, transpose_a, transpose_b);
  Shape y = o.lead;
  if (!o.a_is_vector) y.push_back(o.m);
  if (!o.b_is_vector) y.push_back(o.n);
  return Shape(y.dims());
}

size_t matmul_workspace_bytes(DType dtype, const Shape& a, const Shape& b, bool transpose_a, bool transpose_b, int threads, Isa isa) {
  Operands o = operands_of(a, b, transpose_a, transpose_b);
  fold_leading_axes(o, transpose_a);
  return visit_float(dtype, [&]<class T>() { return gemm_workspace_bytes<T>({o.m, o.n, o.k, false, false}, threads, isa); });
}

void matmul(const KernelContext& context, ConstTensorView a, ConstTensorView b, TensorView y, const MatmulOptions& options, Isa isa) {
  Operands o = operands_of(a.shape, b.shape, options.transpose_a, options.transpose_b);
  ensure(y.elements() == o.lead.elements() * o.m * o.n, "output of matmul has the wrong shape", to_string(y.shape));
  fold_leading_axes(o, options.transpose_a);
  visit_float(a.dtype, [&]<class T>() {
    GemmArgs<T> args;
    args.a = a.as<T>().data(), args.lda = options.transpose_a ? o.m : o.k;
    args.b = b.as<T>().data(), args.ldb = options.transpose_b ? o.k : o.n;
    args.c = y.as<T>().data(), args.ldc = o.n;
    set_epilogue(args, options, o.n);
    multiply_all<T>(context, {o.m, o.n, o.k, options.transpose_a, options.transpose_b}, args, products_of(o), isa);
  });
}

void matmul(const KernelContext& context, ConstTensorView a, const PackedMatrix& b, TensorView y, const MatmulOptions& options) {
  require(!options.transpose_a, "matmul with packed weights cannot transpose the other operand");
  const int rank = a.shape.rank();
  require(rank >= 1 && a.shape[rank - 1] == b.k(), "inner sizes of matmul differ", to_string(a.shape), b.k(), b.n());
  const int64_t m = a.shape.product(0, rank - 1);
  ensure(y.elements() == m * b.n(), "output of matmul has the wrong shape", to_string(y.shape));
  visit_float(a.dtype, [&]<class T>() {
    GemmArgs<T> args;
    args.a = a.as<T>().data(), args.lda = b.k();
    args.packed_b = &b;
    args.c = y.as<T>().data(), args.ldc = b.n();
    set_epilogue(args, options, b.n());
    multiply_all<T>(context, {m, b.n(), b.k(), false, false}, args, {}, b.isa());
  });
}

}  // namespace tandem::cpu
