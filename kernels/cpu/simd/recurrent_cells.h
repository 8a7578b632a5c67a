// One step of a recurrent cell with the functions that ONNX has by default (sigmoid and tanh), for one sequence: all of it in one sweep.
#pragma once

#include <cstdint>

namespace tandem::cpu::simd {

// What a cell of `n` numbers reads and makes; blocks of n in a row, gates in ONNX's order. None overlaps another.
struct LstmStep {
  float* gates;             // [4][n]: i, o, f, c. h R^T on entry; what the functions gave on return
  const float* projection;  // [4][n]: x W^T and both biases
  const float* c;
  float* c_next;
  float* squashed;  // tanh(c_next)
  float* h_next;
};
void lstm_step(const LstmStep& of, int64_t n);

// GRU with linear_before_reset.
struct GruStep {
  float* gates;             // [3][n]: z, r, h. h R^T on entry; what the functions gave on return
  const float* projection;  // [3][n]: x W^T, its biases, and for z and r those of R
  const float* bias;        // [n]: of R, for the candidate
  const float* h;
  float* candidate;  // h R^T + bias of the candidate, before it is reset
  float* h_next;
};
void gru_step(const GruStep& of, int64_t n);

}  // namespace tandem::cpu::simd
