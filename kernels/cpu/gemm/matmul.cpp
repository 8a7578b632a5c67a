// NumPy's matmul on views: the broadcast leading axes become a set of products. Where only `a` has leading axes they become rows.
#include "kernels/api/gemm.h"
#include "kernels/api/packed_workspace.h"
#include "kernels/api/products_of_run.h"
#include "kernels/cpu/gemm/driver.h"

namespace tandem::cpu {
namespace {

template <class T>
void set_epilogue(GemmArgs<T>& args, const MatmulOptions& options, int64_t n) {
  args.alpha = static_cast<T>(options.alpha);
  args.activation = options.activation;
  if (options.addend) args.addend = options.addend.as<T>().data(), args.ld_addend = n;
  if (!options.bias) return;
  require(options.bias.elements() == n, "bias of matmul needs one value a column", to_string(options.bias.shape), n);
  args.bias = options.bias.as<T>().data();
}

}  // namespace

size_t matmul_workspace_bytes(DType dtype, const Shape& a, const Shape& b, bool transpose_a, bool transpose_b, int threads, Isa isa,
                              bool rounded) {
  const MatmulProducts o = matmul_products(a, b, transpose_a, transpose_b);
  return visit_float(dtype, [&]<class T>() { return gemm_workspace_bytes<T>({o.m, o.n, o.k, false, false, rounded}, threads, isa); });
}

size_t matmul_workspace_with_packed_b(DType dtype, const Shape& a, const Shape& b, bool transpose_b, int threads, Isa isa) {
  const MatmulProducts o = matmul_products(a, b, false, transpose_b);
  return visit_float(dtype, [&]<class T>() { return gemm_workspace_with_packed_b<T>({o.m, o.n, o.k, false, false}, threads, isa); });
}

void matmul(const KernelContext& context, ConstTensorView a, ConstTensorView b, TensorView y, const MatmulOptions& options, Isa isa) {
  visit_float(a.dtype, [&]<class T>() {
    const MatmulProducts o =
        products_of_run(a.shape, b.shape, options.transpose_a, options.transpose_b, context.workspace.size(),
                        [&](const MatmulProducts& p) { return gemm_workspace_bytes<T>({p.m, p.n, p.k, false, false, options.rounded}, context.threads, isa); });
    ensure(y.elements() == o.set.count * o.m * o.n, "output of matmul has the wrong shape", to_string(y.shape));
    GemmArgs<T> args;
    args.a = a.as<T>().data(), args.lda = options.transpose_a ? o.m : o.k;
    args.b = b.as<T>().data(), args.ldb = options.transpose_b ? o.k : o.n;
    args.c = y.as<T>().data(), args.ldc = o.n;
    set_epilogue(args, options, o.n);
    multiply_all<T>(context, {o.m, o.n, o.k, options.transpose_a, options.transpose_b, options.rounded}, args, o.set, isa);
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
