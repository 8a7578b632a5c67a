// The pieces of convolution that its dispatcher (conv.cpp) chooses from, and the workspace of each.
#pragma once

#include "kernels/cpu/conv_patches.h"
#include "kernels/cpu/gemm/tier.h"

namespace tandem::cpu {

template <class T>
struct ConvOperands {
  const T* x = nullptr;
  const T* w = nullptr;         // plain weights, or
  const T* packed = nullptr;    // the layout of pack_filter_panels
  const T* bias = nullptr;      // null: none
  const T* residual = nullptr;  // null: none
  T* y = nullptr;
  Activation activation = {};
  int64_t batch = 0;
};

// Whether there are enough multiply-adds for more than one thread.
inline bool worth_a_team(const ConvShape& s, int64_t batch) {
  return static_cast<double>(batch * s.groups * s.filters * s.output) * static_cast<double>(s.patch) > 300e3;
}

// Filters as panels of A for the forward pass, group by group, k block by k block.
template <class T>
int64_t filter_panel_elements(const ConvShape&, const GemmTier<T>&);
template <class T>
void pack_filter_panels(const ConvShape&, const GemmTier<T>&, const T* w, T* panels, int threads);

// Each pair: elements of workspace (of the first: beside the panels of filters that are not packed yet), and the kernel.
template <class T>
int64_t conv_forward_elements(const ConvShape&, const GemmTier<T>&, int threads);
template <class T>
void conv_forward(const KernelContext&, const ConvShape&, const GemmTier<T>&, const ConvOperands<T>&);

template <class T>
int64_t conv_input_grad_elements(const ConvShape&, const GemmTier<T>&, int threads);
template <class T>
void conv_input_grad(const KernelContext&, const ConvShape&, const GemmTier<T>&, const T* w, const T* dy, T* dx, int64_t batch);

// Both of these by the kernels for channels last, for weights that are not packed before; f32, no residual (conv_by_rows.cpp). Elements of workspace for this plane and
// all smaller ones; 0: no plane suits.
bool forward_suits_rows(const ConvGeometry&);
bool input_grad_suits_rows(const ConvGeometry&);
int64_t conv_by_rows_elements(const ConvGeometry&, Isa, int threads);
void conv_by_rows(const KernelContext&, const ConvGeometry&, Isa, const ConvOperands<float>&);
int64_t conv_input_grad_by_rows_elements(const ConvGeometry&, Isa, int threads);
void conv_input_grad_by_rows(const KernelContext&, const ConvGeometry&, Isa, const float* w, const float* dy, float* dx, int64_t batch);

// The gradient to the weights by Winograd's tiles of m x m outputs: workspace for this plane and all smaller ones.
int64_t winograd_weight_grad_elements(const ConvGeometry&, Isa, int64_t m, int threads);

template <class T>
int64_t conv_weight_grad_elements(const ConvShape&, const GemmTier<T>&, int threads);
template <class T>
void conv_weight_grad(const KernelContext&, const ConvShape&, const GemmTier<T>&, const T* x, const T* dy, T* dw, int64_t batch);

// The same where planes are small and filters not few: sums over several images at once. The elements are for this plane and smaller ones; 0: none goes this way.
bool weight_grad_sums_images(const ConvShape&);
template <class T>
int64_t small_weight_grad_elements(const ConvShape&, const GemmTier<T>&, int threads);
template <class T>
void small_weight_grad(const KernelContext&, const ConvShape&, const GemmTier<T>&, const T* x, const T* dy, T* dw, int64_t batch);

// One channel a group: no product to make, rows are scaled and added. No workspace.
template <class T>
void depthwise_forward(const KernelContext&, const ConvShape&, const GemmTier<T>&, const ConvOperands<T>&);
template <class T>
void depthwise_input_grad(const KernelContext&, const ConvShape&, const GemmTier<T>&, const T* w, const T* dy, T* dx, int64_t batch);
template <class T>
void depthwise_weight_grad(const KernelContext&, const ConvShape&, const GemmTier<T>&, const T* x, const T* dy, T* dw, int64_t batch);

}  // namespace tandem::cpu
