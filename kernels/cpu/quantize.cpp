// A tensor is cut into runs of neighbours that have one scale, or whose scales are neighbours too. A run is done in blocks: x,
// scale and zero point to f32, the arithmetic, and from there to the type of y.
#include "kernels/api/quantize.h"

#include <algorithm>
#include <array>
#include <limits>

#include "kernels/api/convert.h"
#include "kernels/base/dtype_families.h"
#include "kernels/cpu/element_converter.h"
#include "kernels/cpu/gemm/integer_tier.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd/row.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kBlock = 512;

struct Run {
  int64_t element, scale, count;
};

class Runs {
 public:
  explicit Runs(const QuantizationGrid& grid) : grid_(grid) {
    // Along an innermost axis: whole blocks have one scale; without blocks the scales themselves are a run.
    if (grid_.inner == 1 && grid_.block == 1) {
      grid_ = {.outer = grid.outer, .inner = grid.length, .outer_stride = grid.outer_stride, .inner_stride = grid.block_stride};
    } else if (grid_.inner == 1) {
      in_axis_ = true;
    }
    longest_ = in_axis_ ? std::min(grid_.block, grid_.length) : grid_.inner;
    per_outer_ = in_axis_ ? ceil_div(grid_.length, grid_.block) : grid_.length;
    pieces_ = ceil_div(longest_, kBlock);
  }

  int64_t step() const { return in_axis_ ? 0 : grid_.inner_stride; }  // from one scale of a run to the next
  int64_t count() const { return grid_.outer * per_outer_ * pieces_; }
  int64_t grain() const { return grain_of(std::min(longest_, kBlock)); }

  // At most kBlock elements; may be empty.
  Run operator[](int64_t i) const {
    const int64_t piece = i % pieces_ * kBlock, row = i / pieces_ % per_outer_, outer = i / pieces_ / per_outer_;
    const int64_t first = in_axis_ ? row * grid_.block : row * grid_.inner;
    const int64_t length = in_axis_ ? std::min(grid_.block, grid_.length - first) : grid_.inner;
    const int64_t block = in_axis_ ? row : row / grid_.block;
    return {outer * grid_.length * grid_.inner + first + piece,
            outer * grid_.outer_stride + block * grid_.block_stride + piece * step(), std::min(kBlock, length - piece)};
  }

 private:
  QuantizationGrid grid_;
  bool in_axis_ = false;
  int64_t longest_, per_outer_, pieces_;
};

// The elements of a tensor as f32, a block at a time.
class Floats {
 public:
  explicit Floats(ConstTensorView view)
      : data_(view.data),
        size_(static_cast<int64_t>(size_of(view.dtype))),
        convert_(view ? view.dtype : DType::kF32, DType::kF32),
        is_f32_(view.dtype == DType::kF32) {}
  const float* operator()(int64_t first, int64_t count, float* buffer) const {
    if (!data_) return std::fill_n(buffer, count, 0.0f), buffer;
    if (is_f32_) return reinterpret_cast<const float*>(data_) + first;
    convert_(data_ + first * size_, reinterpret_cast<std::byte*>(buffer), count);
    return buffer;
  }

 private:
  const std::byte* data_;
  int64_t size_;
  ElementConverter convert_;
  bool is_f32_;
};

// What one block works on: x, and scale and zero point (one each, or one an element).
struct Block {
  const float *x, *scale, *zero;
  int64_t count;
};

class BlockReader {
 public:
  BlockReader(const Runs& runs, ConstTensorView x, ConstTensorView scale, ConstTensorView zero)
      : step_(runs.step()), x_(x), scale_(scale), zero_(zero) {}
  Block read(const Run& run) {
    const int64_t scales = step_ ? run.count : 1;
    return {x_(run.element, run.count, xs_.data()), scale_(run.scale, scales, scales_.data()),
            zero_(run.scale, scales, zeros_.data()), run.count};
  }

 private:
  int64_t step_;
  Floats x_, scale_, zero_;
  std::array<float, kBlock> xs_, scales_, zeros_;
};

// out[i] = x[i] / scale[i]
void divide(const Block& b, int64_t step, float* out) {
  if (step) {
    for (int64_t i = 0; i < b.count; ++i) out[i] = b.x[i] / b.scale[i];
  } else {
    const float scale = *b.scale;
    for (int64_t i = 0; i < b.count; ++i) out[i] = b.x[i] / scale;
  }
}

void round_to(DType precision, float* x, int64_t n) {
  if (precision == DType::kF16)
    for (int64_t i = 0; i < n; ++i) x[i] = to_float(to_f16(x[i]));
  if (precision == DType::kBF16)
    for (int64_t i = 0; i < n; ++i) x[i] = to_float(to_bf16(x[i]));
}

template <class Q>
Q from_integer(int32_t x) {
  if constexpr (kIsNarrowInteger<Q>)
    return to_narrow<Q>(x);
  else
    return static_cast<Q>(x);
}

template <class Q>
void encode(const float* quotient, const Block& b, int64_t step, bool saturate, Q* y) {
  if constexpr (kIsNarrowFloat<Q>) {
    for (int64_t i = 0; i < b.count; ++i)
      y[i] = to_narrow<Q>(static_cast<double>(quotient[i] + b.zero[i * step]), {.saturate = saturate});
  } else {
    const IntegerRange range = quantized_range(dtype_of<Q>);
    const float zero = *b.zero;
    if (step)
      for (int64_t i = 0; i < b.count; ++i) y[i] = from_integer<Q>(quantized(quotient[i], b.zero[i], range));
    else
      for (int64_t i = 0; i < b.count; ++i) y[i] = from_integer<Q>(quantized(quotient[i], zero, range));
  }
}

