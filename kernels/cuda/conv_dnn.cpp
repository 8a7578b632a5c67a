// cuDNN through its older interface: descriptors of shapes, and one call a product. It pads both sides of an axis alike, so that
// a convolution is left to it where the pads of the begin give the size that ours has (what the end pads beyond that is never
// read).
//
// Of its algorithms those are asked, in a fixed order, that are deterministic and sum plain products (no FFT, no Winograd).
// Depthwise ones stay with our own kernel, which has no product to make. Descriptors are kept in the session: in the steady state
// a convolution is one call that allocates nothing.
#include "kernels/cuda/conv_dnn.h"

#include <algorithm>
#include <array>
#include <climits>
#include <cstdint>
#include <map>
#include <memory>
#include <span>

#include "kernels/cuda/conv_pass.cuh"
#include "kernels/cuda/device/session.h"
#include "kernels/cuda/library/cudnn.h"
#include "kernels/cuda/library/library.h"

namespace tandem::cuda {
namespace {

constexpr size_t kWorkspaceBytes = size_t{32} << 20, kWorkspaceAlignment = 256, kTensorAlignment = 16;

void must(int status, std::string_view call) {
  check(status == Cudnn::kSuccess, ErrorCode::kDevice, "a library of the GPU failed (call, status, meaning)", call, status,
        std::string_view(cudnn()->status_text(status)));
}
// The library has no way for this, which is no failure.
bool refused(int status) { return status >= Cudnn::kBadParameter && status < Cudnn::kInternalError; }

Cudnn::Type type_of(DType dtype) {
  switch (dtype) {
    case DType::kF32: return Cudnn::kF32;
    case DType::kF64: return Cudnn::kF64;
    case DType::kF16: return Cudnn::kF16;
    case DType::kBF16: return Cudnn::kBF16;
    default: no_kernel_for(dtype);
  }
}

Cudnn::MathType math_of(DType dtype, Math math) {
  if (dtype == DType::kF16 || dtype == DType::kBF16) return Cudnn::kTensorOps;
  return dtype == DType::kF32 && math == Math::kStrict ? Cudnn::kFma : Cudnn::kDefault;
}

// Sizes as the library takes them: [batch, channels, spatial...] with two spatial axes, or three.
struct Sizes {
  std::array<int, 5> at;
  int axes;
};

Sizes sizes_of(int64_t first, int64_t second, const Window::Sizes& spatial, bool deep) {
  const auto narrow = [](int64_t size) { return static_cast<int>(size); };
  if (deep) return {{narrow(first), narrow(second), narrow(spatial[0]), narrow(spatial[1]), narrow(spatial[2])}, 5};
  return {{narrow(first), narrow(second), narrow(spatial[1]), narrow(spatial[2]), 0}, 4};
}

// One of the library's objects.
using Owned = std::unique_ptr<void, int (*)(void*)>;

Owned make(std::string_view call, int (*create)(void**), int (*destroy)(void*)) {
  void* object = nullptr;
  must(create(&object), call);
  return Owned(object, destroy);
}

struct Descriptors {
  Owned x, w, y, convolution;
  int status = Cudnn::kSuccess;  // the first refusal

  Descriptors(const DnnConvolution& c, Math math)
      : x(make("cudnnCreateTensorDescriptor", cudnn()->create_tensor, cudnn()->destroy_tensor)),
        w(make("cudnnCreateFilterDescriptor", cudnn()->create_filter, cudnn()->destroy_filter)),
        y(make("cudnnCreateTensorDescriptor", cudnn()->create_tensor, cudnn()->destroy_tensor)),
        convolution(make("cudnnCreateConvolutionDescriptor", cudnn()->create_convolution, cudnn()->destroy_convolution)) {
    const ConvGeometry& g = c.geometry;
    const Window& window = g.window;
    const bool deep = window.rank == 3;
    set_tensor(x, c.dtype, sizes_of(c.batch, g.channels, window.input, deep));
    set_tensor(y, c.dtype, sizes_of(c.batch, g.filters, window.output, deep));
    const Sizes filter = sizes_of(g.filters, g.channels / g.groups, window.kernel, deep);
    keep(cudnn()->set_filter(w.get(), type_of(c.dtype), Cudnn::kChannelsFirst, filter.axes, filter.at.data()));
    const auto spatial = [&](const Window::Sizes& values) { return sizes_of(0, 0, values, deep); };
    const Sizes pads = spatial(window.pad_begin), strides = spatial(window.stride), dilations = spatial(window.dilation);
    keep(cudnn()->set_convolution(convolution.get(), pads.axes - 2, pads.at.data() + 2, strides.at.data() + 2,
                                  dilations.at.data() + 2, Cudnn::kCrossCorrelation,
                                  c.dtype == DType::kF64 ? Cudnn::kF64 : Cudnn::kF32));
    keep(cudnn()->set_groups(convolution.get(), static_cast<int>(g.groups)));
    keep(cudnn()->set_math(convolution.get(), math_of(c.dtype, math)));
  }

