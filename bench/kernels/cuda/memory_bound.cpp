// Kernels that the memory's bandwidth bounds: a hundred megabytes or more each, several times what the second-level cache holds.
#include "bench/kernels/cuda/case.h"
#include "kernels/api/dropout.h"
#include "kernels/api/elementwise.h"
#include "kernels/api/optimizer.h"
#include "kernels/api/pool.h"
#include "kernels/api/reduce.h"
#include "kernels/api/softmax.h"

namespace tandem::bench {
namespace {

void add_elementwise(Cases& cases, bool small) {
  const Shape line = {small ? 5003 : 1 << 26}, rows = small ? Shape{37, 65} : Shape{65536, 1024};
  for (const auto& [text, op] : {std::pair{"relu", UnaryOp::kRelu}, {"gelu", UnaryOp::kGelu}})
    cases.push_back({.name = text + (" f32 " + sizes(line)),
                     .operands = {input(line), output(line)},
                     .gpu = [op = op](const KernelContext& c, Views v) { cuda::unary(c, op, v[0], v[1]); },
                     .cpu = [op = op](const KernelContext& c, Views v) { cpu::unary(c, op, v[0], v[1]); }});
  cases.push_back({.name = "relu bf16 " + sizes(line),
                   .operands = {input(line, DType::kBF16), output(line, DType::kBF16)},
                   .gpu = [](const KernelContext& c, Views v) { cuda::unary(c, UnaryOp::kRelu, v[0], v[1]); },
                   .cpu = [](const KernelContext& c, Views v) { cpu::unary(c, UnaryOp::kRelu, v[0], v[1]); }});
  cases.push_back({.name = "add f32 " + sizes(line),
                   .operands = {input(line), input(line), output(line)},
                   .gpu = [](const KernelContext& c, Views v) { cuda::binary(c, BinaryOp::kAdd, v[0], v[1], v[2]); },
                   .cpu = [](const KernelContext& c, Views v) { cpu::binary(c, BinaryOp::kAdd, v[0], v[1], v[2]); }});
  cases.push_back({.name = "add_row f32 " + sizes(rows),
                   .operands = {input(rows), input({rows[1]}), output(rows)},
                   .gpu = [](const KernelContext& c, Views v) { cuda::binary(c, BinaryOp::kAdd, v[0], v[1], v[2]); },
                   .cpu = [](const KernelContext& c, Views v) { cpu::binary(c, BinaryOp::kAdd, v[0], v[1], v[2]); }});
  cases.push_back({.name = "cast_bf16 f32 " + sizes(line),
                   .operands = {input(line), output(line, DType::kBF16)},
                   .gpu = [](const KernelContext& c, Views v) { cuda::cast(c, v[0], v[1]); },
                   .cpu = [](const KernelContext& c, Views v) { cpu::cast(c, v[0], v[1]); },
                   .tolerance = 4e-3});
}

void add_rows(Cases& cases, bool small) {
  const Shape rows = small ? Shape{37, 65} : Shape{65536, 1024};
  const AxisView view(rows, 1);
  cases.push_back({.name = "softmax f32 " + sizes(rows),
                   .operands = {input(rows), output(rows)},
                   .gpu = [=](const KernelContext& c, Views v) { cuda::softmax(c, v[0], v[1], view); },
                   .cpu = [=](const KernelContext& c, Views v) { cpu::softmax(c, v[0], v[1], view); },
                   .cpu_workspace = cpu::softmax_workspace(DType::kF32, view, 1)});
  for (int axis : {0, 1})
    cases.push_back({.name = "sum_axis" + std::to_string(axis) + " f32 " + sizes(rows),
                     .operands = {input(rows), output({rows[1 - axis]})},
                     .gpu = [=](const KernelContext& c, Views v) { cuda::reduce(c, ReduceOp::kSum, v[0], v[1], AxisMask(1u << axis)); },
                     .cpu = [=](const KernelContext& c, Views v) { cpu::reduce(c, ReduceOp::kSum, v[0], v[1], AxisMask(1u << axis)); },
                     .gpu_workspace = cuda::reduce_workspace(rows)});
}

void add_pool(Cases& cases, bool small) {
  const Shape xs = small ? Shape{2, 3, 12, 10} : Shape{64, 64, 112, 112}, ys = {xs[0], xs[1], xs[2] / 2, xs[3] / 2};
  const std::vector<int64_t> two = {2, 2};
  const Window window = make_window(xs, {.kernel = two, .strides = two});
  cases.push_back({.name = "max_pool f32 " + sizes(xs),
                   .operands = {input(xs), output(ys)},
                   .gpu = [=](const KernelContext& c, Views v) { cuda::max_pool(c, window, v[0], v[1]); },
                   .cpu = [=](const KernelContext& c, Views v) { cpu::max_pool(c, window, v[0], v[1]); }});
  cases.push_back({.name = "max_pool_grad f32 " + sizes(xs),
                   .operands = {input(xs), input(ys), output(xs)},
                   .gpu = [=](const KernelContext& c, Views v) { cuda::max_pool_grad(c, window, v[0], v[1], v[2]); },
                   .cpu = [=](const KernelContext& c, Views v) { cpu::max_pool_grad(c, window, v[0], v[1], v[2]); }});
}

// The step's parameters: p, m, v, g, lr, step in; p, m, v out.
AdamViews adam_views(Views v) {
  return {.parameter = v[0], .m = v[1], .v = v[2], .gradient = v[3], .lr = v[4], .scale = {}, .apply = {}, .step = v[5],
          .new_parameter = v[6], .new_m = v[7], .new_v = v[8]};
}

void add_training(Cases& cases, bool small) {
  const Shape line = {small ? 5003 : 1 << 25};
  const Operand lr = input({1}, DType::kF32, {Content::kValue, 1e-3}), step = input({1}, DType::kI64, {Content::kValue, 7});
  cases.push_back({.name = "adam f32 " + sizes(line),
                   .operands = {input(line), input(line, DType::kF32, {Content::kNormal, 0.1}),
                                input(line, DType::kF32, {Content::kPositive, 0.1}), input(line), lr, step, output(line), output(line),
                                output(line)},
                   .gpu = [](const KernelContext& c, Views v) { cuda::adam(c, adam_views(v), {}); },
                   .cpu = [](const KernelContext& c, Views v) { cpu::adam(c, adam_views(v), {}); }});
  cases.push_back({.name = "dropout f32 " + sizes(line),
                   .operands = {input(line), step, output(line)},
                   .gpu = [](const KernelContext& c, Views v) { cuda::random_dropout(c, v[0], v[2], 0.25f, 7, v[1]); },
                   .cpu = [](const KernelContext& c, Views v) { cpu::random_dropout(c, v[0], v[2], 0.25f, 7, v[1]); }});
}

}  // namespace

void add_memory_cases(Cases& cases, bool small) {
  add_elementwise(cases, small);
  add_rows(cases, small);
  add_pool(cases, small);
  add_training(cases, small);
}

}  // namespace tandem::bench
