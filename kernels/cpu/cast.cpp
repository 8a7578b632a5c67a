// Conversions between element types; one loop per pair.
#include "kernels/api/convert.h"
#include "kernels/api/elementwise.h"
#include "kernels/cpu/parallel.h"

namespace tandem::cpu {
namespace {

template <class F>
void visit_castable(DType t, F&& f) {
  if (t == DType::kF16) return f.template operator()<F16>();
  if (t == DType::kBF16) return f.template operator()<BF16>();
  visit_number_or_bool(t, f);
}

}  // namespace

void cast(const KernelContext& context, ConstTensorView x, TensorView y) {
  visit_castable(x.dtype, [&]<class From>() {
    visit_castable(y.dtype, [&]<class To>() {
      const From* in = x.as<From>().data();
      To* out = y.as<To>().data();
      parallel_chunks(context, x.elements(), kGrain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) out[i] = convert<To>(in[i]);
      });
    });
  });
}

}  // namespace tandem::cpu
