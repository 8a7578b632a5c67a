// A team of threads a row, from part of a warp to a block. Forward: x is read three times, twice of it from the cache, y written
// once. Backward: a block takes a chunk of the rows, and for each writes dx and adds its share of dscale and dbias to sums that
// its threads keep to themselves, in shared memory while they fit there; x and dy come from memory once. A second launch folds
// the blocks' sums.
#include "kernels/api/layer_norm.h"

#include <cmath>

#include "kernels/cuda/device/number.cuh"
#include "kernels/cuda/device/team.cuh"

namespace tandem::cuda {
namespace {

constexpr int64_t kMostBlocks = 132 * 2, kRowsOfTeam = 4;
// Of the 48 KiB that a block has without asking, the teams' reductions take some: static shared memory counts, too.
constexpr size_t kMostShared = 44 * 1024;

template <class C>
struct RowStatistics {
  C mean, inverse;
};

enum class Mean : uint8_t { kOfRow, kZero };  // layer or RMS normalization

// Variance around the mean: a large one costs no digits. `extent` is 0 for a team without a row.
template <class T>
__device__ RowStatistics<Compute<T>> statistics(const Team& team, const T* x, int64_t extent, int64_t length, double epsilon, Mean about) {
  Compute<T> sum = 0, squares = 0, mean = 0;
  const auto n = static_cast<double>(length);
  if (about == Mean::kOfRow) {
    for (int64_t i = team.lane(); i < extent; i += team.lanes) sum += widen(x[i]);
    mean = static_cast<Compute<T>>(team.reduce(static_cast<double>(sum), Sum()) / n);
  }
  for (int64_t i = team.lane(); i < extent; i += team.lanes) {
    const Compute<T> deviation = widen(x[i]) - mean;
    squares += deviation * deviation;
  }
  const double var = team.reduce(static_cast<double>(squares), Sum()) / n;
  return {mean, static_cast<Compute<T>>(1 / std::sqrt(var + epsilon))};
}

template <class T>
struct Forward {
  const T *x, *scale, *bias;  // bias may be null
  T* y;
  float *mean, *inverse;  // each may be null
  Mean about;
};

template <class T>
__global__ void __launch_bounds__(kBlock, 4)
    layer_norm_rows(Team team, Forward<T> to, int64_t rows, int64_t length, double epsilon) {
  const int64_t row = static_cast<int64_t>(blockIdx.x) * team.rows() + team.slot(), extent = row < rows ? length : 0;
  const T* x = to.x + row * length;
  T* y = to.y + row * length;
  const RowStatistics<Compute<T>> of = statistics(team, x, extent, length, epsilon, to.about);
  for (int64_t i = team.lane(); i < extent; i += team.lanes) {
    const Compute<T> normal = (widen(x[i]) - of.mean) * of.inverse * widen(to.scale[i]);
    y[i] = narrow<T>(to.bias ? normal + widen(to.bias[i]) : normal);
  }
  if (row >= rows || team.lane() != 0) return;
  if (to.mean) to.mean[row] = static_cast<float>(of.mean);
  if (to.inverse) to.inverse[row] = static_cast<float>(of.inverse);
}

template <class T>
struct Backward {
  const T *dy, *x, *scale;
  T* dx;                // may be null, dy or x
  Compute<T>* partial;  // [blocks, 2, length]: sums for dscale and dbias; null if neither is wanted
  bool in_shared;       // sums are kept in [rows of the block, 2, length] there first
  Mean about;
};

// dx = inverse * (g - mean(g) - xhat * mean(g * xhat)) with g = dy * scale; sums[c] += dy * xhat, sums[length + c] += dy.
template <class T>
__device__ void row_gradient(const Team& team, const Backward<T>& to, int64_t row, int64_t extent, int64_t length, double epsilon,
                             Compute<T>* sums) {
  const T *x = to.x + row * length, *dy = to.dy + row * length;
  const RowStatistics<Compute<T>> of = statistics(team, x, extent, length, epsilon, to.about);
  Compute<T> sum_g = 0, sum_product = 0;
  for (int64_t i = team.lane(); i < extent; i += team.lanes) {
    const Compute<T> grad = widen(dy[i]), normal = (widen(x[i]) - of.mean) * of.inverse, g = grad * widen(to.scale[i]);
    sum_g += g;
    sum_product += g * normal;
    if (!sums) continue;
    sums[i] += grad * normal;
    sums[length + i] += grad;
  }
  if (!to.dx) return;
  const auto n = static_cast<Compute<T>>(length);
  const Compute<T> mean_g = to.about == Mean::kZero ? Compute<T>(0) : team.reduce(sum_g, Sum()) / n,
                   mean_product = team.reduce(sum_product, Sum()) / n;
  for (int64_t i = team.lane(); i < extent; i += team.lanes) {
    const Compute<T> normal = (widen(x[i]) - of.mean) * of.inverse, g = widen(dy[i]) * widen(to.scale[i]);
    to.dx[row * length + i] = narrow<T>(of.inverse * (g - mean_g - normal * mean_product));
  }
}

template <class T>
__global__ void __launch_bounds__(kBlock, 4)
    layer_norm_grad_rows(Team team, Backward<T> to, int64_t rows, int64_t length, double epsilon) {
  using C = Compute<T>;
  C* partial = to.partial ? to.partial + blockIdx.x * 2 * length : nullptr;
  C* sums = partial && to.in_shared ? dynamic_shared<C>() + team.slot() * 2 * length : partial;
  if (sums)
    for (int64_t i = team.lane(); i < length; i += team.lanes) sums[i] = sums[length + i] = 0;
  const int64_t teams = static_cast<int64_t>(gridDim.x) * team.rows(), rounds = (rows + teams - 1) / teams;
  for (int64_t round = 0; round < rounds; ++round) {
    const int64_t row = round * teams + static_cast<int64_t>(blockIdx.x) * team.rows() + team.slot();
    row_gradient(team, to, row < rows ? row : 0, row < rows ? length : 0, length, epsilon, sums);
  }
  if (!partial || !to.in_shared) return;
  __syncthreads();
  for (int64_t i = threadIdx.x; i < 2 * length; i += kBlock) {
    C total = 0;
    for (int slot = 0; slot < team.rows(); ++slot) total += dynamic_shared<C>()[slot * 2 * length + i];
    partial[i] = total;
  }
}

// Neighbouring threads on neighbouring columns of partial [blocks, 2, length]. dscale and dbias may each be null.
template <class T>
__global__ void __launch_bounds__(kBlock)
    layer_norm_fold(Team team, const Compute<T>* partial, int64_t blocks, int64_t length, T* dscale, T* dbias) {
  const int64_t column = static_cast<int64_t>(blockIdx.x) * team.rows() + team.slot(), columns = 2 * length;
  double total = 0;
  if (column < columns)
    for (int64_t b = team.lane(); b < blocks; b += team.lanes) total += partial[b * columns + column];
  const auto sum = static_cast<Compute<T>>(team.reduce(total, Sum()));
  if (column >= columns || team.lane() != 0) return;
  if (column < length && dscale) dscale[column] = narrow<T>(sum);
  if (column >= length && dbias) dbias[column - length] = narrow<T>(sum);
}

int64_t grad_blocks(const Team& team, int64_t rows) {
  return std::clamp<int64_t>(ceil_div(rows, team.rows() * kRowsOfTeam), 1, kMostBlocks);
}

template <class T>
T* data_or_null(TensorView view) {
  return view ? view.as<T>().data() : nullptr;
}

void normalize(const KernelContext& context, const LayerNormViews& views, int64_t rows, int64_t length, double epsilon, Mean about) {
  const Team team = team_for_rows(length);
  cuda::visit_float(views.x.dtype, [&]<class T>() {
    const Forward<T> to{views.x.as<T>().data(), views.scale.as<T>().data(),      views.bias ? views.bias.as<T>().data() : nullptr,
                        views.y.as<T>().data(), data_or_null<float>(views.mean), data_or_null<float>(views.inverse),
                        about};
    launch<layer_norm_rows<T>>(context, {.blocks = ceil_div(rows, team.rows()), .threads = kBlock}, team, to, rows, length,
                               epsilon);
  });
}

void normalize_grad(const KernelContext& context, const LayerNormGradViews& views, int64_t rows, int64_t length, double epsilon, Mean about) {
  const Team team = team_for_rows(length);
  const int64_t blocks = grad_blocks(team, rows);
  cuda::visit_float(views.x.dtype, [&]<class T>() {
    using C = Compute<T>;
    const bool sums = (views.dscale || views.dbias) && length > 0;
    const size_t shared = static_cast<size_t>(team.rows() * 2 * length) * sizeof(C);
    ensure(!sums || static_cast<size_t>(blocks * 2 * length) * sizeof(C) <= context.workspace.size(),
           "layer normalization's workspace is too small", rows, length, context.workspace.size());
    // Rows that do not fit in shared memory have a block each, which sums in its own part of the workspace.
    const Backward<T> to{views.dy.as<T>().data(),
                         views.x.as<T>().data(),
                         views.scale.as<T>().data(),
                         data_or_null<T>(views.dx),
                         sums ? reinterpret_cast<C*>(context.workspace.data()) : nullptr,
                         shared <= kMostShared,
                         about};
    launch<layer_norm_grad_rows<T>>(context, {.blocks = blocks, .threads = kBlock, .shared = sums && to.in_shared ? shared : 0},
                                    team, to, rows, length, epsilon);
    if (!sums) return;
    const Team fold = team_for_columns(blocks, 2 * length);
    launch<layer_norm_fold<T>>(context, {.blocks = ceil_div(2 * length, fold.rows()), .threads = kBlock}, fold,
                               static_cast<const C*>(to.partial), blocks, length, data_or_null<T>(views.dscale),
                               data_or_null<T>(views.dbias));
  });
}

}  // namespace

size_t layer_norm_grad_workspace(int64_t rows, int64_t length, DType dtype) {
  const size_t size = dtype == DType::kF64 ? sizeof(double) : sizeof(float);
  return static_cast<size_t>(grad_blocks(team_for_rows(length), rows) * 2 * length) * size;
}

void layer_norm(const KernelContext& context, const LayerNormViews& views, int64_t rows, int64_t length, double epsilon) {
  normalize(context, views, rows, length, epsilon, Mean::kOfRow);
}
void layer_norm_grad(const KernelContext& context, const LayerNormGradViews& views, int64_t rows, int64_t length, double epsilon) {
  normalize_grad(context, views, rows, length, epsilon, Mean::kOfRow);
}
void rms_norm(const KernelContext& context, const LayerNormViews& views, int64_t rows, int64_t length, double epsilon) {
  normalize(context, views, rows, length, epsilon, Mean::kZero);
}
void rms_norm_grad(const KernelContext& context, const LayerNormGradViews& views, int64_t rows, int64_t length, double epsilon) {
  normalize_grad(context, views, rows, length, epsilon, Mean::kZero);
}

}  // namespace tandem::cuda
