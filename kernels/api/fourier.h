// Discrete Fourier transforms along an axis (ONNX DFT), of windowed frames (STFT), and the mel scale's weights. f32, f64.
//
// A transform of n numbers takes O(n log n) operations for any n: radix 2 where n is a power of two, else Bluestein's chirp
// ("A linear filtering approach to the computation of the discrete Fourier transform", 1970). All in double. Complex tensors
// have real and imaginary parts in their last axis, of size 2; real ones have size 1 there.
#pragma once

#include <complex>
#include <memory>
#include <vector>

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

struct MelBands {
  int64_t bands = 0, dft_length = 0, sample_rate = 0;
  double low_hertz = 0, high_hertz = 0;
};

namespace cpu {

// The tables for transforms of one length.
class FourierPlan {
 public:
  // REQUIRES: length >= 0. Allocates.
  explicit FourierPlan(int64_t length);
  int64_t length() const { return length_; }
  int64_t scratch() const { return chirp_.empty() ? 0 : padded_; }  // complex numbers
  // x[k] = sum of x[j] * exp(-2 pi i j k / length), in place.
  void transform(std::complex<double>* x, std::complex<double>* scratch) const;

 private:
  void radix2(std::complex<double>* x) const;  // of padded_ numbers
  int64_t length_, padded_;                    // padded_: a power of two
  std::vector<std::complex<double>> turns_;    // exp(-2 pi i k / padded_), k < padded_ / 2
  std::vector<std::complex<double>> chirp_;    // exp(-pi i k^2 / length); empty for a power of two
  std::vector<std::complex<double>> filter_;   // transform of the chirp's conjugate
};

struct DftOptions {
  int axis = 0;
  bool inverse = false;   // divided by the length
  bool onesided = false;  // forward: the first length / 2 + 1 of a real signal's; inverse: from those, to a real signal
};

// `plan` has the length of the transform: x is cut or padded with zeros to it. The length along `axis` and the last axis of y say
// what is kept. REQUIRES: a workspace of fourier_workspace bytes.
void dft(const KernelContext&, const FourierPlan& plan, ConstTensorView x, const DftOptions& options, TensorView y);
size_t fourier_workspace(int64_t length, int threads);  // for transforms of this length and all shorter ones

// x [batch, length, 1 or 2], window null or [frame], y [batch, frames, bins, 2] of frames `step` apart; the plan has a frame's
// length.
void stft(const KernelContext&, const FourierPlan& plan, ConstTensorView x, int64_t step, ConstTensorView window, TensorView y);

// y [dft_length / 2 + 1, bands], any number type: triangles with their peaks a constant step apart on the mel scale.
void mel_weights(const MelBands& bands, TensorView y);

}  // namespace cpu
}  // namespace tandem
