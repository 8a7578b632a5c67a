// Losses, normalisations and movements, forward and backward.
#include "bench/kernels/cuda/case.h"
#include "kernels/api/batch_norm.h"
#include "kernels/api/cross_entropy.h"
#include "kernels/api/gather.h"
#include "kernels/api/layer_norm.h"
#include "kernels/api/movement.h"

namespace tandem::bench {
namespace {

void add_cross_entropy(Cases& cases, bool small) {
  const Shape scores = small ? Shape{19, 33} : Shape{65536, 1024}, samples = {scores[0]};
  const Operand labels = input(samples, DType::kI64, {Content::kIndex, static_cast<double>(scores[1])}), one = input({}, DType::kF32, {Content::kValue, 1});
  const size_t gpu = cuda::cross_entropy_workspace(scores), cpu = cpu::cross_entropy_workspace(scores, DType::kF32, 1);
  cases.push_back({.name = "cross_entropy f32 " + sizes(scores),
                   .operands = {input(scores), labels, output({})},
                   .gpu = [](const KernelContext& c, Views v) { cuda::softmax_cross_entropy(c, {v[0], v[1], {}}, v[2], {}, {}); },
                   .cpu = [](const KernelContext& c, Views v) { cpu::softmax_cross_entropy(c, {v[0], v[1], {}}, v[2], {}, {}); },
                   .gpu_workspace = gpu,
                   .cpu_workspace = cpu});
  cases.push_back({.name = "cross_entropy_grad f32 " + sizes(scores),
                   .operands = {input(scores), labels, one, output(scores)},
                   .gpu = [](const KernelContext& c, Views v) { cuda::softmax_cross_entropy_grad(c, {v[0], v[1], {}}, v[2], v[3], {}); },
                   .cpu = [](const KernelContext& c, Views v) { cpu::softmax_cross_entropy_grad(c, {v[0], v[1], {}}, v[2], v[3], {}); },
                   .gpu_workspace = gpu,
                   .cpu_workspace = cpu});
}

void add_layer_norm(Cases& cases, bool small) {
  const Shape shape = small ? Shape{19, 33} : Shape{65536, 1024};
  const int64_t rows = shape[0], length = shape[1];
  const auto forward = [](Views v) { return LayerNormViews{v[0], v[1], v[2], v[3], {}, {}}; };
  const auto backward = [](Views v) { return LayerNormGradViews{v[0], v[1], v[2], v[3], v[4], v[5]}; };
  cases.push_back({.name = "layer_norm f32 " + sizes(shape),
                   .operands = {input(shape), input({length}), input({length}), output(shape)},
                   .gpu = [=](const KernelContext& c, Views v) { cuda::layer_norm(c, forward(v), rows, length, 1e-5); },
                   .cpu = [=](const KernelContext& c, Views v) { cpu::layer_norm(c, forward(v), rows, length, 1e-5); }});
  cases.push_back({.name = "layer_norm_grad f32 " + sizes(shape),
                   .operands = {input(shape), input(shape), input({length}), output(shape), output({length}), output({length})},
                   .gpu = [=](const KernelContext& c, Views v) { cuda::layer_norm_grad(c, backward(v), rows, length, 1e-5); },
                   .cpu = [=](const KernelContext& c, Views v) { cpu::layer_norm_grad(c, backward(v), rows, length, 1e-5); },
                   .gpu_workspace = cuda::layer_norm_grad_workspace(rows, length, DType::kF32),
                   .cpu_workspace = cpu::layer_norm_grad_workspace(rows, length, DType::kF32, 1)});
}

void add_batch_norm(Cases& cases, bool small) {
  const Shape x = small ? Shape{3, 5, 6, 7} : Shape{256, 64, 56, 56}, channels = {x[1]};
  const Operand positive = input(channels, DType::kF32, {Content::kPositive, 1});
  const auto forward = [](Views v) { return BatchNormViews{v[0], v[1], v[2], v[3], v[4]}; };
  const auto backward = [](Views v) { return BatchNormGradViews{v[0], v[1], v[2], {}, {}, v[3], v[4], v[5]}; };
  const size_t gpu = cuda::batch_norm_workspace(x), cpu = cpu::batch_norm_workspace(x, DType::kF32, 1);
  cases.push_back({.name = "batch_norm f32 " + sizes(x),
                   .operands = {input(x), input(channels), input(channels), input(channels), positive, output(x), output(channels), output(channels)},
                   .gpu = [=](const KernelContext& c, Views v) { cuda::batch_norm_train(c, forward(v), v[5], v[6], v[7], 1e-5, 0.9); },
                   .cpu = [=](const KernelContext& c, Views v) { cpu::batch_norm_train(c, forward(v), v[5], v[6], v[7], 1e-5, 0.9); },
                   .gpu_workspace = gpu,
                   .cpu_workspace = cpu});
  cases.push_back({.name = "batch_norm_grad f32 " + sizes(x),
                   .operands = {input(x), input(x), input(channels), output(x), output(channels), output(channels)},
                   .gpu = [=](const KernelContext& c, Views v) { cuda::batch_norm_grad(c, backward(v), 1e-5); },
                   .cpu = [=](const KernelContext& c, Views v) { cpu::batch_norm_grad(c, backward(v), 1e-5); },
                   .gpu_workspace = gpu,
                   .cpu_workspace = cpu});
}

void add_movement(Cases& cases, bool small) {
  const int64_t side = small ? 37 : 8192, table = small ? 50 : 1 << 20, picks = small ? 70 : 1 << 20, width = small ? 9 : 64;
  static constexpr int64_t kSwap[] = {1, 0};
  cases.push_back({.name = "transpose f32 " + sizes({side, side}),
                   .operands = {input({side, side}), output({side, side})},
                   .gpu = [](const KernelContext& c, Views v) { cuda::transpose(c, v[0], kSwap, v[1]); },
                   .cpu = [](const KernelContext& c, Views v) { cpu::transpose(c, v[0], kSwap, v[1]); }});
  const Operand indices = input({picks}, DType::kI64, {Content::kIndex, static_cast<double>(table)});
  cases.push_back({.name = "gather f32 " + sizes({table, width, picks}),
                   .operands = {input({table, width}), indices, output({picks, width})},
                   .gpu = [](const KernelContext& c, Views v) { cuda::gather(c, v[0], v[1], 0, v[2]); },
                   .cpu = [](const KernelContext& c, Views v) { cpu::gather(c, v[0], v[1], 0, v[2]); },
                   .bytes = 8.0 * static_cast<double>(picks * (width + 1))});
}

}  // namespace

void add_layer_cases(Cases& cases, bool small) {
  add_cross_entropy(cases, small);
  add_layer_norm(cases, small);
  add_batch_norm(cases, small);
  add_movement(cases, small);
}

}  // namespace tandem::bench
