// Gradients whose contributions meet in one element (sampled pixels, overlapping regions and windows): the same bits for any
// team, on sizes that threads share. Their values are checked by the conformance test.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <vector>

#include "kernels/api/deform_conv.h"
#include "kernels/api/fold.h"
#include "kernels/api/grid_sample.h"
#include "kernels/api/pool.h"
#include "kernels/api/reduce.h"
#include "kernels/api/roi_pool.h"
#include "tests/kernels/random_tensor.h"

namespace tandem {
namespace {

using Numbers = test::Values<float>;

Numbers normal(const Shape& shape, double scale = 1, unsigned seed = 1) { return Numbers::random(shape, seed, scale); }

// Runs with one thread and with three, into memory with something else in it.
void expect_same_bits(const Shape& shape, const std::function<void(const KernelContext&, TensorView)>& run) {
  Numbers alone = normal(shape, 1, 8), shared = normal(shape, 1, 9);
  run({.threads = 1}, alone.view());
  run({.threads = 3}, shared.view());
  EXPECT_EQ(std::memcmp(std::as_const(alone).view().data, std::as_const(shared).view().data, std::as_const(alone).view().bytes()), 0);
}

TEST(SamplingGradients, GridSample) {
  const Numbers x = normal({2, 60, 20, 30}), grid = normal({2, 50, 60, 2}, 0.8, 2), dy = normal({2, 60, 50, 60}, 1, 3);
  for (const SampleMode mode : {SampleMode::kNearest, SampleMode::kLinear, SampleMode::kCubic}) {
    const SampleOptions options{.mode = mode, .padding = SamplePadding::kReflection};
    expect_same_bits(x.shape, [&](const KernelContext& context, TensorView dx) {
      cpu::grid_sample_input_grad(context, dy.view(), grid.view(), options, dx);
    });
    expect_same_bits(grid.shape, [&](const KernelContext& context, TensorView dgrid) {
      cpu::grid_sample_grid_grad(context, dy.view(), x.view(), grid.view(), options, dgrid);
    });
  }
}

TEST(SamplingGradients, RoiAlign) {
  const Numbers x = normal({2, 70, 12, 14}), dy = normal({5, 70, 4, 4}, 1, 2);
  const std::vector<float> corners = {1, 2, 9, 12, 0, 0, 13, 11, 3, 4, 6, 6, 2, 1, 12, 12, 0, 5, 5, 9};
  const std::vector<int64_t> images = {0, 1, 0, 0, 1};
  const ConstTensorView regions{reinterpret_cast<const std::byte*>(corners.data()), DType::kF32, {5, 4}},
      of{reinterpret_cast<const std::byte*>(images.data()), DType::kI64, {5}};
  for (const bool max : {false, true})
    expect_same_bits(x.shape, [&](const KernelContext& context, TensorView dx) {
      cpu::roi_align_grad(context, dy.view(), x.view(), regions, of, {.sampling_ratio = 2, .max = max}, dx);
    });
}

TEST(SamplingGradients, DeformablePatches) {
  const Numbers x = normal({2, 16, 20, 20}), w = normal({8, 16, 3, 3}), offset = normal({2, 36, 18, 18}, 1, 2), mask = normal({2, 18, 18, 18}, 1, 3);
  const std::vector<int64_t> kernel = {3, 3};
  const ConvGeometry g = make_conv_geometry(x.shape, w.shape, 1, {.kernel = kernel});
  const Numbers dpatches = normal({2, 1, 144, 324}, 1, 4);
  const DeformConvViews views{.x = x.view(), .w = w.view(), .offset = offset.view(), .bias = {}, .mask = mask.view()};
  const auto run = [&](const KernelContext& context, TensorView dx, TensorView doffset, TensorView dmask) {
    cpu::deform_patches_grad(context, g, 2, views, dpatches.view(), {dx, doffset, dmask});
  };
  Numbers dx = normal(x.shape), doffset = normal(offset.shape), dmask = normal(mask.shape);
  expect_same_bits(x.shape,
                   [&](const KernelContext& context, TensorView out) { run(context, out, doffset.view(), dmask.view()); });
  expect_same_bits(offset.shape,
                   [&](const KernelContext& context, TensorView out) { run(context, dx.view(), out, dmask.view()); });
  expect_same_bits(mask.shape,
                   [&](const KernelContext& context, TensorView out) { run(context, dx.view(), doffset.view(), out); });
  expect_same_bits(dpatches.shape,
                   [&](const KernelContext& context, TensorView out) { cpu::deform_patches(context, g, 2, views, out); });
}

TEST(SamplingGradients, WindowsAndProducts) {
  const std::vector<int64_t> kernel = {3, 3};
  const Numbers x = normal({4, 30, 20, 20}), y = normal({4, 30, 18, 18}, 1, 2), dy = normal({4, 30, 18, 18}, 1, 3), columns = normal({4, 270, 324});
  const Window window = make_window(x.shape, {.kernel = kernel});
  expect_same_bits(x.shape, [&](const KernelContext& context, TensorView dx) {
    cpu::lp_pool_grad(context, window, x.view(), y.view(), dy.view(), dx, 3);
  });
  expect_same_bits(columns.shape,
                   [&](const KernelContext& context, TensorView out) { cpu::im2col(context, window, x.view(), out); });
  const Numbers again = normal(x.shape, 1, 5);
  expect_same_bits(x.shape, [&](const KernelContext& context, TensorView dx) {
    cpu::cumprod_grad(context, x.view(), again.view(), dx, 2, {.exclusive = true, .reverse = true});
  });
}

}  // namespace
}  // namespace tandem
