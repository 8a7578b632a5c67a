// AMX: tiles of 16 rows x 64 bytes; four sums hide the latency of the product, and two operands are enough.
#include <immintrin.h>

#include "kernels/cpu/machine/probes.h"

namespace tandem::cpu {
namespace {

constexpr int kTiles = 6, kRows = 16, kRowBytes = 64, kChains = 4;

struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

// `pair` fills the operands: four u8 times s8, or two bf16 a number of 32 bits. Returns the sum of the first tile's first element.
template <class Sum, class Multiply>
float run(int64_t steps, uint32_t pair, Multiply multiply) {
  TileConfig config;
  for (int tile = 0; tile < kTiles; ++tile) config.row_bytes[tile] = kRowBytes, config.rows[tile] = kRows;
  alignas(64) uint32_t operand[kRows * kRowBytes / 4];
  for (uint32_t& element : operand) element = pair;
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_loadd(4, operand, kRowBytes);
  _tile_loadd(5, operand, kRowBytes);
  for (int64_t s = 0; s < steps; ++s) multiply();
  alignas(64) Sum sums[kRows * kRowBytes / 4];
  _tile_stored(0, sums, kRowBytes);
  _tile_release();
  return static_cast<float>(sums[0]);
}

float run_int8(int64_t steps) {
  return run<int32_t>(steps, 0x01010101, [] {
    _tile_dpbusd(0, 4, 5);
    _tile_dpbusd(1, 4, 5);
    _tile_dpbusd(2, 4, 5);
    _tile_dpbusd(3, 4, 5);
  });
}
float run_bf16(int64_t steps) {
  return run<float>(steps, 0x3f003f00, [] {
    _tile_dpbf16ps(0, 4, 5);
    _tile_dpbf16ps(1, 4, 5);
    _tile_dpbf16ps(2, 4, 5);
    _tile_dpbf16ps(3, 4, 5);
  });
}

}  // namespace

constinit const ArithmeticProbe kAmxInt8Probe{"int8 AMX", Arithmetic::kInt8, 2.0 * kRows * 16 * 64 * kChains, run_int8};
constinit const ArithmeticProbe kAmxBf16Probe{"bf16 AMX", Arithmetic::kBf16, 2.0 * kRows * 16 * 32 * kChains, run_bf16};

}  // namespace tandem::cpu
