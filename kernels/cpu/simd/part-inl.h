// Loads and stores of the last, incomplete vector of a run: nothing beyond its end is touched, and its lanes go through the same
// instructions as all others, so an element's bits do not depend on where in a run it stands.
//
// Included once per instruction set by the files that Highway compiles so; the guard is Highway's own pattern.
#if defined(TANDEM_KERNELS_CPU_SIMD_PART_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef TANDEM_KERNELS_CPU_SIMD_PART_INL_H
#undef TANDEM_KERNELS_CPU_SIMD_PART_INL_H
#else
#define TANDEM_KERNELS_CPU_SIMD_PART_INL_H
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace tandem::cpu::simd::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// `count` elements at p, the other lanes `fill`.
template <class D, class T>
hn::Vec<D> load_part(D d, const T* p, int64_t count, T fill) {
  if constexpr (HWY_MEM_OPS_MIGHT_FAULT) {
    HWY_ALIGN T part[hn::MaxLanes(D())];
    hn::Store(hn::Set(d, fill), d, part);
    std::copy_n(p, count, part);
    return hn::Load(d, part);
  } else {
    const auto mask = hn::FirstN(d, static_cast<size_t>(count));
    return hn::IfThenElse(mask, hn::MaskedLoad(mask, d, p), hn::Set(d, fill));
  }
}

template <class D, class T>
void store_part(D d, hn::Vec<D> v, T* p, int64_t count) {
  if constexpr (HWY_MEM_OPS_MIGHT_FAULT) {
    HWY_ALIGN T part[hn::MaxLanes(D())];
    hn::Store(v, d, part);
    std::copy_n(part, count, p);
  } else {
    hn::BlendedStore(v, hn::FirstN(d, static_cast<size_t>(count)), d, p);
  }
}

// One vector of a run: all lanes, or the first `count`.
template <class D, class T>
hn::Vec<D> load_lanes(D d, const T* p, int64_t count, T fill = 0) {
  return count == static_cast<int64_t>(hn::Lanes(d)) ? hn::LoadU(d, p) : load_part(d, p, count, fill);
}
template <class D, class T>
void store_lanes(D d, hn::Vec<D> v, T* p, int64_t count) {
  if (count == static_cast<int64_t>(hn::Lanes(d))) {
    hn::StoreU(v, d, p);
  } else {
    store_part(d, v, p, count);
  }
}

}  // namespace tandem::cpu::simd::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();
#endif
