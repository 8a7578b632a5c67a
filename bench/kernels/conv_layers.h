// The convolutions of ResNet-50, MobileNetV2, EfficientNet-B0 and ConvNeXt-T for one 224 x 224 image, and grouped ones of ResNeXt-50 and
// ShuffleNet: each different layer once.
#pragma once

#include <cstdint>

#include "kernels/api/activation.h"

namespace tandem::cpu {

enum class LayerActivation : uint8_t { kNone, kRelu, kClip, kSwish, kGelu };

struct ConvLayer {
  const char* name;
  int64_t channels, size, filters, kernel, stride, pad, groups;  // size: of both sides of the input
  LayerActivation then;
  int count;  // times it occurs in its network

  Activation activation() const {
    switch (then) {
      case LayerActivation::kRelu: return UnaryOp::kRelu;
      case LayerActivation::kClip: return {UnaryOp::kClip, {0, 6}};
      case LayerActivation::kSwish: return {UnaryOp::kSwish, {1}};
      case LayerActivation::kGelu: return UnaryOp::kGelu;
      default: return {};
    }
  }
  const char* activation_name() const {
    constexpr const char* kNames[] = {"none", "relu", "relu6", "silu", "gelu"};
    return kNames[static_cast<int>(then)];
  }
};

inline constexpr ConvLayer kConvLayers[] = {
    {"resnet50 stem 7x7", 3, 224, 64, 7, 2, 3, 1, LayerActivation::kRelu, 1},
    {"resnet50 1x1 64-64 at 56", 64, 56, 64, 1, 1, 0, 1, LayerActivation::kRelu, 1},
    {"resnet50 3x3 64-64 at 56", 64, 56, 64, 3, 1, 1, 1, LayerActivation::kRelu, 3},
    {"resnet50 1x1 64-256 at 56 shortcut", 64, 56, 256, 1, 1, 0, 1, LayerActivation::kNone, 1},
    {"resnet50 1x1 64-256 at 56", 64, 56, 256, 1, 1, 0, 1, LayerActivation::kRelu, 3},
    {"resnet50 1x1 256-64 at 56", 256, 56, 64, 1, 1, 0, 1, LayerActivation::kRelu, 2},
    {"resnet50 1x1 256-128 at 56", 256, 56, 128, 1, 1, 0, 1, LayerActivation::kRelu, 1},
    {"resnet50 3x3 128-128 at 56", 128, 56, 128, 3, 2, 1, 1, LayerActivation::kRelu, 1},
    {"resnet50 1x1 256-512 at 56 shortcut", 256, 56, 512, 1, 2, 0, 1, LayerActivation::kNone, 1},
    {"resnet50 1x1 128-512 at 28", 128, 28, 512, 1, 1, 0, 1, LayerActivation::kRelu, 4},
    {"resnet50 1x1 512-128 at 28", 512, 28, 128, 1, 1, 0, 1, LayerActivation::kRelu, 3},
    {"resnet50 3x3 128-128 at 28", 128, 28, 128, 3, 1, 1, 1, LayerActivation::kRelu, 3},
    {"resnet50 1x1 512-256 at 28", 512, 28, 256, 1, 1, 0, 1, LayerActivation::kRelu, 1},
    {"resnet50 3x3 256-256 at 28", 256, 28, 256, 3, 2, 1, 1, LayerActivation::kRelu, 1},
    {"resnet50 1x1 512-1024 at 28 shortcut", 512, 28, 1024, 1, 2, 0, 1, LayerActivation::kNone, 1},
    {"resnet50 1x1 256-1024 at 14", 256, 14, 1024, 1, 1, 0, 1, LayerActivation::kRelu, 6},
    {"resnet50 1x1 1024-256 at 14", 1024, 14, 256, 1, 1, 0, 1, LayerActivation::kRelu, 5},
    {"resnet50 3x3 256-256 at 14", 256, 14, 256, 3, 1, 1, 1, LayerActivation::kRelu, 5},
    {"resnet50 1x1 1024-512 at 14", 1024, 14, 512, 1, 1, 0, 1, LayerActivation::kRelu, 1},
    {"resnet50 3x3 512-512 at 14", 512, 14, 512, 3, 2, 1, 1, LayerActivation::kRelu, 1},
    {"resnet50 1x1 1024-2048 at 14 shortcut", 1024, 14, 2048, 1, 2, 0, 1, LayerActivation::kNone, 1},
    {"resnet50 1x1 512-2048 at 7", 512, 7, 2048, 1, 1, 0, 1, LayerActivation::kRelu, 3},
    {"resnet50 1x1 2048-512 at 7", 2048, 7, 512, 1, 1, 0, 1, LayerActivation::kRelu, 2},
    {"resnet50 3x3 512-512 at 7", 512, 7, 512, 3, 1, 1, 1, LayerActivation::kRelu, 2},
    {"mobilenetv2 stem 3x3", 3, 224, 32, 3, 2, 1, 1, LayerActivation::kClip, 1},
    {"mobilenetv2 depthwise 32 at 112 by 1", 32, 112, 32, 3, 1, 1, 32, LayerActivation::kClip, 1},
    {"mobilenetv2 1x1 32-16 at 112", 32, 112, 16, 1, 1, 0, 1, LayerActivation::kNone, 1},
    {"mobilenetv2 1x1 16-96 at 112", 16, 112, 96, 1, 1, 0, 1, LayerActivation::kClip, 1},
    {"mobilenetv2 depthwise 96 at 112 by 2", 96, 112, 96, 3, 2, 1, 96, LayerActivation::kClip, 1},
    {"mobilenetv2 1x1 96-24 at 56", 96, 56, 24, 1, 1, 0, 1, LayerActivation::kNone, 1},
    {"mobilenetv2 1x1 24-144 at 56", 24, 56, 144, 1, 1, 0, 1, LayerActivation::kClip, 2},
    {"mobilenetv2 depthwise 144 at 56 by 1", 144, 56, 144, 3, 1, 1, 144, LayerActivation::kClip, 1},
    {"mobilenetv2 1x1 144-24 at 56", 144, 56, 24, 1, 1, 0, 1, LayerActivation::kNone, 1},
    {"mobilenetv2 depthwise 144 at 56 by 2", 144, 56, 144, 3, 2, 1, 144, LayerActivation::kClip, 1},
    {"mobilenetv2 1x1 144-32 at 28", 144, 28, 32, 1, 1, 0, 1, LayerActivation::kNone, 1},
    {"mobilenetv2 1x1 32-192 at 28", 32, 28, 192, 1, 1, 0, 1, LayerActivation::kClip, 3},
    {"mobilenetv2 depthwise 192 at 28 by 1", 192, 28, 192, 3, 1, 1, 192, LayerActivation::kClip, 2},
    {"mobilenetv2 1x1 192-32 at 28", 192, 28, 32, 1, 1, 0, 1, LayerActivation::kNone, 2},
    {"mobilenetv2 depthwise 192 at 28 by 2", 192, 28, 192, 3, 2, 1, 192, LayerActivation::kClip, 1},
    {"mobilenetv2 1x1 192-64 at 14", 192, 14, 64, 1, 1, 0, 1, LayerActivation::kNone, 1},
    {"mobilenetv2 1x1 64-384 at 14", 64, 14, 384, 1, 1, 0, 1, LayerActivation::kClip, 4},
    {"mobilenetv2 depthwise 384 at 14 by 1", 384, 14, 384, 3, 1, 1, 384, LayerActivation::kClip, 4},
    {"mobilenetv2 1x1 384-64 at 14", 384, 14, 64, 1, 1, 0, 1, LayerActivation::kNone, 3},
    {"mobilenetv2 1x1 384-96 at 14", 384, 14, 96, 1, 1, 0, 1, LayerActivation::kNone, 1},
    {"mobilenetv2 1x1 96-576 at 14", 96, 14, 576, 1, 1, 0, 1, LayerActivation::kClip, 3},
    {"mobilenetv2 depthwise 576 at 14 by 1", 576, 14, 576, 3, 1, 1, 576, LayerActivation::kClip, 2},
    {"mobilenetv2 1x1 576-96 at 14", 576, 14, 96, 1, 1, 0, 1, LayerActivation::kNone, 2},
    {"mobilenetv2 depthwise 576 at 14 by 2", 576, 14, 576, 3, 2, 1, 576, LayerActivation::kClip, 1},
    {"mobilenetv2 1x1 576-160 at 7", 576, 7, 160, 1, 1, 0, 1, LayerActivation::kNone, 1},
    {"mobilenetv2 1x1 160-960 at 7", 160, 7, 960, 1, 1, 0, 1, LayerActivation::kClip, 3},
    {"mobilenetv2 depthwise 960 at 7 by 1", 960, 7, 960, 3, 1, 1, 960, LayerActivation::kClip, 3},
    {"mobilenetv2 1x1 960-160 at 7", 960, 7, 160, 1, 1, 0, 1, LayerActivation::kNone, 2},
    {"mobilenetv2 1x1 960-320 at 7", 960, 7, 320, 1, 1, 0, 1, LayerActivation::kNone, 1},
    {"mobilenetv2 1x1 320-1280 at 7", 320, 7, 1280, 1, 1, 0, 1, LayerActivation::kClip, 1},
    {"efficientnet-b0 stem 3x3", 3, 224, 32, 3, 2, 1, 1, LayerActivation::kSwish, 1},
    {"efficientnet-b0 depthwise 3x3 32 at 112 by 1", 32, 112, 32, 3, 1, 1, 32, LayerActivation::kSwish, 1},
    {"efficientnet-b0 squeeze 32-8", 32, 1, 8, 1, 1, 0, 1, LayerActivation::kSwish, 1},
    {"efficientnet-b0 1x1 32-16 at 112", 32, 112, 16, 1, 1, 0, 1, LayerActivation::kNone, 1},
    {"efficientnet-b0 1x1 16-96 at 112", 16, 112, 96, 1, 1, 0, 1, LayerActivation::kSwish, 1},
    {"efficientnet-b0 depthwise 3x3 96 at 112 by 2", 96, 112, 96, 3, 2, 1, 96, LayerActivation::kSwish, 1},
    {"efficientnet-b0 squeeze 96-4", 96, 1, 4, 1, 1, 0, 1, LayerActivation::kSwish, 1},
    {"efficientnet-b0 1x1 96-24 at 56", 96, 56, 24, 1, 1, 0, 1, LayerActivation::kNone, 1},
    {"efficientnet-b0 1x1 24-144 at 56", 24, 56, 144, 1, 1, 0, 1, LayerActivation::kSwish, 2},
    {"efficientnet-b0 depthwise 3x3 144 at 56 by 1", 144, 56, 144, 3, 1, 1, 144, LayerActivation::kSwish, 1},
    {"efficientnet-b0 squeeze 144-6", 144, 1, 6, 1, 1, 0, 1, LayerActivation::kSwish, 2},
    {"efficientnet-b0 1x1 144-24 at 56", 144, 56, 24, 1, 1, 0, 1, LayerActivation::kNone, 1},
    {"efficientnet-b0 depthwise 5x5 144 at 56 by 2", 144, 56, 144, 5, 2, 2, 144, LayerActivation::kSwish, 1},
    {"efficientnet-b0 1x1 144-40 at 28", 144, 28, 40, 1, 1, 0, 1, LayerActivation::kNone, 1},
    {"efficientnet-b0 1x1 40-240 at 28", 40, 28, 240, 1, 1, 0, 1, LayerActivation::kSwish, 2},
    {"efficientnet-b0 depthwise 5x5 240 at 28 by 1", 240, 28, 240, 5, 1, 2, 240, LayerActivation::kSwish, 1},
    {"efficientnet-b0 squeeze 240-10", 240, 1, 10, 1, 1, 0, 1, LayerActivation::kSwish, 2},
    {"efficientnet-b0 1x1 240-40 at 28", 240, 28, 40, 1, 1, 0, 1, LayerActivation::kNone, 1},
    {"efficientnet-b0 depthwise 3x3 240 at 28 by 2", 240, 28, 240, 3, 2, 1, 240, LayerActivation::kSwish, 1},
    {"efficientnet-b0 1x1 240-80 at 14", 240, 14, 80, 1, 1, 0, 1, LayerActivation::kNone, 1},
    {"efficientnet-b0 1x1 80-480 at 14", 80, 14, 480, 1, 1, 0, 1, LayerActivation::kSwish, 3},
    {"efficientnet-b0 depthwise 3x3 480 at 14 by 1", 480, 14, 480, 3, 1, 1, 480, LayerActivation::kSwish, 2},
    {"efficientnet-b0 squeeze 480-20", 480, 1, 20, 1, 1, 0, 1, LayerActivation::kSwish, 3},
    {"efficientnet-b0 1x1 480-80 at 14", 480, 14, 80, 1, 1, 0, 1, LayerActivation::kNone, 2},
    {"efficientnet-b0 depthwise 5x5 480 at 14 by 1", 480, 14, 480, 5, 1, 2, 480, LayerActivation::kSwish, 1},
    {"efficientnet-b0 1x1 480-112 at 14", 480, 14, 112, 1, 1, 0, 1, LayerActivation::kNone, 1},
    {"efficientnet-b0 1x1 112-672 at 14", 112, 14, 672, 1, 1, 0, 1, LayerActivation::kSwish, 3},
    {"efficientnet-b0 depthwise 5x5 672 at 14 by 1", 672, 14, 672, 5, 1, 2, 672, LayerActivation::kSwish, 2},
    {"efficientnet-b0 squeeze 672-28", 672, 1, 28, 1, 1, 0, 1, LayerActivation::kSwish, 3},
    {"efficientnet-b0 1x1 672-112 at 14", 672, 14, 112, 1, 1, 0, 1, LayerActivation::kNone, 2},
    {"efficientnet-b0 depthwise 5x5 672 at 14 by 2", 672, 14, 672, 5, 2, 2, 672, LayerActivation::kSwish, 1},
    {"efficientnet-b0 1x1 672-192 at 7", 672, 7, 192, 1, 1, 0, 1, LayerActivation::kNone, 1},
    {"efficientnet-b0 1x1 192-1152 at 7", 192, 7, 1152, 1, 1, 0, 1, LayerActivation::kSwish, 4},
    {"efficientnet-b0 depthwise 5x5 1152 at 7 by 1", 1152, 7, 1152, 5, 1, 2, 1152, LayerActivation::kSwish, 3},
    {"efficientnet-b0 squeeze 1152-48", 1152, 1, 48, 1, 1, 0, 1, LayerActivation::kSwish, 4},
    {"efficientnet-b0 1x1 1152-192 at 7", 1152, 7, 192, 1, 1, 0, 1, LayerActivation::kNone, 3},
    {"efficientnet-b0 depthwise 3x3 1152 at 7 by 1", 1152, 7, 1152, 3, 1, 1, 1152, LayerActivation::kSwish, 1},
    {"efficientnet-b0 1x1 1152-320 at 7", 1152, 7, 320, 1, 1, 0, 1, LayerActivation::kNone, 1},
    {"efficientnet-b0 1x1 320-1280 at 7", 320, 7, 1280, 1, 1, 0, 1, LayerActivation::kSwish, 1},
    {"convnext-t stem 4x4", 3, 224, 96, 4, 4, 0, 1, LayerActivation::kNone, 1},
    {"convnext-t depthwise 7x7 96 at 56", 96, 56, 96, 7, 1, 3, 96, LayerActivation::kNone, 3},
    {"convnext-t 1x1 96-384 at 56", 96, 56, 384, 1, 1, 0, 1, LayerActivation::kGelu, 3},
    {"convnext-t 1x1 384-96 at 56", 384, 56, 96, 1, 1, 0, 1, LayerActivation::kNone, 3},
    {"convnext-t 2x2 96-192 at 56", 96, 56, 192, 2, 2, 0, 1, LayerActivation::kNone, 1},
    {"convnext-t depthwise 7x7 192 at 28", 192, 28, 192, 7, 1, 3, 192, LayerActivation::kNone, 3},
    {"convnext-t 1x1 192-768 at 28", 192, 28, 768, 1, 1, 0, 1, LayerActivation::kGelu, 3},
    {"convnext-t 1x1 768-192 at 28", 768, 28, 192, 1, 1, 0, 1, LayerActivation::kNone, 3},
    {"convnext-t 2x2 192-384 at 28", 192, 28, 384, 2, 2, 0, 1, LayerActivation::kNone, 1},
    {"convnext-t depthwise 7x7 384 at 14", 384, 14, 384, 7, 1, 3, 384, LayerActivation::kNone, 9},
    {"convnext-t 1x1 384-1536 at 14", 384, 14, 1536, 1, 1, 0, 1, LayerActivation::kGelu, 9},
    {"convnext-t 1x1 1536-384 at 14", 1536, 14, 384, 1, 1, 0, 1, LayerActivation::kNone, 9},
    {"convnext-t 2x2 384-768 at 14", 384, 14, 768, 2, 2, 0, 1, LayerActivation::kNone, 1},
    {"convnext-t depthwise 7x7 768 at 7", 768, 7, 768, 7, 1, 3, 768, LayerActivation::kNone, 3},
    {"convnext-t 1x1 768-3072 at 7", 768, 7, 3072, 1, 1, 0, 1, LayerActivation::kGelu, 3},
    {"convnext-t 1x1 3072-768 at 7", 3072, 7, 768, 1, 1, 0, 1, LayerActivation::kNone, 3},
    {"resnext50 3x3 128 at 56 in 32 groups", 128, 56, 128, 3, 1, 1, 32, LayerActivation::kRelu, 1},
    {"resnext50 3x3 256 at 28 in 32 groups", 256, 28, 256, 3, 1, 1, 32, LayerActivation::kRelu, 1},
    {"resnext50 3x3 512 at 14 in 32 groups", 512, 14, 512, 3, 1, 1, 32, LayerActivation::kRelu, 1},
    {"resnext50 3x3 1024 at 7 in 32 groups", 1024, 7, 1024, 3, 1, 1, 32, LayerActivation::kRelu, 1},
    {"shufflenet 1x1 240-240 at 28 in 3 groups", 240, 28, 240, 1, 1, 0, 3, LayerActivation::kNone, 1},
};

}  // namespace tandem::cpu