 private:
  void keep(int result) {
    if (!refused(result)) must(result, "a descriptor of cuDNN");
    if (status == Cudnn::kSuccess) status = result;
  }
  void set_tensor(const Owned& tensor, DType dtype, const Sizes& sizes) {
    std::array<int, 5> strides{};
    int stride = 1;
    for (size_t i = static_cast<size_t>(sizes.axes); i-- > 0; stride *= sizes.at[i]) strides[i] = stride;
    keep(cudnn()->set_tensor(tensor.get(), type_of(dtype), sizes.axes, sizes.at.data(), strides.data()));
  }
};

// How one kind of convolution is made.
struct Choice {
  Descriptors descriptors;
  int algorithm = 0;
  size_t workspace = 0;
  bool usable = false;

  Choice(void* handle, const DnnConvolution& c, Math math, size_t available) : descriptors(c, math) {
    if (descriptors.status != Cudnn::kSuccess) return;
    constexpr int kForward[] = {Cudnn::kImplicitPrecomputedGemm, Cudnn::kImplicitGemm}, kBackward[] = {Cudnn::kDeterministic};
    for (int candidate :
         c.direction == ConvDirection::kForward ? std::span<const int>(kForward) : std::span<const int>(kBackward)) {
      size_t bytes = 0;
      const int status = ask(handle, c.direction, candidate, &bytes);
      if (!refused(status)) must(status, "the size of cuDNN's workspace");
      if (status != Cudnn::kSuccess || bytes > available) continue;
      algorithm = candidate, workspace = bytes, usable = true;
      return;
    }
  }

