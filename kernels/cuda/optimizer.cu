// One pass over memory, 16 bytes an access where the ranges are aligned: every range is read once and every output written once
// (28 bytes an element for Adam in f32, 12 or 20 for SGD). Rate, scale and step are read on the device; the factors that follow
// from them are computed once a block, in f64, as on the CPU. A skipped step writes back what it read.
//
// sum_of_squares reads every input once: a partial sum for each 16 Ki elements, then one block adds those in a fixed tree.
#include "kernels/api/optimizer.h"

#include "kernels/cuda/device/grid.cuh"
#include "kernels/cuda/device/number.cuh"
#include "kernels/cuda/device/reduce.cuh"
#include "kernels/cuda/device/vector.cuh"

namespace tandem::cuda {
namespace {

// The per-step numbers; null where absent.
struct StepScalars {
  const float* lr;
  const float* scale;
  const bool* apply;

  __device__ double rate() const { return static_cast<double>(*lr); }
  __device__ double factor() const { return scale ? static_cast<double>(*scale) : 1; }
  __device__ bool applies() const { return apply == nullptr || *apply; }
};

template <class T>
const T* one(ConstTensorView scalar) {
  return scalar ? scalar.as<T>().data() : nullptr;
}
template <class Views>
StepScalars scalars_of(const Views& views) {
  return {one<float>(views.lr), one<float>(views.scale), one<bool>(views.apply)};
}

template <class T>
inline constexpr int kWidth = 16 / static_cast<int>(sizeof(T));

// Calls body.operator()<width>(i) for the elements i, i + 1, ... of [0, n): first `vectors` of the widest, then the rest one by
// one.
template <class T, class Body>
__device__ void for_each_vector(int64_t n, int64_t vectors, Body body) {
  for (int64_t i = first_index(); i < vectors; i += index_stride()) body.template operator()<kWidth<T>>(i * kWidth<T>);
  for (int64_t i = vectors * kWidth<T> + first_index(); i < n; i += index_stride()) body.template operator()<1>(i);
}

// How many whole vectors can be taken of ranges of n elements that start at these pointers.
template <class T, class... Pointers>
int64_t vectors_of(int64_t n, Pointers... pointers) {
  return (is_aligned(pointers, kWidth<T>) && ...) ? n / kWidth<T> : 0;
}

template <class T>
struct SgdRanges {
  const T *p, *m, *g;  // m may be null
  T *new_p, *new_m;    // new_m may be null
};

template <class T>
__global__ void __launch_bounds__(kBlock)
    sgd_step(SgdRanges<T> ranges, StepScalars scalars, SgdOptions options, int64_t n, int64_t vectors) {
  using C = Compute<T>;
  const C rate = static_cast<C>(scalars.rate()), factor = static_cast<C>(scalars.factor());
  const C decay = static_cast<C>(options.weight_decay), momentum = static_cast<C>(options.momentum);
  const bool applies = scalars.applies(), nesterov = options.nesterov;
  for_each_vector<T>(n, vectors, [&]<int width>(int64_t i) {
    Vector<T, width> p = load_vector<width>(ranges.p + i), m = {};
    const Vector<T, width> g = load_vector<width>(ranges.g + i);
    if (ranges.m) m = load_vector<width>(ranges.m + i);
#pragma unroll
    for (int j = 0; j < width; ++j) {
      const C parameter = widen(p.at[j]), gradient = parameter * decay + widen(g.at[j]) * factor;
      const C velocity = ranges.m ? widen(m.at[j]) * momentum + gradient : gradient;
      const C step = nesterov && ranges.m ? velocity * momentum + gradient : velocity;
      if (applies) {
        m.at[j] = narrow<T>(velocity);
        p.at[j] = narrow<T>(parameter - step * rate);
      }
    }
    store_vector(ranges.new_p + i, p);
    if (ranges.m && ranges.new_m) store_vector(ranges.new_m + i, m);
  });
}

template <class T>
struct AdamRanges {
  const T *p, *m, *v, *g;
  T *new_p, *new_m, *new_v;
};

template <class C>
struct AdamFactors {
  C step_size, root_correction, keep, scale;
};

template <class C>
__device__ AdamFactors<C> adam_factors(const StepScalars& scalars, const int64_t* step, const AdamOptions& options) {
  const double t = static_cast<double>(*step), lr = scalars.rate();
  return {.step_size = static_cast<C>(lr / (1 - pow(options.beta1, t))),
          .root_correction = static_cast<C>(1 / sqrt(1 - pow(options.beta2, t))),
          .keep = static_cast<C>(options.decoupled ? 1 - lr * options.weight_decay : 1),
          .scale = static_cast<C>(scalars.factor())};
}

template <class T>
__global__ void __launch_bounds__(kBlock)
    adam_step(AdamRanges<T> ranges, StepScalars scalars, const int64_t* step, AdamOptions options, int64_t n, int64_t vectors) {
  using C = Compute<T>;
  __shared__ AdamFactors<C> shared;
  if (threadIdx.x == 0) shared = adam_factors<C>(scalars, step, options);
  __syncthreads();
  const AdamFactors<C> factors = shared;
  const C epsilon = static_cast<C>(options.epsilon), decay = static_cast<C>(options.decoupled ? 0 : options.weight_decay);
  const C beta1 = static_cast<C>(options.beta1), rest1 = static_cast<C>(1 - options.beta1);
  const C beta2 = static_cast<C>(options.beta2), rest2 = static_cast<C>(1 - options.beta2);
  const bool applies = scalars.applies();
  for_each_vector<T>(n, vectors, [&]<int width>(int64_t i) {
    Vector<T, width> p = load_vector<width>(ranges.p + i), m = load_vector<width>(ranges.m + i),
                     v = load_vector<width>(ranges.v + i);
    const Vector<T, width> g = load_vector<width>(ranges.g + i);
#pragma unroll
    for (int j = 0; j < width; ++j) {
      const C parameter = widen(p.at[j]), gradient = parameter * decay + widen(g.at[j]) * factors.scale;
      const C first = widen(m.at[j]) * beta1 + gradient * rest1, second = widen(v.at[j]) * beta2 + gradient * gradient * rest2;
      const C update = first * factors.step_size / (sqrt(second) * factors.root_correction + epsilon);
      if (applies) {
        m.at[j] = narrow<T>(first);
        v.at[j] = narrow<T>(second);
        p.at[j] = narrow<T>(parameter * factors.keep - update);
      }
    }
    store_vector(ranges.new_p + i, p);
    store_vector(ranges.new_m + i, m);
    store_vector(ranges.new_v + i, v);
  });
}

constexpr int64_t kSquaresChunk = 16 * 1024;
constexpr size_t kTableSize = 128;

// Inputs of one type, each with the number of its first partial sum; the arrays travel in the launch (3 KiB).
template <class T>
struct SquaresTable {
  const T* x[kTableSize];
  int64_t elements[kTableSize];
  int64_t first_chunk[kTableSize];
  int inputs = 0;
  int64_t chunks = 0;

