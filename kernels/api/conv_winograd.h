// Convolution of 3 x 3 at stride 1 of images whose channels come last, by Winograd's short convolutions: 2.25 times fewer multiply-adds with tiles of
// 2 x 2 outputs, 4 times with 4 x 4. f32, forward only; the contract of conv_channels_last.h, but for what is rounded.
//
// Error: |y - exact| / |exact| in L2 is at most that of direct sums with tiles of 2, about twice it with tiles of 4 (docs/design/winograd.md), and 1e-5 is
// never reached with up to 4,096 channels of one size. Single values may lose more than direct sums do where large terms cancel, and an infinity or a NaN
// spreads over the tile that it is in. So a caller has to ask for it: --math fast.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>

#include "kernels/api/conv_channels_last.h"

namespace tandem::cpu {

enum class WinogradTiles : uint8_t { kTwo = 2, kFour = 4 };  // outputs of a tile, in each direction

// 3 x 3 over two axes, stride, dilation and groups 1.
bool has_winograd_form(const ConvGeometry&);

// The tiles with which a convolution of that form takes the least time, one thread at work; none: direct sums are faster. An estimate from the
// counts of products, of numbers taken to points and of weights read, each at its measured price.
struct WinogradSizes {
  int64_t batch, height, width, channels, filters;  // of the output
};
std::optional<WinogradTiles> fastest_winograd_tiles(const WinogradSizes&);

// Weights as the products of one tier read them: 16 / 9 or 4 times the size of w. A handle: copies share the storage.
class WinogradFilters {
 public:
  explicit operator bool() const { return data_ != nullptr; }
  size_t bytes() const { return bytes_; }
  Isa isa() const { return isa_; }
  WinogradTiles tiles() const { return tiles_; }
  const float* data() const { return reinterpret_cast<const float*>(data_.get()); }

 private:
  friend WinogradFilters pack_winograd_filters(const ConvGeometry&, ConstTensorView, WinogradTiles, Isa);
  std::shared_ptr<std::byte[]> data_;
  size_t bytes_ = 0;
  Isa isa_ = Isa::kPortable;
  WinogradTiles tiles_ = WinogradTiles::kFour;
};

// Transformed in double, rounded once. Throws Internal for a geometry without the form. Serves every plane.
WinogradFilters pack_winograd_filters(const ConvGeometry&, ConstTensorView w, WinogradTiles tiles, Isa isa = chosen_isa());

// Bytes, for every plane and batch.
size_t conv_winograd_workspace(const ConvGeometry&, WinogradTiles tiles, int threads, Isa isa = chosen_isa());

// As conv_channels_last. Bits depend on the tiles, not on threads, nor on the batch.
void conv_winograd(const KernelContext&, const ConvGeometry&, ConstTensorView x, const WinogradFilters& w, TensorView y,
                   const ConvEpilogue& epilogue = {});

}  // namespace tandem::cpu
