#include "kernels/api/integer_gemm.h"

#include <algorithm>

#include "kernels/cpu/gemm/integer_tier.h"
#include "kernels/cpu/parallel.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kPanelsOfTask = 4, kRowsOfTask = 64;
constexpr int64_t kTeamWork = 64 * 1024;  // products below which one thread does it all

const IntegerTier& tier() { return integer_tier(chosen_isa()); }
int64_t even(int64_t k) { return (k + 1) / 2 * 2; }

template <class T>
int16_t difference(const IntegerMatrix& x, int64_t at, int16_t zero) {
  return static_cast<int16_t>(static_cast<int16_t>(static_cast<T>(x.data[at])) - zero);
}
int16_t zero_of(const IntegerMatrix& x, int64_t i) {
  if (!x.zero) return 0;
  const auto bits = static_cast<uint8_t>(x.zero[i % x.zeros]);
  return x.is_signed ? static_cast<int8_t>(bits) : static_cast<int16_t>(bits);
}

template <class T>
void pack_rows(int64_t first, int64_t last, int64_t k, const IntegerMatrix& a, int16_t* packed) {
  for (int64_t i = first; i < last; ++i) {
    const int16_t zero = zero_of(a, i);
    int16_t* row = packed + i * even(k);
    for (int64_t p = 0; p < k; ++p) row[p] = difference<T>(a, i * a.row_stride + p * a.column_stride, zero);
    if (k % 2) row[k] = 0;
  }
}

template <class T>
void pack_panels(int64_t first, int64_t last, int64_t n, int64_t k, const IntegerMatrix& b, int16_t* packed) {
  const int64_t width = tier().columns;
  for (int64_t panel = first; panel < last; ++panel) {
    int16_t* out = packed + panel * even(k) * width;
    const int64_t columns = std::min(width, n - panel * width);
    if (columns < width || k % 2) std::fill_n(out, even(k) * width, int16_t{0});
    for (int64_t p = 0; p < k; ++p)
      for (int64_t c = 0; c < columns; ++c) {
        const int64_t j = panel * width + c;
        out[(p / 2 * width + c) * 2 + p % 2] = difference<T>(b, p * b.row_stride + j * b.column_stride, zero_of(b, j));
      }
  }
}

void pack_rows_of(int64_t first, int64_t last, const IntegerGemmShape& s, const IntegerMatrix& a, int16_t* packed) {
  a.is_signed ? pack_rows<int8_t>(first, last, s.k, a, packed) : pack_rows<uint8_t>(first, last, s.k, a, packed);
}
void pack_panels_of(int64_t first, int64_t last, const IntegerGemmShape& s, const IntegerMatrix& b, int16_t* packed) {
  b.is_signed ? pack_panels<int8_t>(first, last, s.n, s.k, b, packed) : pack_panels<uint8_t>(first, last, s.n, s.k, b, packed);
}
int64_t panels_of(int64_t n) { return ceil_div(n, tier().columns); }

}  // namespace

const IntegerTier& integer_tier([[maybe_unused]] Isa isa) {
#if defined(__x86_64__)
  if (isa == Isa::kAvx512) return kAvx512Integers;
  if (isa == Isa::kAvx2) return kAvx2Integers;
#endif
  return kPortableIntegers;
}

int64_t packed_integer_a(const IntegerGemmShape& s) { return s.m * even(s.k); }
int64_t packed_integer_b(const IntegerGemmShape& s) { return panels_of(s.n) * tier().columns * even(s.k); }

void pack_integer_a(const IntegerGemmShape& s, const IntegerMatrix& a, int16_t* packed) { pack_rows_of(0, s.m, s, a, packed); }
void pack_integer_b(const IntegerGemmShape& s, const IntegerMatrix& b, int16_t* packed) {
  pack_panels_of(0, panels_of(s.n), s, b, packed);
}

void multiply_packed_integers(const IntegerGemmShape& s, const int16_t* a, const int16_t* b, int32_t* c, int64_t ldc) {
  tier().multiply(s, a, b, c, ldc);
}

size_t integer_gemm_workspace_bytes(const IntegerGemmShape& s) {
  return static_cast<size_t>(packed_integer_a(s) + packed_integer_b(s)) * sizeof(int16_t);
}

void integer_gemm(const KernelContext& context, const IntegerGemmShape& s, const IntegerMatrix& a, const IntegerMatrix& b,
                  int32_t* c, const int16_t* packed_b) {
  if (s.m == 0 || s.n == 0) return;
  ensure(context.workspace.size() >= integer_gemm_workspace_bytes(s), "the workspace of an integer product is too small",
         context.workspace.size());
  auto* panels = reinterpret_cast<int16_t*>(context.workspace.data());
  int16_t* rows = panels + packed_integer_b(s);
  const int64_t width = tier().columns, panel_count = panels_of(s.n);
  KernelContext team = context;
  if (s.m * s.n * s.k < kTeamWork) team.threads = 1;
  if (!packed_b)
    parallel_chunks(team, panel_count, 1, [&](int64_t first, int64_t last) { pack_panels_of(first, last, s, b, panels); });
  parallel_chunks(team, s.m, 16, [&](int64_t first, int64_t last) { pack_rows_of(first, last, s, a, rows); });
  const int16_t* packed = packed_b ? packed_b : panels;
  const int64_t row_tasks = ceil_div(s.m, kRowsOfTask), panel_tasks = ceil_div(panel_count, kPanelsOfTask);
  parallel_chunks(team, row_tasks * panel_tasks, 1, [&](int64_t first, int64_t last) {
    for (int64_t task = first; task < last; ++task) {
      const int64_t row = task / panel_tasks * kRowsOfTask, panel = task % panel_tasks * kPanelsOfTask, column = panel * width;
      const IntegerGemmShape part = {std::min(kRowsOfTask, s.m - row), std::min(kPanelsOfTask * width, s.n - column), s.k};
      tier().multiply(part, rows + row * even(s.k), packed + panel * even(s.k) * width, c + row * s.n + column, s.n);
    }
  });
}

}  // namespace tandem::cpu
