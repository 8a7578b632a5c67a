// Rows are independent: threads share batch x rows, and turn the row of every head by the same angles.
#include "kernels/api/rotary.h"

#include "kernels/cpu/parallel.h"

namespace tandem::cpu {
namespace {

// Both layouts of x, as one with strides.
struct Layout {
  int64_t batch, heads, rows, size;
  int64_t head_stride, row_stride;
};

Layout layout_of(const Shape& x, int64_t heads) {
  if (x.rank() == 4) return {x[0], x[1], x[2], x[3], x[2] * x[3], x[3]};
  require(x.rank() == 3 && heads > 0 && x[2] % heads == 0,
          "rotary embedding needs rank 4, or rank 3 and a number of heads that divides", to_string(x), heads);
  return {x[0], heads, x[1], x[2] / heads, x[2] / heads, x[2]};
}

void check_angles(const RotaryViews& views, const Layout& of, int64_t half) {
  const Shape& cos = views.cos.shape;
  require(cos == views.sin.shape && cos.rank() >= 1 && cos[cos.rank() - 1] == half,
          "cos and sin must have one shape, with half the rotated size last (cos, sin, half)", to_string(cos),
          to_string(views.sin.shape), half);
  if (!views.positions) {
    require(cos == Shape({of.batch, of.rows, half}), "without positions cos and sin must be [batch, rows, half]", to_string(cos));
    return;
  }
  require(cos.rank() == 2 && views.positions.shape == Shape({of.batch, of.rows}),
          "with positions [batch, rows] cos and sin must be of rank 2", to_string(cos), to_string(views.positions.shape));
  for (int64_t position : views.positions.as<int64_t>())
    require(position >= 0 && position < cos[0], "position is outside cos and sin (position, rows)", position, cos[0]);
}

template <class T>
void turn(const T* x, const T* cos, const T* sin, T* y, int64_t half, int64_t second, int64_t step) {
  for (int64_t i = 0; i < half; ++i) {
    const T a = x[i * step], b = x[i * step + second];
    y[i * step] = cos[i] * a - sin[i] * b;
    y[i * step + second] = sin[i] * a + cos[i] * b;
  }
}

// Where the row of x finds its angles: those of a broadcast axis are those of its first index.
int64_t row_of_angles(int64_t row, const Shape& x, const Shape& angles) {
  int64_t at = 0, stride = 1;
  for (int axis = x.rank() - 2, own = angles.rank() - 2; own >= 0; --axis, --own) {
    if (angles[own] != 1) at += row % x[axis] * stride;
    row /= x[axis];
    stride *= angles[own];
  }
  return at;
}

// row(x, cos, sin, y) for each row of an even size.
template <class Row>
void rotate_rows(const KernelContext& context, const RotaryViews& views, Row row) {
  const Shape &x_shape = views.x.shape, &angles = views.cos.shape;
  const int64_t size = x_shape[x_shape.rank() - 1], rows = size == 0 ? 0 : x_shape.elements() / size;
  const float *x = views.x.as<float>().data(), *cos = views.cos.as<float>().data(), *sin = views.sin.as<float>().data();
  float* y = views.y.as<float>().data();
  parallel_chunks(context, rows, grain_of(size), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t angle = row_of_angles(r, x_shape, angles) * size;
      row(x + r * size, cos + angle, sin + angle, y + r * size);
    }
  });
}

}  // namespace

void rotate_halves(const KernelContext& context, const RotaryViews& views) {
  const int64_t half = views.x.shape[views.x.shape.rank() - 1] / 2;
  rotate_rows(context, views, [=](const float* in, const float* cos, const float* sin, float* out) {
    for (int64_t i = 0; i < half; ++i) {
      const float a = in[i], b = in[i + half];
      out[i] = a * cos[i] - b * sin[i];
      out[i + half] = b * cos[i + half] + a * sin[i + half];
    }
  });
}

void rotate_pairs(const KernelContext& context, const RotaryViews& views) {
  const int64_t size = views.x.shape[views.x.shape.rank() - 1];
  rotate_rows(context, views, [=](const float* in, const float* cos, const float* sin, float* out) {
    for (int64_t i = 0; i < size; i += 2) {
      const float a = in[i], b = in[i + 1];
      out[i] = a * cos[i] - b * sin[i];
      out[i + 1] = b * cos[i + 1] + a * sin[i + 1];
    }
  });
}

void rotary_embedding(const KernelContext& context, const RotaryViews& views, const RotaryOptions& options) {
  const Layout of = layout_of(views.x.shape, options.heads);
  const int64_t rotated = options.rotated > 0 ? options.rotated : of.size, half = rotated / 2;
  require(rotated <= of.size && rotated % 2 == 0, "the rotated size must be even and within a head (rotated, size)", rotated,
          of.size);
  check_angles(views, of, half);
  visit_float(views.x.dtype, [&]<class T>() {
    const T *x = views.x.as<T>().data(), *cos = views.cos.as<T>().data(), *sin = views.sin.as<T>().data();
    const int64_t* positions = views.positions ? views.positions.as<int64_t>().data() : nullptr;
    T* y = views.y.as<T>().data();
    parallel_chunks(context, of.batch * of.rows, grain_of(of.heads * of.size), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t angle = (positions ? positions[i] : i) * half;
        int64_t at = i / of.rows * of.heads * of.rows * of.size + i % of.rows * of.row_stride;
        for (int64_t h = 0; h < of.heads; ++h, at += of.head_stride) {
          if (options.interleaved)
            turn(x + at, cos + angle, sin + angle, y + at, half, 1, 2);
          else
            turn(x + at, cos + angle, sin + angle, y + at, half, half, 1);
          if (y != x) std::copy_n(x + at + rotated, of.size - rotated, y + at + rotated);
        }
      }
    });
  });
}

}  // namespace tandem::cpu
