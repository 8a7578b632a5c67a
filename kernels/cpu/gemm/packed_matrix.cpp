// Weights packed once. Layout: for each step of k (see k_step), the panels of all n columns one after another. Of a matrix without content there is
// room alone: who kept such panels fills it.

#include "kernels/api/gemm.h"
#include "kernels/cpu/gemm/blocking.h"
#include "kernels/cpu/gemm/storage.h"

namespace tandem::cpu {

PackedMatrix pack_matrix(ConstTensorView b, bool transposed, Isa isa) {
  require(b.shape.rank() == 2, "a matrix to pack needs 2 dimensions", to_string(b.shape));
  PackedMatrix packed;
  packed.k_ = b.shape[transposed ? 1 : 0];
  packed.n_ = b.shape[transposed ? 0 : 1];
  packed.dtype_ = b.dtype;
  packed.isa_ = isa;
  visit_float(b.dtype, [&]<class T>() {
    const GemmTier<T>& tier = gemm_tier<T>(isa, packed.n_);
    const int64_t width = round_up(packed.n_, tier.nr), step = k_step(packed.k_), ld = b.shape[1];
    packed.bytes_ = static_cast<size_t>(checked_mul(checked_mul(width, packed.k_), sizeof(T)));
    packed.data_ = make_aligned(packed.bytes_);
    if (!b.data) return;
    const T* source = b.as<T>().data();
    T* panels = reinterpret_cast<T*>(packed.data_.get());
    const int64_t i_stride = transposed ? ld : 1, k_stride = transposed ? 1 : ld;
    for (int64_t k0 = 0; k0 < packed.k_; k0 += step)
      tier.pack({source + k0 * k_stride, i_stride, k_stride, packed.n_, std::min(step, packed.k_ - k0)}, tier.nr, panels + k0 * width);
  });
  return packed;
}

}  // namespace tandem::cpu