  void add(ConstTensorView input) {
    x[inputs] = input.as<T>().data();
    elements[inputs] = input.elements();
    first_chunk[inputs] = chunks;
    chunks += ceil_div(input.elements(), kSquaresChunk);
    ++inputs;
  }
};

template <class T>
__global__ void __launch_bounds__(kBlock) chunk_squares(SquaresTable<T> table, double* partial) {
  const int64_t chunk = blockIdx.x;
  int input = 0;
  while (input + 1 < table.inputs && table.first_chunk[input + 1] <= chunk) ++input;
  const int64_t begin = (chunk - table.first_chunk[input]) * kSquaresChunk;
  const int64_t rest = table.elements[input] - begin, count = rest < kSquaresChunk ? rest : kSquaresChunk;
  const T* x = table.x[input] + begin;
  double sum = 0;
  const auto add = [&](T value) {
    const double number = static_cast<double>(widen(value));
    sum += number * number;
  };
  if (reinterpret_cast<uintptr_t>(x) % 16 == 0 && count == kSquaresChunk) {
    for (int64_t i = threadIdx.x * kWidth<T>; i < kSquaresChunk; i += kBlock * kWidth<T>) {
      const Vector<T, kWidth<T>> vector = load_vector<kWidth<T>>(x + i);
#pragma unroll
      for (int j = 0; j < kWidth<T>; ++j) add(vector.at[j]);
    }
  } else {
    for (int64_t i = threadIdx.x; i < count; i += kBlock) add(x[i]);
  }
  sum = block_reduce<kBlock>(sum, Sum());
  if (threadIdx.x == 0) partial[chunk] = sum;
}

__global__ void __launch_bounds__(kBlock) add_partial_sums(const double* partial, int64_t n, float* out) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < n; i += kBlock) sum += partial[i];
  sum = block_reduce<kBlock>(sum, Sum());
  if (threadIdx.x == 0) *out = static_cast<float>(sum);
}

