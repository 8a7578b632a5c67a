// NumPy's matmul on views: the broadcast leading axes become a set of products, made by one launch.
#include "kernels/api/products_of_run.h"
#include "kernels/cuda/gemm/driver.h"

namespace tandem::cuda {

size_t matmul_workspace_bytes(DType dtype, const Shape& a, const Shape& b, bool transpose_a, bool transpose_b) {
  const MatmulProducts p = matmul_products(a, b, transpose_a, transpose_b);
  return cuda::visit_float(dtype, [&]<class T>() { return gemm_workspace_bytes<T>({p.m, p.n, p.k, transpose_a, transpose_b}); });
}

void matmul(const KernelContext& context, ConstTensorView a, ConstTensorView b, TensorView y, const MatmulOptions& options) {
  const bool transpose_a = options.transpose_a, transpose_b = options.transpose_b;
  cuda::visit_float(a.dtype, [&]<class T>() {
    const MatmulProducts p =
        products_of_run(a.shape, b.shape, transpose_a, transpose_b, context.workspace.size(), [&](const MatmulProducts& o) {
          return gemm_workspace_bytes<T>({o.m, o.n, o.k, transpose_a, transpose_b});
        });
    ensure(y.elements() == p.set.count * p.m * p.n, "output of matmul has the wrong shape", to_string(y.shape));
    require(!options.bias || options.bias.elements() == p.n, "bias of matmul needs one value a column",
            to_string(options.bias.shape), p.n);
    GemmArgs<T> args;
    args.a = a.as<T>().data(), args.lda = transpose_a ? p.m : p.k;
    args.b = b.as<T>().data(), args.ldb = transpose_b ? p.k : p.n;
    args.c = y.as<T>().data(), args.ldc = p.n;
    args.alpha = static_cast<Compute<T>>(options.alpha);
    args.activation = options.activation;
    if (options.bias) args.bias = options.bias.as<T>().data();
    if (options.addend) args.addend = options.addend.as<T>().data(), args.ld_addend = p.n;
    multiply_all(context, {p.m, p.n, p.k, transpose_a, transpose_b}, args, p.set);
  });
}

}  // namespace tandem::cuda
