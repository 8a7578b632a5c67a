#include "kernels/api/cast.h"

#include "kernels/api/elementwise.h"
#include "kernels/api/movement.h"
#include "kernels/cpu/element_converter.h"
#include "kernels/cpu/parallel.h"

namespace tandem::cpu {

void cast(const KernelContext& context, ConstTensorView x, TensorView y, NarrowRules rules) {
  if (x.elements() != y.elements()) [[unlikely]]
    fail(ErrorCode::kInternal, "cast changes the number of elements", {to_string(x.shape), to_string(y.shape)});
  if (x.dtype == y.dtype) return copy(context, x, y);
  const ElementConverter convert(x.dtype, y.dtype, rules);
  const auto from = static_cast<int64_t>(size_of(x.dtype)), to = static_cast<int64_t>(size_of(y.dtype));
  parallel_chunks(context, x.elements(), kGrain,
                  [&](int64_t begin, int64_t end) { convert(x.data + begin * from, y.data + begin * to, end - begin); });
}

void cast(const KernelContext& context, ConstTensorView x, TensorView y) { cast(context, x, y, {}); }

}  // namespace tandem::cpu
