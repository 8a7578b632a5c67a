// Raw columns are a handful wide: each kernel goes over its output once, in order. Tables come by value in the kernel's arguments
// and, where threads of a warp look at different entries, are copied to shared memory first; a table that does not fit is cut,
// one launch a piece. Labels are found by looking through the keys: as many comparisons an element as there are keys.
#include "kernels/api/encoders.h"

#include "kernels/cuda/device/divide.cuh"
#include "kernels/cuda/device/map.cuh"
#include "kernels/cuda/device/reduce.cuh"

namespace tandem::cuda {
namespace {

constexpr int64_t kTableSize = 384, kLabels = 192;  // entries of a launch: about 3 KiB of the 4 KiB that arguments may take

template <class T>
struct Table {
  T at[kTableSize];
};

// Some features of all elements: [outer, count, inner] inside of [outer, length, inner], from feature `first` on.
struct FeatureRange {
  int64_t length, first, stride;
  Divisor count, inner;

  // The offset of element i of the range; `feature` is counted from `first`.
  __device__ int64_t locate(int64_t i, int64_t& feature) const {
    const int64_t column = inner.divide(i);
    feature = count.divide(i);
    return (i * length + first + feature) * stride + column;
  }
};

// Calls run(range, first, count, elements) for pieces of at most kTableSize features; if the tables have one value for all, for
// one piece with one feature.
template <class Run>
void for_each_piece(const Shape& shape, bool one_value, Run run) {
  const int64_t n = shape.elements();
  if (n == 0) return;
  if (one_value) return run(FeatureRange{1, 0, n, Divisor(1), Divisor(n)}, int64_t{0}, int64_t{1}, n);
  const AxisView view = feature_view(shape);
  for (int64_t first = 0; first < view.length; first += kTableSize) {
    const int64_t count = std::min(kTableSize, view.length - first);
    run(FeatureRange{view.length, first, view.inner, Divisor(count), Divisor(view.inner)}, first, count,
        view.outer * count * view.inner);
  }
}

void check_values(size_t values, const Shape& shape) {
  const int64_t features = feature_view(shape).length;
  require(values == 1 || static_cast<int64_t>(values) == features, "one value or one a feature is needed (values, features)",
          values, features);
}

// `count` values from `first` on, or the only one as often.
template <class T>
Table<T> table_of(std::span<const T> values, int64_t first, int64_t count) {
  Table<T> table;
  for (int64_t f = 0; f < count; ++f) table.at[f] = values[values.size() == 1 ? 0 : static_cast<size_t>(first + f)];
  return table;
}

template <class T>
__device__ void copy_table(const Table<T>& from, T* to, int64_t count) {
  for (int64_t i = threadIdx.x; i < count; i += kBlock) to[i] = from.at[i];
}

template <class T>
__global__ void __launch_bounds__(kBlock) impute_features(const __grid_constant__ Table<T> imputed, T replaced,
                                                          FeatureRange range, const T* x, T* y, int64_t count, int64_t n) {
  __shared__ T values[kTableSize];
  copy_table(imputed, values, count);
  __syncthreads();
  const Compute<T> missing = widen(replaced);
  for (int64_t i = first_index(); i < n; i += index_stride()) {
    int64_t feature;
    const int64_t at = range.locate(i, feature);
    const T value = x[at];
    const Compute<T> number = widen(value);
    y[at] = number == missing || (missing != missing && number != number) ? values[feature] : value;
  }
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    scale_range(const __grid_constant__ Table<float> offset, const __grid_constant__ Table<float> scale, FeatureRange range,
                const T* x, float* y, int64_t count, int64_t n) {
  __shared__ float offsets[kTableSize], scales[kTableSize];
  copy_table(offset, offsets, count);
  copy_table(scale, scales, count);
  __syncthreads();
  for (int64_t i = first_index(); i < n; i += index_stride()) {
    int64_t feature;
    const int64_t at = range.locate(i, feature);
    y[at] = (static_cast<float>(widen(x[at])) - offsets[feature]) * scales[feature];
  }
}

// One warp a row. The sum is taken in f64, as on the CPU.
template <class T>
__global__ void __launch_bounds__(kBlock)
    normalize_rows(const T* x, float* y, int64_t rows, int64_t length, int64_t inner, FeatureNorm norm) {
  constexpr int kWarps = kBlock / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (int64_t row = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32; row < rows;
       row += static_cast<int64_t>(gridDim.x) * kWarps) {
    const int64_t first = row / inner * length * inner + row % inner;
    double sum = 0, peak = -INFINITY;
    for (int64_t i = lane; i < length; i += 32) {
      const double number = static_cast<double>(widen(x[first + i * inner]));
      peak = peak < number ? number : peak;
      sum += norm == FeatureNorm::kL1 ? fabs(number) : number * number;
    }
    sum = warp_reduce(sum, Sum());
    peak = warp_reduce(peak, [](double a, double b) { return a < b ? b : a; });
    const float size = static_cast<float>(norm == FeatureNorm::kMax ? peak : norm == FeatureNorm::kL1 ? sum : sqrt(sum));
    const float divisor = size == 0 ? 1 : size;
    for (int64_t i = lane; i < length; i += 32) y[first + i * inner] = static_cast<float>(widen(x[first + i * inner])) / divisor;
  }
}

struct Above {
  double threshold;
  template <class C>
  __device__ C operator()(C x) const {
    return static_cast<double>(x) > threshold ? C{1} : C{0};
  }
};

// Whether x, truncated, is an integer, and which.
template <class T>
__device__ bool truncate(T x, int64_t& whole) {
  const auto number = widen(x);
  using C = decltype(number);
  if constexpr (!std::is_integral_v<std::remove_const_t<C>>)
    if (!(number > static_cast<C>(-0x1p63) && number < static_cast<C>(0x1p63))) return false;
  whole = static_cast<int64_t>(number);
  return true;
}

struct Categories {
  int64_t at[kTableSize];
  bool counts[kTableSize];  // false: the category stands earlier in the list, too
};

template <class T>
__global__ void __launch_bounds__(kBlock) mark_categories(const __grid_constant__ Categories categories, const T* x, float* y,
                                                          Divisor count, int64_t first, int64_t width, int64_t n) {
  for (int64_t i = first_index(); i < n; i += index_stride()) {
    int64_t element = i, whole = 0;
    const int64_t category = count.divide(element);
    const bool is_there = truncate(x[element], whole) && categories.counts[category] && whole == categories.at[category];
    y[element * width + first + category] = is_there ? 1.0f : 0.0f;
  }
}

// A row of zeros becomes NaN. One warp a row.
__global__ void __launch_bounds__(kBlock) show_unknown(float* y, int64_t rows, int64_t width) {
  constexpr int kWarps = kBlock / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  for (int64_t row = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / 32; row < rows;
       row += static_cast<int64_t>(gridDim.x) * kWarps) {
    int known = 0;
    for (int64_t i = lane; i < width; i += 32) known = known || y[row * width + i] != 0;
    if (warp_reduce(known, Max())) continue;
    for (int64_t i = lane; i < width; i += 32) y[row * width + i] = NAN;
  }
}

template <class Value>
struct Labels {
  uint64_t keys[kLabels];
  Value values[kLabels];
  Value fallback;
  int count = 0;
};

// The first piece of the table gives the fallback, too; later ones leave what they do not know.
template <class Key, class Value>
__global__ void __launch_bounds__(kBlock)
    find_labels(const __grid_constant__ Labels<Value> labels, const Key* x, Value* y, bool first, int64_t n) {
  for (int64_t i = first_index(); i < n; i += index_stride()) {
    const uint64_t key = key_pattern(widen(x[i]));
    int k = 0;
    while (k < labels.count && labels.keys[k] != key) ++k;
    if (k < labels.count)
      y[i] = labels.values[k];
    else if (first)
      y[i] = labels.fallback;
  }
}

constexpr int kMostColumns = 96;

// Inputs side by side; each fills the columns from its start to the next one's.
struct Columns {
  struct Input {
    const void* data;
    int64_t start, width;  // in y, counted from the first input's; of the input itself
    DType dtype;
  };
  Input inputs[kMostColumns];
  int count = 0;
};

__device__ float number_at(const void* data, DType dtype, int64_t i) {
  switch (dtype) {
    case DType::kF32: return static_cast<const float*>(data)[i];
    case DType::kF64: return static_cast<float>(static_cast<const double*>(data)[i]);
    case DType::kF16: return widen(static_cast<const F16*>(data)[i]);
    case DType::kBF16: return widen(static_cast<const BF16*>(data)[i]);
    case DType::kI32: return static_cast<float>(static_cast<const int32_t*>(data)[i]);
    case DType::kI64: return static_cast<float>(static_cast<const int64_t*>(data)[i]);
    case DType::kU8: return static_cast<float>(static_cast<const uint8_t*>(data)[i]);
    case DType::kI8: return static_cast<float>(static_cast<const int8_t*>(data)[i]);
    default: return NAN;
  }
}

__global__ void __launch_bounds__(kBlock)
    join_columns(const __grid_constant__ Columns columns, float* y, Divisor width, int64_t row_width, int64_t n) {
  for (int64_t i = first_index(); i < n; i += index_stride()) {
    int64_t row = i;
    const int64_t column = width.divide(row);
    int low = 0, high = columns.count;
    while (high - low > 1) {
      const int middle = (low + high) / 2;
      columns.inputs[middle].start <= column ? low = middle : high = middle;
    }
    const Columns::Input& input = columns.inputs[low];
    const int64_t at = column - input.start;
    y[row * row_width + column] = at < input.width ? number_at(input.data, input.dtype, row * input.width + at) : 0.0f;
  }
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    pick_columns(const T* x, const int64_t* indices, T* y, Divisor kept, int64_t width, int64_t n) {
  for (int64_t i = first_index(); i < n; i += index_stride()) {
    int64_t row = i;
    const int64_t index = indices[kept.divide(row)];
    y[i] = index >= 0 && index < width ? x[row * width + index] : T{};
  }
}

Grid warp_grid(int64_t rows) { return {.blocks = std::min<int64_t>(ceil_div(rows, kBlock / 32), 132 * 32), .threads = kBlock}; }

}  // namespace

void impute(const KernelContext& context, ConstTensorView x, TensorView y, ConstTensorView replaced, ConstTensorView imputed) {
  check_values(static_cast<size_t>(imputed.elements()), x.shape);
  cuda::visit_number(x.dtype, [&]<class T>() {
    const std::span<const T> values = imputed.as<T>();
    for_each_piece(x.shape, values.size() == 1, [&](const FeatureRange& range, int64_t first, int64_t count, int64_t n) {
      launch<impute_features<T>>(context, grid_for(n), table_of(values, first, count), replaced.as<T>()[0], range,
                                 x.as<T>().data(), y.as<T>().data(), count, n);
    });
  });
}

void scale_features(const KernelContext& context, ConstTensorView x, TensorView y, std::span<const float> offset,
                    std::span<const float> scale) {
  check_values(offset.size(), x.shape);
  check_values(scale.size(), x.shape);
  cuda::visit_number(x.dtype, [&]<class T>() {
    for_each_piece(x.shape, offset.size() == 1 && scale.size() == 1,
                   [&](const FeatureRange& range, int64_t first, int64_t count, int64_t n) {
                     launch<scale_range<T>>(context, grid_for(n), table_of(offset, first, count), table_of(scale, first, count),
                                            range, x.as<T>().data(), y.as<float>().data(), count, n);
                   });
  });
}

void normalize_features(const KernelContext& context, ConstTensorView x, TensorView y, FeatureNorm norm) {
  const AxisView view = feature_view(x.shape);
  if (x.elements() == 0) return;
  const int64_t rows = view.outer * view.inner;
  cuda::visit_number(x.dtype, [&]<class T>() {
    launch<normalize_rows<T>>(context, warp_grid(rows), x.as<T>().data(), y.as<float>().data(), rows, view.length, view.inner,
                              norm);
  });
}

void binarize(const KernelContext& context, ConstTensorView x, TensorView y, float threshold) {
  cuda::visit_number(x.dtype, [&]<class T>() {
    map_flat(context, Above{static_cast<double>(threshold)}, y.as<T>().data(), x.elements(), x.as<T>().data());
  });
}

void one_hot_encode(const KernelContext& context, ConstTensorView x, TensorView y, const KeyIndex& categories,
                    bool refuse_unknown) {
  const auto patterns = categories.patterns();
  const int64_t width = categories.size(), elements = x.elements();
  float* out = y.as<float>().data();
  cuda::visit_number(x.dtype, [&]<class T>() {
    for (int64_t first = 0; first < width; first += kTableSize) {
      const int64_t count = std::min(kTableSize, width - first);
      Categories table;
      for (int64_t c = 0; c < count; ++c) {
        const uint64_t pattern = patterns[static_cast<size_t>(first + c)];
        table.at[c] = static_cast<int64_t>(pattern);
        table.counts[c] = categories.find_pattern(pattern) == first + c;
      }
      launch<mark_categories<T>>(context, grid_for(elements * count), table, x.as<T>().data(), out, Divisor(count), first, width,
                                 elements * count);
    }
  });
  if (refuse_unknown) launch<show_unknown>(context, warp_grid(elements), out, elements, width);
}

void encode_labels(const KernelContext& context, ConstTensorView x, TensorView y, const KeyIndex& keys, ConstTensorView values,
                   ConstTensorView fallback) {
  const auto patterns = keys.patterns();
  cuda::visit_number_or_bool(x.dtype, [&]<class Key>() {
    cuda::visit_size(y.dtype, [&]<class Value>() {
      size_t next = 0;
      bool first = true;
      do {
        Labels<Value> labels;
        labels.fallback = fallback.raw<Value>()[0];
        for (; next < patterns.size() && labels.count < kLabels; ++next) {
          if (keys.find_pattern(patterns[next]) != static_cast<int64_t>(next)) continue;  // of equal keys the first counts
          labels.keys[labels.count] = patterns[next];
          labels.values[labels.count++] = values.raw<Value>()[next];
        }
        launch<find_labels<Key, Value>>(context, grid_for(x.elements()), labels, x.as<Key>().data(), y.raw<Value>().data(), first,
                                        x.elements());
        first = false;
      } while (next < patterns.size());
    });
  });
}

void vectorize_features(const KernelContext& context, std::span<const ConstTensorView> inputs, TensorView y,
                        std::span<const int64_t> widths) {
  const int64_t rows = y.shape[0], row_width = y.shape[1];
  if (rows == 0) return;
  float* out = y.as<float>().data();
  for (size_t next = 0; next < inputs.size();) {
    Columns columns = {};
    int64_t width = 0;
    for (; next < inputs.size() && columns.count < kMostColumns; ++next) {
      const ConstTensorView& x = inputs[next];
      const int64_t in_width = x.elements() / rows, own = next < widths.size() ? widths[next] : in_width;
      if (own == 0) continue;
      cuda::visit_number(x.dtype, [&]<class T>() {
        columns.inputs[columns.count++] = {x.as<T>().data(), width, in_width, x.dtype};
      });
      width += own;
    }
    if (width > 0) launch<join_columns>(context, grid_for(rows * width), columns, out, Divisor(width), row_width, rows * width);
    out += width;
  }
}

void extract_features(const KernelContext& context, ConstTensorView x, ConstTensorView indices, TensorView y) {
  if (y.elements() == 0) return;
  const int64_t width = x.shape[x.shape.rank() - 1];
  cuda::visit_size(x.dtype, [&]<class T>() {
    launch<pick_columns<T>>(context, grid_for(y.elements()), x.raw<T>().data(), indices.as<int64_t>().data(), y.raw<T>().data(),
                            Divisor(indices.elements()), width, y.elements());
  });
}

}  // namespace tandem::cuda