// The partial sums of the inputs from `first` on that have its type and fit a table; returns the input after them.
size_t launch_squares(const KernelContext& context, std::span<const ConstTensorView> inputs, size_t first, double* partial,
                      int64_t& chunks) {
  return cuda::visit_float(inputs[first].dtype, [&]<class T>() {
    SquaresTable<T> table = {};
    size_t next = first;
    for (; next < inputs.size() && inputs[next].dtype == dtype_of<T> && static_cast<size_t>(table.inputs) < kTableSize; ++next)
      if (inputs[next].elements() > 0) table.add(inputs[next]);
    launch<chunk_squares<T>>(context, {.blocks = table.chunks, .threads = kBlock}, table, partial + chunks);
    chunks += table.chunks;
    return next;
  });
}

}  // namespace

void sgd(const KernelContext& context, const SgdViews& views, const SgdOptions& options) {
  cuda::visit_float(views.parameter.dtype, [&]<class T>() {
    const SgdRanges<T> ranges = {.p = views.parameter.as<T>().data(),
                                 .m = one<T>(views.momentum),
                                 .g = views.gradient.as<T>().data(),
                                 .new_p = views.new_parameter.as<T>().data(),
                                 .new_m = views.new_momentum ? views.new_momentum.as<T>().data() : nullptr};
    const int64_t n = views.parameter.elements(),
                  vectors = vectors_of<T>(n, ranges.p, ranges.m, ranges.g, ranges.new_p, ranges.new_m);
    launch<sgd_step<T>>(context, grid_for(std::max(vectors, n - vectors * kWidth<T>)), ranges, scalars_of(views), options, n,
                        vectors);
  });
}

void adam(const KernelContext& context, const AdamViews& views, const AdamOptions& options) {
  cuda::visit_float(views.parameter.dtype, [&]<class T>() {
    const AdamRanges<T> ranges = {.p = views.parameter.as<T>().data(),
                                  .m = views.m.as<T>().data(),
                                  .v = views.v.as<T>().data(),
                                  .g = views.gradient.as<T>().data(),
                                  .new_p = views.new_parameter.as<T>().data(),
                                  .new_m = views.new_m.as<T>().data(),
                                  .new_v = views.new_v.as<T>().data()};
    const int64_t n = views.parameter.elements();
    const int64_t vectors = vectors_of<T>(n, ranges.p, ranges.m, ranges.v, ranges.g, ranges.new_p, ranges.new_m, ranges.new_v);
    launch<adam_step<T>>(context, grid_for(std::max(vectors, n - vectors * kWidth<T>)), ranges, scalars_of(views),
                         one<int64_t>(views.step), options, n, vectors);
  });
}

size_t sum_of_squares_workspace(int64_t elements, int64_t inputs) {
  return static_cast<size_t>(elements / kSquaresChunk + inputs) * sizeof(double);
}

void sum_of_squares(const KernelContext& context, std::span<const ConstTensorView> inputs, TensorView out) {
  double* partial = reinterpret_cast<double*>(context.workspace.data());
  int64_t chunks = 0;
  for (size_t i = 0; i < inputs.size();) i = launch_squares(context, inputs, i, partial, chunks);
  launch<add_partial_sums>(context, {.threads = kBlock}, static_cast<const double*>(partial), chunks, out.as<float>().data());
}

}  // namespace tandem::cuda
