// The patches of a block of output pixels are sampled into a matrix, which the filters of each group are multiplied with.
#include "kernels/api/deform_conv.h"

#include "kernels/api/gemm.h"
#include "kernels/cpu/deform_patches.h"
#include "kernels/cpu/gemm/blocking.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kPatchElements = 1 << 20;

int64_t block_pixels(const ConvGeometry& g) {
  return std::clamp<int64_t>(kPatchElements / (g.channels * g.window.kernel_size()), 64,
                             std::max<int64_t>(64, g.window.output_size()));
}
GemmShape product(const ConvGeometry& g) {
  return {.m = g.filters / g.groups, .n = block_pixels(g), .k = g.channels / g.groups * g.window.kernel_size()};
}
template <class T>
int64_t patch_elements(const ConvGeometry& g) {
  return round_up(g.channels * g.window.kernel_size() * block_pixels(g), 64 / static_cast<int64_t>(sizeof(T)));
}

}  // namespace

size_t deform_conv_workspace(const ConvGeometry& g, DType dtype, int threads) {
  return visit_float(dtype, [&]<class T>() {
    return static_cast<size_t>(patch_elements<T>(g)) * sizeof(T) + gemm_workspace_bytes<T>(product(g), threads);
  });
}

void deform_conv(const KernelContext& context, const ConvGeometry& g, int64_t offset_groups, const DeformConvViews& views,
                 TensorView y) {
  const int64_t batch = check_conv(g, views.x.shape, y.shape), out = g.window.output_size();
  check_conv_weight(g, views.w.shape);
  visit_float(y.dtype, [&]<class T>() {
    T* patches = workspace_of<T>(context.workspace, patch_elements<T>(g), "deformable convolution");
    KernelContext inner = context;
    inner.workspace = context.workspace.subspan(static_cast<size_t>(patch_elements<T>(g)) * sizeof(T));
    const GemmShape whole = product(g);
    for (int64_t n = 0; n < batch; ++n) {
      const DeformedImage<T> image = deformed_image<T>(g, offset_groups, views, n);
      for (int64_t first = 0; first < out; first += whole.n) {
        const int64_t count = std::min(whole.n, out - first);
        image.fill(context, first, count, patches);
        for (int64_t group = 0; group < g.groups; ++group) {
          GemmArgs<T> args;
          args.a = views.w.as<T>().data() + group * whole.m * whole.k, args.lda = whole.k;
          args.b = patches + group * whole.k * count, args.ldb = count;
          args.c = y.as<T>().data() + (n * g.filters + group * whole.m) * out + first, args.ldc = out;
          if (views.bias) args.bias = views.bias.as<T>().data() + group * whole.m, args.bias_axis = BiasAxis::kRow;
          gemm(inner, {.m = whole.m, .n = count, .k = whole.k}, args);
        }
      }
    }
  });
}

}  // namespace tandem::cpu
