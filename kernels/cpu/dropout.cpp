// Philox is the cost here: sixteen counters go through its rounds side by side, in plain loops that the compiler turns into
// vectors, once per instruction set by Highway's foreach_target. Chunks of a fixed size are shared by the threads.
#include "kernels/api/dropout.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/dropout.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>

#include "kernels/base/philox.h"
#include "kernels/cpu/simd/targets.h"

HWY_BEFORE_NAMESPACE();
namespace tandem::cpu::HWY_NAMESPACE {

constexpr int kCounters = 16;
constexpr int64_t kBlock = 4 * kCounters;  // elements
constexpr int64_t kChunk = 256 * kBlock;

// numbers[4 * i + w] = unit_float(word w of philox(key, first + i, counter)); kernels/base/philox.h says the same for one
// counter.
void random_block(uint64_t key, uint64_t first, uint64_t counter, float* numbers) {
  uint32_t c0[kCounters], c1[kCounters], c2[kCounters], c3[kCounters];
  for (int i = 0; i < kCounters; ++i) {
    const uint64_t low = first + static_cast<uint64_t>(i);
    c0[i] = static_cast<uint32_t>(low);
    c1[i] = static_cast<uint32_t>(low >> 32);
    c2[i] = static_cast<uint32_t>(counter);
    c3[i] = static_cast<uint32_t>(counter >> 32);
  }
  uint32_t k0 = static_cast<uint32_t>(key), k1 = static_cast<uint32_t>(key >> 32);
  for (int round = 0; round < 10; ++round) {
#pragma omp simd
    for (int i = 0; i < kCounters; ++i) {
      const uint64_t p0 = uint64_t{0xD2511F53u} * c0[i], p1 = uint64_t{0xCD9E8D57u} * c2[i];
      c0[i] = static_cast<uint32_t>(p1 >> 32) ^ c1[i] ^ k0;
      c2[i] = static_cast<uint32_t>(p0 >> 32) ^ c3[i] ^ k1;
      c1[i] = static_cast<uint32_t>(p1);
      c3[i] = static_cast<uint32_t>(p0);
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
#pragma omp simd
  for (int i = 0; i < kCounters; ++i) {
    numbers[4 * i] = static_cast<float>(static_cast<int32_t>(c0[i] >> 8)) * 0x1p-24f;
    numbers[4 * i + 1] = static_cast<float>(static_cast<int32_t>(c1[i] >> 8)) * 0x1p-24f;
    numbers[4 * i + 2] = static_cast<float>(static_cast<int32_t>(c2[i] >> 8)) * 0x1p-24f;
    numbers[4 * i + 3] = static_cast<float>(static_cast<int32_t>(c3[i] >> 8)) * 0x1p-24f;
  }
}

template <class T>
void drop(const T* x, T* y, int64_t first, int64_t last, float ratio, T scale, uint64_t key, uint64_t counter) {
  float numbers[kBlock];
  for (int64_t i = first; i < last; i += kBlock) {
    random_block(key, static_cast<uint64_t>(i / 4), counter, numbers);
    const int64_t count = std::min(kBlock, last - i);
#pragma omp simd
    for (int64_t j = 0; j < count; ++j) y[i + j] = numbers[j] >= ratio ? x[i + j] * scale : T{0};
  }
}

void dropout_any(const KernelContext& context, ConstTensorView x, TensorView y, float ratio, uint64_t key, uint64_t counter) {
  visit_float(x.dtype, [&]<class T>() {
    const T* in = x.as<T>().data();
    T* out = y.as<T>().data();
    const T scale = static_cast<T>(1 / (1 - static_cast<double>(ratio)));
    const int64_t n = x.elements(), chunks = ceil_div(n, kChunk);
#pragma omp parallel for num_threads(context.threads) if (chunks > 1)
    for (int64_t chunk = 0; chunk < chunks; ++chunk)
      drop(in, out, chunk * kChunk, std::min(n, (chunk + 1) * kChunk), ratio, scale, key, counter);
  });
}

}  // namespace tandem::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tandem::cpu {

HWY_EXPORT(dropout_any);

void random_dropout(const KernelContext& context, ConstTensorView x, TensorView y, float ratio, uint64_t key,
                    ConstTensorView counter) {
  simd::choose_targets();
  HWY_DYNAMIC_DISPATCH(dropout_any)(context, x, y, ratio, key, static_cast<uint64_t>(counter.as<int64_t>()[0]));
}

}  // namespace tandem::cpu
#endif