 private:
  int ask(void* handle, ConvDirection direction, int candidate, size_t* bytes) const {
    const auto& [x, w, y, convolution, status] = descriptors;
    switch (direction) {
      case ConvDirection::kForward:
        return cudnn()->forward_workspace(handle, x.get(), w.get(), convolution.get(), y.get(), candidate, bytes);
      case ConvDirection::kInputGrad:
        return cudnn()->input_grad_workspace(handle, w.get(), y.get(), convolution.get(), x.get(), candidate, bytes);
      case ConvDirection::kWeightGrad:
        return cudnn()->weight_grad_workspace(handle, x.get(), y.get(), convolution.get(), w.get(), candidate, bytes);
    }
    return Cudnn::kBadParameter;
  }
};

// All that a choice depends on.
using Key = std::array<int64_t, 26>;
Key key_of(const DnnConvolution& c, Math math, size_t available) {
  const ConvGeometry& g = c.geometry;
  Key key = {static_cast<int64_t>(c.direction),
             static_cast<int64_t>(c.dtype),
             static_cast<int64_t>(math),
             static_cast<int64_t>(available),
             c.batch,
             g.channels,
             g.filters,
             g.groups};
  size_t next = 8;
  const Window& w = g.window;
  for (const Window::Sizes* sizes : {&w.input, &w.output, &w.kernel, &w.stride, &w.dilation, &w.pad_begin})
    for (int64_t size : *sizes) key[next++] = size;
  return key;
}

struct Choices {
  std::map<Key, Choice> by_key;
};

std::span<std::byte> aligned(std::span<std::byte> workspace) {
  void* data = workspace.data();
  size_t bytes = workspace.size();
  if (bytes == 0 || !std::align(kWorkspaceAlignment, 1, data, bytes)) return {};
  return {static_cast<std::byte*>(data), std::min(bytes, kWorkspaceBytes)};
}

// Whether the library can say it: symmetric pads, 32 bits, something to do.
bool representable(const DnnConvolution& c) {
  const ConvGeometry& g = c.geometry;
  const Window& w = g.window;
  if (c.batch == 0 || is_depthwise(g.groups, g.filters / g.groups, g.channels / g.groups)) return false;
  for (size_t i = 0; i < 3; ++i) {
    const int64_t reach = (w.kernel[i] - 1) * w.dilation[i] + 1, room = w.input[i] + 2 * w.pad_begin[i] - reach;
    if (room < 0 || room / w.stride[i] + 1 != w.output[i] || std::max({reach, w.stride[i], w.pad_begin[i]}) > INT32_MAX)
      return false;
  }
  for (const void* tensor : {c.x, c.w, c.y})
    if (reinterpret_cast<uintptr_t>(tensor) % kTensorAlignment != 0) return false;
  return std::max({g.input_shape(c.batch).elements(), g.output_shape(c.batch).elements(), g.weight_shape().elements()}) <=
         INT32_MAX;
}

std::string_view call_of(ConvDirection direction) {
  switch (direction) {
    case ConvDirection::kForward: return "cudnnConvolutionForward";
    case ConvDirection::kInputGrad: return "cudnnConvolutionBackwardData";
    case ConvDirection::kWeightGrad: return "cudnnConvolutionBackwardFilter";
  }
  return "";
}

template <class Scalar>
int convolve(void* handle, const Choice& choice, const DnnConvolution& c, std::span<std::byte> workspace) {
  const Scalar alpha = 1, beta = static_cast<Scalar>(c.beta);
  const auto& [x, w, y, convolution, status] = choice.descriptors;
  void* const scratch = choice.workspace > 0 ? workspace.data() : nullptr;
  switch (c.direction) {
    case ConvDirection::kForward:
      return cudnn()->forward(handle, &alpha, x.get(), c.x, w.get(), c.w, convolution.get(), choice.algorithm, scratch,
                              choice.workspace, &beta, y.get(), const_cast<void*>(c.y));
    case ConvDirection::kInputGrad:
      return cudnn()->input_grad(handle, &alpha, w.get(), c.w, y.get(), c.y, convolution.get(), choice.algorithm, scratch,
                                 choice.workspace, &beta, x.get(), const_cast<void*>(c.x));
    case ConvDirection::kWeightGrad:
      return cudnn()->weight_grad(handle, &alpha, x.get(), c.x, y.get(), c.y, convolution.get(), choice.algorithm, scratch,
                                  choice.workspace, &beta, w.get(), const_cast<void*>(c.w));
  }
  return Cudnn::kBadParameter;
}

}  // namespace

bool dnn_convolve(const KernelContext& context, const DnnConvolution& c) {
  if (!context.cuda || !cudnn() || !representable(c)) return false;
  Session& session = *context.cuda;
  if (session.recorder) {
    session.recorder->push_back({.kernel = std::string(call_of(c.direction))});
    return true;
  }
  void* const handle = session.dnn();
  if (!handle) return false;
  const std::span<std::byte> workspace = aligned(context.workspace);
  auto& choices = session.kept<Choices>().by_key;
  const Key key = key_of(c, session.math(), workspace.size());
  auto at = choices.find(key);
  if (at == choices.end()) at = choices.try_emplace(key, handle, c, session.math(), workspace.size()).first;
  Choice& choice = at->second;
  if (!choice.usable) return false;
  const int status =
      c.dtype == DType::kF64 ? convolve<double>(handle, choice, c, workspace) : convolve<float>(handle, choice, c, workspace);
  if (!refused(status)) must(status, call_of(c.direction));
  return choice.usable = status == Cudnn::kSuccess;
}

size_t dnn_workspace_bytes(const ConvGeometry& g) {
  const bool own = is_depthwise(g.groups, g.filters / g.groups, g.channels / g.groups);
  return cudnn() && !own ? kWorkspaceBytes + kWorkspaceAlignment : 0;
}

}  // namespace tandem::cuda
