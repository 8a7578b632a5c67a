// RNN, LSTM and GRU over sequences (ONNX RNN, LSTM, GRU 1 to 22) and their gradients. f32, f64.
//
//   RNN   H = f(x + h)
//   LSTM  i, o, f = f(x + h + P * C);  c = g(x + h);  C = f * C + i * c;  H = o * h(C)      o sees the new C; input_forget: f = 1
//   - i GRU   z, r = f(x + h);  n = g(x + (r * H) R^T) or g(x + r * h);  H = (1 - z) * n + z * H
//
// with x = X W^T + Wb of all steps in one product, and h = H R^T + Rb of the step before. A sequence that has ended keeps its
// state and gives zeros. Backwards, each sequence begins at its own end. Bits do not depend on the threads.
#pragma once

#include <array>
#include <cstddef>
#include <span>
#include <vector>

#include "kernels/api/gemm.h"

namespace tandem {

enum class RecurrentCell : uint8_t { kRnn, kLstm, kGru };
enum class GateFunction : uint8_t {
  kRelu,
  kTanh,
  kSigmoid,
  kSoftsign,
  kSoftplus,
  kLeakyRelu,        // alpha: slope below 0
  kElu,              // alpha
  kThresholdedRelu,  // x if x >= alpha, else 0
  kAffine,           // alpha * x + beta
  kScaledTanh,       // alpha * tanh(beta * x)
  kHardSigmoid,      // min(max(alpha * x + beta, 0), 1)
};
struct GateActivation {
  GateFunction function = GateFunction::kTanh;
  double alpha = 0, beta = 0;
};

struct RecurrentOptions {
  RecurrentCell cell = RecurrentCell::kRnn;
  int64_t directions = 1;
  bool reverse = false;      // of a single direction; the second of two is always
  bool batch_first = false;  // X [batch, steps, inputs], Y [batch, steps, directions, hidden], states [batch, directions, hidden]
  double clip = 0;           // what a gate's activation gets is kept within [-clip, clip] (not C, as in onnxruntime); 0: it is not
  bool input_forget = false;
  bool linear_before_reset = false;
  std::array<std::array<GateActivation, 3>, 2> activations{};  // f, g, h of each direction
};

struct RecurrentGeometry {
  int64_t steps, batch, inputs, hidden, directions, gates;
};
// From X, W [directions, gates * hidden, inputs] and R [directions, gates * hidden, hidden]. Throws InvalidArgument if they do
// not fit.
RecurrentGeometry recurrent_geometry(const RecurrentOptions&, const Shape& x, const Shape& w, const Shape& r);

struct RecurrentInputs {
  ConstTensorView x, w, r;
  ConstTensorView b;                     // null or [directions, 2 * gates * hidden]: Wb, then Rb
  ConstTensorView lengths;               // null or i32 [batch]
  ConstTensorView initial_h, initial_c;  // null: zeros
  ConstTensorView peepholes;             // null or [directions, 3 * hidden]: of i, o, f
};
struct RecurrentOutputs {
  TensorView y, y_h, y_c;  // each may be null
};
struct RecurrentGrads {
  TensorView dx, dw, dr, db, dinitial_h, dinitial_c, dpeepholes;  // each may be null
};

namespace cpu {

// Constant weights, packed once: of each direction W^T, R^T, and for a GRU R^T of z and r and of n apart.
struct RecurrentWeights {
  std::vector<PackedMatrix> w, r, r_gates, r_candidate;
  size_t bytes() const;
  std::vector<std::span<const std::byte>> runs() const;  // of each matrix
};
// `w` and `r` may be null: then they are packed in every run.
RecurrentWeights pack_recurrent(const RecurrentOptions&, ConstTensorView w, ConstTensorView r);

size_t recurrent_workspace(DType, const RecurrentOptions&, const RecurrentGeometry&, int threads);
void recurrent(const KernelContext&, const RecurrentOptions&, const RecurrentWeights&, const RecurrentInputs&,
               const RecurrentOutputs&);

// Runs the cell again and keeps every step. `dy` are the gradients of the outputs, each may be null. REQUIRES: clip == 0.
size_t recurrent_grad_workspace(DType, const RecurrentOptions&, const RecurrentGeometry&, int threads);
void recurrent_grad(const KernelContext&, const RecurrentOptions&, const RecurrentInputs&, ConstTensorView dy,
                    ConstTensorView dy_h, ConstTensorView dy_c, const RecurrentGrads&);

}  // namespace cpu
}  // namespace tandem
