// A benchmark of one CUDA kernel: operands, both twins, and what it must read, write and multiply at the least.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"
#include "kernels/cuda/device/session.h"

namespace tandem::bench {

// Normal numbers; or positive ones; or whole numbers below `limit`; or one number.
struct Content {
  enum Kind : uint8_t { kNormal, kPositive, kIndex, kValue } kind = kNormal;
  double value = 1;  // scale of the first two, limit of an index, or the number
};

struct Operand {
  DType dtype = DType::kF32;
  Shape shape;
  Content content = {};
  bool output = false;
};

using Views = std::span<const TensorView>;
using Kernel = std::function<void(const KernelContext&, Views)>;

struct Case {
  std::string name;               // "softmax f32 65536x1024": op, dtype and sizes, from which bench/peers/gpu_compare.py makes torch's twin
  std::vector<Operand> operands;  // in the order in which the kernels take them
  Kernel gpu, cpu;                // the CPU gets f32 where the GPU has 16-bit floats; null: nothing to compare with
  size_t gpu_workspace = 0, cpu_workspace = 0;
  double flops = 0;               // 0: bound by memory
  double peak = 0;                // FLOP/s of the H200's datasheet
  double bytes = 0;               // 0: those of all operands
  double tolerance = 1e-5;        // of the norm of the difference
  cuda::Math math = cuda::Math::kStrict;
};

// The same kernels at two sizes: small, to be compared with the CPU, or large enough to fill a GPU.
using Cases = std::vector<Case>;
void add_product_cases(Cases& cases, bool small);  // cuda/products.cpp
void add_memory_cases(Cases& cases, bool small);   // cuda/memory_bound.cpp
void add_layer_cases(Cases& cases, bool small);    // cuda/layers.cpp: bound by memory too

constexpr Operand output(Shape shape, DType dtype = DType::kF32) { return {dtype, shape, {}, true}; }
constexpr Operand input(Shape shape, DType dtype = DType::kF32, Content content = {}) { return {dtype, shape, content}; }

std::string sizes(const Shape& shape);  // "64x1000"

}  // namespace tandem::bench
