// Four elements a thread: the four words of one Philox counter. x is read once and y written once, 16 bytes an access for f32.
#include "kernels/api/dropout.h"

#include "kernels/base/philox.h"
#include "kernels/cuda/device/grid.cuh"
#include "kernels/cuda/device/number.cuh"
#include "kernels/cuda/device/vector.cuh"

namespace tandem::cuda {
namespace {

constexpr int kWords = 4;

template <class T>
__device__ Vector<T, kWords> dropped(Vector<T, kWords> x, float ratio, Compute<T> scale, uint64_t key, int64_t group,
                                     uint64_t counter) {
  const std::array<uint32_t, kWords> words = philox(key, static_cast<uint64_t>(group), counter);
#pragma unroll
  for (int j = 0; j < kWords; ++j)
    x.at[j] = narrow<T>(unit_float(words[static_cast<size_t>(j)]) >= ratio ? widen(x.at[j]) * scale : Compute<T>{0});
  return x;
}

// Groups of four elements; `vectors` of them are read and written whole.
template <class T>
__global__ void __launch_bounds__(kBlock) dropout_groups(const T* x, T* y, int64_t n, int64_t vectors, float ratio,
                                                         Compute<T> scale, uint64_t key, const int64_t* step) {
  constexpr int kWidth = sizeof(T) == 8 ? 2 : kWords;  // elements of an access
  const uint64_t counter = static_cast<uint64_t>(*step);
  const int64_t groups = (n + kWords - 1) / kWords;
  for (int64_t group = first_index(); group < groups; group += index_stride()) {
    Vector<T, kWords> values = {};
    const int64_t first = group * kWords;
    if (group < vectors) {
#pragma unroll
      for (int j = 0; j < kWords; j += kWidth) {
        const Vector<T, kWidth> part = load_vector<kWidth>(x + first + j);
        for (int k = 0; k < kWidth; ++k) values.at[j + k] = part.at[k];
      }
    } else {
#pragma unroll
      for (int j = 0; j < kWords; ++j)
        if (first + j < n) values.at[j] = x[first + j];
    }
    values = dropped(values, ratio, scale, key, group, counter);
    if (group < vectors) {
#pragma unroll
      for (int j = 0; j < kWords; j += kWidth) {
        Vector<T, kWidth> part;
        for (int k = 0; k < kWidth; ++k) part.at[k] = values.at[j + k];
        store_vector(y + first + j, part);
      }
    } else {
#pragma unroll
      for (int j = 0; j < kWords; ++j)
        if (first + j < n) y[first + j] = values.at[j];
    }
  }
}

}  // namespace

void random_dropout(const KernelContext& context, ConstTensorView x, TensorView y, float ratio, uint64_t key,
                    ConstTensorView counter) {
  cuda::visit_float(x.dtype, [&]<class T>() {
    const T* in = x.as<T>().data();
    T* out = y.as<T>().data();
    const int64_t n = x.elements(), vectors = is_aligned(in, kWords) && is_aligned(out, kWords) ? n / kWords : 0;
    const auto scale = static_cast<Compute<T>>(1 / (1 - static_cast<double>(ratio)));
    launch<dropout_groups<T>>(context, grid_for(ceil_div(n, kWords)), in, out, n, vectors, ratio, scale, key,
                              counter.as<int64_t>().data());
  });
}

}  // namespace tandem::cuda
