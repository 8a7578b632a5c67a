// Packed weights that a compiled model holds beside the plain ones. Whoever packs a constant for a plan asks here first, so that a model which was
// kept opens without packing.
//
// A file that holds panels is announced in the plan's PackedConstants, constant by constant; so is one that is about to be written.
#pragma once

#include <any>
#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "runtime/graph/contexts.h"

namespace tandem {

// The panels of one model. Any thread.
class PanelKeeper {
 public:
  virtual ~PanelKeeper() = default;
  // Fills `room`, and says so, if it has this form of the constant, of that size and made of the numbers at `plain`. Throws InvalidArgument if
  // what it has is damaged.
  virtual bool fill(const std::string& constant, std::string_view layout, const std::byte* plain, std::span<std::byte> room) = 0;
  // A form that had to be packed; `owner` keeps it in memory.
  virtual void packed(const std::string& constant, std::string_view layout, const std::byte* plain, std::span<const std::byte> panels,
                      std::any owner) = 0;
};

// One constant's, as PackedConstants has it.
struct KeptPanels {
  std::shared_ptr<PanelKeeper> keeper;  // null: nobody keeps panels of it
  std::string constant;
  size_t bytes() const { return 0; }
};

inline constexpr std::string_view kKeptPanels = "kept panels";

inline void announce_panels(PackedConstants& packs, const std::string& constant, const std::shared_ptr<PanelKeeper>& keeper) {
  packs.find_or_make<KeptPanels>(constant, kKeptPanels, [&] { return KeptPanels{keeper, constant}; });
}

// BindContext::packed for a T whose panels are one run of numbers, data() and bytes() of it, none of them an index or a size. `pack` leaves them
// unwritten where the view it gets has no content.
template <class T, class Pack>
T kept_or_packed(const BindContext& node, int i, std::string_view layout, const Pack& pack) {
  const auto kept = node.packed<KeptPanels>(i, kKeptPanels, [](ConstTensorView) { return KeptPanels(); });
  return node.packed<T>(i, layout, [&](ConstTensorView plain) {
    if (!kept.keeper) return T(pack(plain));
    T panels = pack(ConstTensorView{nullptr, plain.dtype, plain.shape});
    const auto* first = reinterpret_cast<const std::byte*>(panels.data());
    if (kept.keeper->fill(kept.constant, layout, plain.data, {const_cast<std::byte*>(first), panels.bytes()})) return panels;
    panels = pack(plain);
    first = reinterpret_cast<const std::byte*>(panels.data());
    kept.keeper->packed(kept.constant, layout, plain.data, {first, panels.bytes()}, panels);
    return panels;
  });
}

}  // namespace tandem
