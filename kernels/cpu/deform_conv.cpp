// The patches of a block of output pixels are sampled into a matrix, which the filters of each group are multiplied with.
#include "kernels/api/deform_conv.h"

#include "kernels/api/gemm.h"
#include "kernels/cpu/gemm/blocking.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/sample_point.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kPatchElements = 1 << 20;
constexpr SampleOptions kLinear{.mode = SampleMode::kLinear, .padding = SamplePadding::kZeros, .align_corners = true};

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

// Where the undisturbed tap of an output pixel lies on each axis in use.
void place_of(const Window& w, int64_t pixel, int64_t tap, std::array<int64_t, 3>& at) {
  for (size_t a = 3; a-- > static_cast<size_t>(3 - w.rank);) {
    at[a] = pixel % w.output[a] * w.stride[a] - w.pad_begin[a] + tap % w.kernel[a] * w.dilation[a];
    pixel /= w.output[a], tap /= w.kernel[a];
  }
}

// One image.
template <class T>
struct Patches {
  const ConvGeometry& g;
  int64_t offset_groups;
  const T *x, *offset, *mask;

  // patches[(channel, tap)][i] of the pixels first, first + 1, ...
  void fill(const KernelContext& context, int64_t first, int64_t count, T* patches) const {
    const Window& w = g.window;
    const int64_t taps = w.kernel_size(), out = w.output_size(), channels = g.channels / offset_groups;
    const PixelGrid pixels(std::span(w.input).last(static_cast<size_t>(w.rank)));
    parallel_chunks(context, offset_groups * taps * count, grain_of(8 * channels), [&](int64_t begin, int64_t end) {
      PointTaps<T> point;
      for (int64_t item = begin; item < end; ++item) {
        const int64_t i = item % count, tap = item / count % taps, group = item / count / taps, pixel = first + i;
        std::array<int64_t, 3> place{};
        std::array<T, 3> at{};
        place_of(w, pixel, tap, place);
        for (int a = 0; a < w.rank; ++a)
          at[static_cast<size_t>(a)] = static_cast<T>(place[static_cast<size_t>(3 - w.rank + a)]) +
                                       offset[((group * taps + tap) * w.rank + a) * out + pixel];
        point_taps(pixels, at.data(), kLinear, point);
        const T scale = mask ? mask[(group * taps + tap) * out + pixel] : T(1);
        for (int64_t c = group * channels; c < (group + 1) * channels; ++c)
          patches[(c * taps + tap) * count + i] = scale * point.read(x + c * w.input_size());
      }
    });
  }
};

}  // namespace

size_t deform_conv_workspace(const ConvGeometry& g, DType dtype, int threads) {
  return visit_float(dtype, [&]<class T>() {
    return static_cast<size_t>(patch_elements<T>(g)) * sizeof(T) + gemm_workspace_bytes<T>(product(g), threads);
  });
}

void deform_conv(const KernelContext& context, const ConvGeometry& g, int64_t offset_groups, const DeformConvViews& views,
                 TensorView y) {
  const int64_t batch = check_conv(g, views.x.shape, y.shape), out = g.window.output_size(), taps = g.window.kernel_size();
  check_conv_weight(g, views.w.shape);
  visit_float(y.dtype, [&]<class T>() {
    T* patches = workspace_of<T>(context.workspace, patch_elements<T>(g), "deformable convolution");
    KernelContext inner = context;
    inner.workspace = context.workspace.subspan(static_cast<size_t>(patch_elements<T>(g)) * sizeof(T));
    const GemmShape whole = product(g);
    for (int64_t n = 0; n < batch; ++n) {
      const Patches<T> image{g, offset_groups, views.x.as<T>().data() + n * g.channels * g.window.input_size(),
                             views.offset.as<T>().data() + n * offset_groups * taps * g.window.rank * out,
                             views.mask ? views.mask.as<T>().data() + n * offset_groups * taps * out : nullptr};
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
