// Conversions between element types; one loop per pair.
#include <cmath>
#include <limits>
#include <type_traits>

#include "kernels/api/elementwise.h"
#include "kernels/cpu/parallel.h"

namespace tandem::cpu {
namespace {

template <class To, class From>
To convert(From value) {
  if constexpr (std::is_same_v<To, bool>) {
    return value != From{0};
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    using Limits = std::numeric_limits<To>;
    // 2^k is exact in From, Limits::max() may not be.
    constexpr From above = static_cast<From>(Limits::max() / 2 + 1) * 2;
    if (std::isnan(value)) return To{0};
    if (value >= above) return Limits::max();
    return value <= static_cast<From>(Limits::min()) ? Limits::min() : static_cast<To>(value);
  } else {
    return static_cast<To>(value);
  }
}

}  // namespace

void cast(const KernelContext& context, ConstTensorView x, TensorView y) {
  visit_number_or_bool(x.dtype, [&]<class From>() {
    visit_number_or_bool(y.dtype, [&]<class To>() {
      const From* in = x.as<From>().data();
      To* out = y.as<To>().data();
      parallel_chunks(context, x.elements(), kGrain, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) out[i] = convert<To>(in[i]);
      });
    });
  });
}

}  // namespace tandem::cpu
