// Four elements share one call of Philox; chunks of a fixed size are shared by the threads.
#include "kernels/api/dropout.h"

#include <algorithm>

#include "kernels/base/philox.h"

namespace tandem::cpu {
namespace {
constexpr int64_t kChunk = 16 * 1024;  // elements, a multiple of 4
}

void random_dropout(const KernelContext& context, ConstTensorView x, TensorView y, float ratio, uint64_t key, uint64_t counter) {
  visit_float(x.dtype, [&]<class T>() {
    const T* in = x.as<T>().data();
    T* out = y.as<T>().data();
    const T scale = static_cast<T>(1 / (1 - static_cast<double>(ratio)));
    const int64_t n = x.elements(), chunks = ceil_div(n, kChunk);
#pragma omp parallel for num_threads(context.threads) if (chunks > 1)
    for (int64_t chunk = 0; chunk < chunks; ++chunk) {
      const int64_t last = std::min(n, (chunk + 1) * kChunk);
      for (int64_t i = chunk * kChunk; i < last; i += 4) {
        const auto words = philox(key, static_cast<uint64_t>(i / 4), counter);
        for (int64_t j = 0; j < std::min<int64_t>(4, last - i); ++j)
          out[i + j] = unit_float(words[static_cast<size_t>(j)]) >= ratio ? in[i + j] * scale : T{0};
      }
    }
  });
}

}  // namespace tandem::cpu
