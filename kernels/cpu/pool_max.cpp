// Max pooling. A line of outputs keeps its best value, and where that was, while the taps pass over it in scan order; only a strictly
// larger value (or the first NaN) replaces the best, so the first maximum wins.
#include <array>
#include <limits>

#include "kernels/api/pool.h"
#include "kernels/cpu/pool_lines.h"
#include "kernels/cpu/pool_quads.h"

namespace tandem::cpu {
namespace {

// The best of one part of a line. Positions count within the plane; 32 bits, so that they travel beside f32 values.
template <class T>
struct Best {
  std::array<T, kLinePart> value;
  std::array<int32_t, kLinePart> at;
};

// What an empty window gives, and nothing is below.
template <class T>
constexpr T lowest() {
  return std::numeric_limits<T>::has_infinity ? -std::numeric_limits<T>::infinity() : std::numeric_limits<T>::lowest();
}

// One tap over `count` outputs. The stride is a type where it is 1 or 2, so that the compiler makes vectors.
template <bool kPositions, class T, class Stride>
void pass_tap(const T* challenger, Stride stride, int32_t origin, int64_t count, T* __restrict value, int32_t* __restrict at) {
  for (int64_t i = 0; i < count; ++i) {
    const T v = challenger[i * stride];
    if constexpr (kPositions) {
      const bool wins = beats(v, value[i]) | (at[i] < 0);
      at[i] = wins ? origin + static_cast<int32_t>(i * stride) : at[i];
      value[i] = wins ? v : value[i];
    } else {
      value[i] = beats(v, value[i]) ? v : value[i];
    }
  }
}

template <bool kPositions, class T>
void find_best(const Window& w, const T* x, const LinePart& part, Best<T>& best) {
  std::fill_n(best.value.begin(), part.count, lowest<T>());
  if (kPositions) std::fill_n(best.at.begin(), part.count, -1);
  for_each_tap_of(w, part, [&](int64_t first, int64_t last, int64_t source) {
    const auto pass = [&](auto stride) {
      pass_tap<kPositions>(x + source, stride, static_cast<int32_t>(source), last - first, best.value.data() + first, best.at.data() + first);
    };
    if (w.stride[2] == 1) pass(std::integral_constant<int64_t, 1>());
    else if (w.stride[2] == 2) pass(std::integral_constant<int64_t, 2>());
    else pass(w.stride[2]);
  });
}

// The position of an input pixel with the spatial axes flattened first axis fastest.
int64_t column_major(const Window& w, int64_t at) {
  const int64_t column = at % w.input[2], line = at / w.input[2] % w.input[1], depth = at / (w.input[1] * w.input[2]);
  return (column * w.input[1] + line) * w.input[0] + depth;
}

void check_plane(const Window& w) {
  require(w.input_size() <= std::numeric_limits<int32_t>::max(), "plane is too large for max pooling", w.input_size());
}

}  // namespace

void max_pool(const KernelContext& context, const Window& w, ConstTensorView x, TensorView y, TensorView indices, bool by_column) {
  check_pool(w, x.shape, y.shape);
  check_plane(w);
  visit_number(x.dtype, [&]<class T>() {
    const T* in = x.as<T>().data();
    T* out = y.as<T>().data();
    int64_t* positions = indices ? indices.as<int64_t>().data() : nullptr;
    for_each_plane(context, w, x.shape, [&](int64_t plane) {
      Best<T> best;
      for_each_part(w, [&](const LinePart& part) {
        const int64_t first = plane * w.output_size() + part.first(w);
        if (!positions) {
          find_best<false>(w, in + plane * w.input_size(), part, best);
        } else {
          find_best<true>(w, in + plane * w.input_size(), part, best);
          for (int64_t i = 0; i < part.count; ++i) {
            const int64_t at = best.at[static_cast<size_t>(i)];
            positions[first + i] = at < 0 ? -1 : plane * w.input_size() + (by_column ? column_major(w, at) : at);
          }
        }
        std::copy_n(best.value.begin(), part.count, out + first);
      });
    });
  });
}

void max_pool_grad(const KernelContext& context, const Window& w, ConstTensorView x, ConstTensorView dy, TensorView dx) {
  check_pool(w, x.shape, dy.shape);
  check_pool(w, dx.shape, dy.shape);
  check_plane(w);
  visit_float(x.dtype, [&]<class T>() {
    const T *in = x.as<T>().data(), *grads = dy.as<T>().data();
    T* out = dx.as<T>().data();
    for_each_plane(context, w, x.shape, [&](int64_t plane) {
      T* target = out + plane * w.input_size();
      std::fill_n(target, w.input_size(), T(0));
      if (has_quads(w)) {
        const T* grad = grads + plane * w.output_size();
        return for_each_quad(w, in + plane * w.input_size(), [=](int64_t output, int64_t input) { target[input] = grad[output]; });
      }
      Best<T> best;
      for_each_part(w, [&](const LinePart& part) {
        find_best<true>(w, in + plane * w.input_size(), part, best);
        const T* grad = grads + plane * w.output_size() + part.first(w);
        for (int64_t i = 0; i < part.count; ++i)
          if (const int32_t at = best.at[static_cast<size_t>(i)]; at >= 0) target[at] += grad[i];
      });
    });
  });
}

}  // namespace tandem::cpu
