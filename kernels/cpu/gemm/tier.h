// What one instruction-set tier offers: a block product on panels, and the copies that make panels. Plain data and C++ arithmetic only,
// because it is read by files compiled with tier flags: an inline function from here could end up, with AVX-512 in it, in the program
// that runs on a machine without.
//
// A panel holds `width` (mr or nr) rows or columns: for each k, `width` contiguous elements, zeros past the edge (BLIS's layout: Van Zee,
// van de Geijn, "BLIS: A Framework for Rapidly Instantiating BLAS Functionality", TOMS 2015).
#pragma once

#include <cstdint>

#include "kernels/api/isa.h"

namespace tandem::cpu {

// c[rows, cols] = finish(sum over groups and k of A * B). Each element is summed in order of (group, k), whatever the tiling.
template <class T>
struct GemmBlock {
  int64_t rows = 0, cols = 0, k = 0;
  const T* a = nullptr;               // tile t, row r, step k at a[t * a_tile + r * a_row + k * a_k]
  int64_t a_tile = 0, a_row = 1, a_k = 0;
  int64_t tile_rows = 0;              // of each tile of A but the last; at most mr; 0: mr
  const T* b = nullptr;               // panel p, step k at b[p * b_panel + k * b_k], nr readable elements each
  int64_t b_panel = 0, b_k = 0;
  bool b_is_far = false;              // it comes from memory: a cache does not hold the matrix that it is part of
  bool b_in_streams = true;           // what is far is read in several places at once; else from end to end
  int64_t groups = 1;                 // batch-reduce: the products of `groups` pairs, apart by a_group and b_group, are summed
  int64_t a_group = 0, b_group = 0;
  T* c = nullptr;
  int64_t ldc = 0;
  // finish(s) = relu?(alpha * s + (c if accumulate, else beta * addend) + bias), and 0 where the gate is not positive
  bool accumulate = false;
  T alpha = 1, beta = 1;
  const T* addend = nullptr;          // null: none
  int64_t ld_addend = 0;
  const T* column_bias = nullptr;     // null: none
  const T* row_bias = nullptr;        // null: none
  bool relu = false;
  const T* gate = nullptr;            // laid out as c; null: none
};

// Panels of `width` from the elements source[i * i_stride + k * k_stride], i < count, k < steps. One of the strides is usually 1.
template <class T>
struct PackSource {
  const T* source = nullptr;
  int64_t i_stride = 1, k_stride = 1;
  int64_t count = 0, steps = 0;
};

// Many short runs of elements: `rows` times `lines` of them, `length` long, anywhere on both sides.
template <class T>
struct Runs {
  T* target = nullptr;
  int64_t target_row = 0, target_line = 0, target_stride = 1;
  const T* source = nullptr;
  int64_t source_row = 0, source_line = 0, source_stride = 1;
  int64_t rows = 0, lines = 1, length = 0;
};

template <class T>
struct GemmTier {
  int64_t mr, nr;  // rows and columns of a register tile
  void (*multiply)(const GemmBlock<T>&);
  void (*pack)(const PackSource<T>&, int64_t width, T* panels);
  void (*copy_runs)(const Runs<T>&);              // target = source
  void (*add_runs)(const Runs<T>&);               // target += source
  void (*scale_add_runs)(const Runs<T>&, T factor);  // target += factor * source
  T (*dot_runs)(const Runs<T>&, const T* other);  // sum of other (laid out as target is) * source, in one order
};

// The tier for one element type; f64 has the portable one only.
template <class T>
const GemmTier<T>& gemm_tier(Isa isa);
// That of products with n columns: the same bits, of another tile where the last, narrower panel hardly counts.
template <class T>
const GemmTier<T>& gemm_tier(Isa isa, int64_t n);

// Steps of k that are summed in registers before C is touched: a function of k alone, or sums would depend on m and n.
inline constexpr int64_t kMaxSteps = 384;

}  // namespace tandem::cpu
