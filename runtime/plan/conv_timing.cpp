#include "runtime/plan/conv_timing.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "runtime/graph/tensor.h"

namespace tandem {
namespace {

constexpr int64_t kMostImages = int64_t{64} << 20;  // bytes
constexpr float kOrdinary = 1.0F / 64;  // no 0, and no sum of its products is denormal or infinite

std::string text_of(const ConvGeometry& g) {
  const Window& w = g.window;
  std::string text = fmt::format("{}x{} {}x{}x{} to {} at {}x{}", w.kernel[1], w.kernel[2], w.input[1], w.input[2], g.channels, g.filters, w.output[1], w.output[2]);
  if (g.groups != 1) text += fmt::format(" in {} groups", g.groups);
  if (w.dilation != Window::Sizes{1, 1, 1}) text += fmt::format(" dilated by {}x{}", w.dilation[1], w.dilation[2]);
  return text;
}

Tensor filled(const Shape& shape) {
  Tensor tensor = Tensor::unfilled(DType::kF32, shape);
  std::ranges::fill(tensor.as<float>(), kOrdinary);
  return tensor;
}

void read(const Tensor& image) {
  volatile float sum = 0;
  for (const float number : image.as<float>()) sum = sum + number;
}

// One kernel with its operands.
class Stage {
 public:
  virtual ~Stage() = default;
  virtual void run(const KernelContext& context, const Tensor& x) = 0;
  virtual size_t workspace(int threads) const = 0;
  Tensor y;
};

class DirectStage final : public Stage {
 public:
  DirectStage(const ConvGeometry& g, int64_t batch) : geometry_(g), filters_(cpu::pack_filters_channels_last(g, filled(g.weight_shape()).view())) {
    y = filled(channels_last_output_shape(g, batch));
  }
  void run(const KernelContext& context, const Tensor& x) override { cpu::conv_channels_last(context, geometry_, x.view(), filters_, y.view()); }
  size_t workspace(int threads) const override { return cpu::conv_channels_last_workspace(geometry_, threads); }

 private:
  ConvGeometry geometry_;
  cpu::ChannelsLastFilters filters_;
};

class WinogradStage final : public Stage {
 public:
  WinogradStage(const ConvGeometry& g, cpu::WinogradTiles tiles, int64_t batch)
      : geometry_(g), filters_(cpu::pack_winograd_filters(g, filled(g.weight_shape()).view(), tiles)) {
    y = filled(channels_last_output_shape(g, batch));
  }
  void run(const KernelContext& context, const Tensor& x) override { cpu::conv_winograd(context, geometry_, x.view(), filters_, y.view()); }
  size_t workspace(int threads) const override { return cpu::conv_winograd_workspace(geometry_, filters_.tiles(), threads); }

 private:
  ConvGeometry geometry_;
  cpu::WinogradFilters filters_;
};

class ChainStage final : public Stage {
 public:
  ChainStage(const ConvChain& chain, int64_t batch) : chain_(chain) {
    const auto pack = [](const ConvGeometry& g) { return cpu::pack_filters_channels_last(g, filled(g.weight_shape()).view()); };
    if (chain.expand) stages_.expand.filters = pack(*chain.expand);
    stages_.depthwise.filters = pack(chain.depthwise);
    if (chain.project) stages_.project.filters = pack(*chain.project);
    y = filled(channels_last_output_shape(chain.project ? *chain.project : chain.depthwise, batch));
  }
  void run(const KernelContext& context, const Tensor& x) override { cpu::conv_chain(context, chain_, x.view(), stages_, y.view()); }
  size_t workspace(int threads) const override { return cpu::conv_chain_workspace(chain_, threads); }

 private:
  ConvChain chain_;
  cpu::ConvChainStages stages_;
};

// Stages with the image that the first one reads.
class Sequence {
 public:
  Sequence(std::vector<std::unique_ptr<Stage>> stages, const Shape& image, int threads) : threads_(threads), image_(filled(image)), stages_(std::move(stages)) {
    size_t bytes = 0;
    for (const auto& stage : stages_) bytes = std::max(bytes, stage->workspace(threads));
    workspace_ = Tensor::unfilled(DType::kU8, {static_cast<int64_t>(bytes)});
  }
  void touch() const { read(image_); }
  void run() {
    const KernelContext context{.threads = threads_, .workspace = std::as_writable_bytes(workspace_.as<uint8_t>())};
    const Tensor* x = &image_;
    for (const auto& stage : stages_) {
      stage->run(context, *x);
      x = &stage->y;
    }
  }

 private:
  int threads_;
  Tensor image_, workspace_;
  std::vector<std::unique_ptr<Stage>> stages_;
};

PreparedRun prepared(std::vector<std::unique_ptr<Stage>> stages, const Shape& image, int threads) {
  const auto sequence = std::make_shared<Sequence>(std::move(stages), image, threads);
  return {.touch = [=] { sequence->touch(); }, .run = [=] { sequence->run(); }};
}

std::unique_ptr<Stage> stage_of(const std::variant<ConvGeometry, ConvChain>& conv, int64_t batch) {
  if (const auto* chain = std::get_if<ConvChain>(&conv)) return std::make_unique<ChainStage>(*chain, batch);
  return std::make_unique<DirectStage>(std::get<ConvGeometry>(conv), batch);
}

const ConvGeometry& first_of(const std::variant<ConvGeometry, ConvChain>& conv) {
  const auto* chain = std::get_if<ConvChain>(&conv);
  return !chain ? std::get<ConvGeometry>(conv) : chain->expand ? *chain->expand : chain->depthwise;
}

}  // namespace

std::string work_text(const std::vector<ConvGeometry>& convs, int64_t batch, int threads) {
  std::string text;
  for (const ConvGeometry& conv : convs) text += text_of(conv) + ", ";
  if (batch != 1) text += fmt::format("{} images, ", batch);
  return text + fmt::format("{} thread{}", threads, threads == 1 ? "" : "s");
}

int64_t measured_batch(const std::vector<ConvGeometry>& convs, int64_t batch) {
  int64_t image = convs.front().input_shape(1).elements();
  for (const ConvGeometry& conv : convs) image += conv.output_shape(1).elements();
  return std::clamp<int64_t>(kMostImages / std::max<int64_t>(1, image * static_cast<int64_t>(sizeof(float))), 1, std::max<int64_t>(1, batch));
}

Candidate conv_candidate(std::string name, ConvSequence convs, int64_t batch, int threads) {
  return {std::move(name), [=] {
            std::vector<std::unique_ptr<Stage>> stages;
            for (const auto& conv : convs) stages.push_back(stage_of(conv, batch));
            return prepared(std::move(stages), channels_last_input_shape(first_of(convs.front()), batch), threads);
          }};
}

Candidate winograd_candidate(std::string name, const ConvGeometry& conv, cpu::WinogradTiles tiles, int64_t batch, int threads) {
  return {std::move(name), [=] {
            std::vector<std::unique_ptr<Stage>> stages;
            stages.push_back(std::make_unique<WinogradStage>(conv, tiles, batch));
            return prepared(std::move(stages), channels_last_input_shape(conv, batch), threads);
          }};
}

}  // namespace tandem