template <class F>
void visit_quantized(DType t, F&& f) {
  switch (t) {
    case DType::kU8: return f.template operator()<uint8_t>();
    case DType::kI8: return f.template operator()<int8_t>();
    case DType::kU16: return f.template operator()<uint16_t>();
    case DType::kI16: return f.template operator()<int16_t>();
    default: return visit_narrow(t, f);
  }
}

bool is_byte(DType type) { return type == DType::kU8 || type == DType::kI8; }
// Bytes and f32, one scale: the vectors of the tier do it.
bool is_plain(const QuantizationGrid& grid, ConstTensorView bytes, ConstTensorView floats, ConstTensorView scale) {
  const bool one_scale = grid.outer_stride == 0 && grid.block_stride == 0 && grid.inner_stride == 0;
  return one_scale && is_byte(bytes.dtype) && floats.dtype == DType::kF32 && scale.dtype == DType::kF32;
}
int32_t zero_of(ConstTensorView zero) {
  return !zero ? 0 : zero.dtype == DType::kI8 ? static_cast<int8_t>(*zero.data) : static_cast<int32_t>(*zero.data);
}

}  // namespace

void quantize_linear(const KernelContext& context, const QuantizationGrid& grid, ConstTensorView x, ConstTensorView scale,
                     ConstTensorView zero, TensorView y, QuantizeOptions options) {
  if (x.elements() == 0) return;
  if (options.precision == DType::kF32 && is_plain(grid, y, x, scale)) {
    const float* from = x.as<float>().data();
    const float unit = scale.as<float>()[0], shift = static_cast<float>(zero_of(zero));
    return parallel_chunks(context, x.elements(), kGrain, [&](int64_t begin, int64_t end) {
      integer_tier(chosen_isa()).quantize(from + begin, end - begin, unit, shift, quantized_range(y.dtype), y.data + begin);
    });
  }
  const Runs runs(grid);
  visit_quantized(y.dtype, [&]<class Q>() {
    Q* out = y.as<Q>().data();
    parallel_chunks(context, runs.count(), runs.grain(), [&](int64_t begin, int64_t end) {
      BlockReader reader(runs, x, scale, zero);
      std::array<float, kBlock> quotients;
      for (int64_t r = begin; r < end; ++r) {
        const Run run = runs[r];
        if (run.count <= 0) continue;
        const Block block = reader.read(run);
        divide(block, runs.step(), quotients.data());
        round_to(options.precision, quotients.data(), run.count);
        encode(quotients.data(), block, runs.step(), options.saturate, out + run.element);
      }
    });
  });
}

void dequantize_linear(const KernelContext& context, const QuantizationGrid& grid, ConstTensorView x, ConstTensorView scale,
                       ConstTensorView zero, TensorView y) {
  if (x.elements() == 0) return;
  if (is_plain(grid, x, y, scale)) {
    // i8 as u8, whose zero point is 128 more: the differences are the same.
    const bool is_signed = x.dtype == DType::kI8;
    const LineOperand line = {x.data, 1, is_signed ? std::byte{0x80} : std::byte{0}, scale.as<float>()[0],
                              zero_of(zero) + (is_signed ? 128 : 0)};
    float* out = y.as<float>().data();
    return parallel_chunks(context, x.elements(), kGrain, [&](int64_t begin, int64_t end) {
      LineOperand part = line;
      part.data += begin;
      integer_tier(chosen_isa()).dequantize(part, end - begin, out + begin);
    });
  }
  const Runs runs(grid);
  const ElementConverter finish(DType::kF32, y.dtype);
  const auto size = static_cast<int64_t>(size_of(y.dtype));
  parallel_chunks(context, runs.count(), runs.grain(), [&](int64_t begin, int64_t end) {
    BlockReader reader(runs, x, scale, zero);
    std::array<float, kBlock> products;
    for (int64_t r = begin; r < end; ++r) {
      const Run run = runs[r];
      if (run.count <= 0) continue;
      const Block b = reader.read(run);
      if (runs.step()) {
        for (int64_t i = 0; i < b.count; ++i) products[static_cast<size_t>(i)] = dequantized(b.x[i], b.zero[i], b.scale[i]);
      } else {
        const float s = *b.scale, z = *b.zero;
        for (int64_t i = 0; i < b.count; ++i) products[static_cast<size_t>(i)] = dequantized(b.x[i], z, s);
      }
      finish(reinterpret_cast<const std::byte*>(products.data()), y.data + run.element * size, run.count);
    }
  });
}

void dynamic_quantize_linear(const KernelContext& context, ConstTensorView x, TensorView y, TensorView scale, TensorView zero) {
  const float* values = x.as<float>().data();
  const int64_t n = x.elements();
  float low = 0, high = 0;
  const auto& ops = simd::row_ops<float>();
#pragma omp parallel for num_threads(context.threads) if (n > kGrain) reduction(min : low) reduction(max : high)
  for (int64_t first = 0; first < n; first += kGrain) {
    const simd::Range<float> range = ops.range(values + first, std::min(kGrain, n - first));
    low = std::min(low, range.lowest);
    high = std::max(high, range.highest);
  }
  const Quantization chosen = dynamic_quantization(low, high);
  scale.as<float>()[0] = chosen.scale;
  zero.as<uint8_t>()[0] = chosen.zero;
  quantize_linear(context, make_grid(x.shape, {}, 0, 0), x, scale, zero, y);
}

}  // namespace tandem::cpu
