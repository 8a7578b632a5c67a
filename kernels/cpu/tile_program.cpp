// How each input lies in the output, and the loop over the tiles of kernels/cpu/tiling.h; kernels/cpu/tile_places.h says where results go.
//
// In a dense tensor whose axes are the output's or 1 a tile is contiguous too, so an operand is a pointer and a small shape, and nothing
// is gathered. Only a short row that every tile repeats is written out once, since kernels would run over it a few elements at a time.
#include "kernels/api/tile_program.h"

#include <omp.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/tile_places.h"
#include "kernels/cpu/tiling.h"

namespace tandem::cpu {
namespace {

constexpr int64_t kTileElements = 8192;  // a few registers of f32 in the second-level cache, and the cost of a call spread thin
constexpr int64_t kLeastElements = 128, kLeastTiles = 8;  // of a small output: its registers are to take less than it does
constexpr int64_t kAlignment = 64;

// How an input lies in the output.
struct Layout {
  DType dtype = DType::kUndefined;
  bool full = false, single = false;  // the output's shape; one element
  uint32_t walks = 0;                 // the output's axes, as bits, along which it is not broadcast
  int reg = -1;                       // for one between the two: where it is written out, if its tiles repeat a short row
};

int64_t aligned_size(const Shape& shape, int axis, int rank) {
  const int own = axis - (rank - shape.rank());
  return own < 0 ? 1 : shape[own];
}

Layout layout_of(const TileInput& input, const Shape& output) {
  const int rank = output.rank();
  require(input.shape.rank() <= rank, "an input has more axes than the output", to_string(input.shape), to_string(output));
  Layout layout{input.dtype, true, input.shape.elements() == 1, 0};
  for (int axis = 0; axis < rank; ++axis) {
    const int64_t size = aligned_size(input.shape, axis, rank);
    require(size == output[axis] || size == 1, "an input does not broadcast to the output", to_string(input.shape), to_string(output));
    if (size == output[axis])
      layout.walks |= uint32_t{1} << axis;
    else
      layout.full = false;
  }
  return layout;
}

}  // namespace

struct TileRunner::Compiled {
  TileProgram program;
  std::vector<Layout> layouts;            // of the inputs
  std::vector<TilePlace> results;         // of the instructions
  std::vector<uint64_t> partial;          // of the instructions: inputs, as bits, that are neither full nor one element
  uint64_t columns[Shape::kMaxRank] = {};  // for each axis of the output the inputs, as bits, that walk along it
  int rank = 0;                           // of the output
  int threads = 1;
  int64_t tile_elements = 1;
  bool last_is_copied = false;  // the last result waits in its register until the tile is done
  int64_t register_bytes = 0, registers = 0;

  Compiled(TileProgram what, std::span<const TileInput> inputs, const Shape& output, int team)
      : program(std::move(what)), rank(output.rank()), threads(team) {
    lay_out(inputs, output);
    choose_places();
    tile_elements = std::clamp<int64_t>(output.elements(), 1, std::clamp(output.elements() / kLeastTiles, kLeastElements, kTileElements));
    choose_rows(output);
    register_bytes = round_up(tile_elements * widest(), kAlignment);
    try_types();
  }

  void lay_out(std::span<const TileInput> inputs, const Shape& output) {
    ensure(inputs.size() <= kMostInputs && !program.instructions.empty() && !program.outputs.empty(), "a program out of its limits");
    for (size_t i = 0; i < inputs.size(); ++i) {
      layouts.push_back(layout_of(inputs[i], output));
      for (int axis = 0; axis < rank; ++axis)
        columns[axis] |= uint64_t{layouts[i].walks >> axis & 1} << i;
    }
    for (const TileInstruction& instruction : program.instructions) {
      ensure(instruction.operands.size() <= kMostOperands, "an instruction has too many operands");
      partial.push_back(0);
      for (const TileOperand& o : instruction.operands)
        if (is_input(o) && !layout(o).full && !layout(o).single) partial.back() |= uint64_t{1} << o.index;
      check_fills_output(instruction, output);
    }
  }

  int64_t work() const { return static_cast<int64_t>(program.instructions.size()); }

  static bool is_input(const TileOperand& operand) { return operand.kind == TileOperand::Kind::kInput; }
  static bool is_result(const TileOperand& operand) { return operand.kind == TileOperand::Kind::kResult; }
  const Layout& layout(const TileOperand& operand) const { return layouts[static_cast<size_t>(operand.index)]; }

  // Results are of the output's shape, for which some operand must walk along each axis.
  void check_fills_output(const TileInstruction& instruction, const Shape& output) const {
    uint32_t walked = 0;
    for (const TileOperand& operand : instruction.operands) {
      if (is_input(operand)) walked |= layout(operand).walks;
      if (is_result(operand)) walked = ~uint32_t{0};
    }
    for (int axis = 0; axis < rank; ++axis)
      require(output[axis] == 1 || (walked >> axis & 1), "a result is smaller than the region", to_string(output), axis);
  }

  void choose_places() {
    std::vector<size_t> sizes;
    for (const Layout& layout : layouts) sizes.push_back(layout.full ? size_of(layout.dtype) : 0);
    TilePlaces places = place_results(program, sizes);
    results = std::move(places.results);
    registers = places.registers;
    last_is_copied = places.last_is_copied;
  }

  // Registers for the rows that all tiles repeat; in runs of other shapes such inputs are read where they lie.
  void choose_rows(const Shape& output) {
    const Tiling tiling(output, columns, tile_elements);
    for (Layout& layout : layouts)
      if (!layout.full && !layout.single && tiling.repeats_row(layout.walks)) layout.reg = static_cast<int>(registers++);
  }

  // Of an element of what lies in registers.
  int64_t widest() const {
    size_t bytes = 1;
    for (size_t i = 0; i < results.size(); ++i)
      if (results[i].reg >= 0) bytes = std::max(bytes, size_of(program.instructions[i].dtype));
    for (const Layout& layout : layouts)
      if (layout.reg >= 0) bytes = std::max(bytes, size_of(layout.dtype));
    return static_cast<int64_t>(bytes);
  }

  // What a kernel says of its types is said here, not in the team's loop.
  void try_types() const {
    alignas(kAlignment) std::byte zero[kAlignment] = {}, made[kAlignment];
    for (const TileInstruction& instruction : program.instructions) {
      std::array<ConstTensorView, kMostOperands> operands;
      for (size_t k = 0; k < instruction.operands.size(); ++k) {
        const TileOperand& operand = instruction.operands[k];
        if (is_result(operand)) operands[k] = {zero, program.instructions[static_cast<size_t>(operand.index)].dtype, {}};
        if (is_input(operand)) operands[k] = {zero, layout(operand).dtype, {}};
      }
      const TensorView result = {made, instruction.dtype, {}};
      instruction.run({}, {operands.data(), instruction.operands.size()}, {&result, 1});
    }
  }

  void check_shapes(std::span<const ConstTensorView> inputs, const Shape& output) const {
    require(output.rank() == rank, "the output has another rank than at the bounds", to_string(output));
    for (size_t i = 0; i < inputs.size(); ++i)
      for (int axis = 0; axis < rank; ++axis)
        if (aligned_size(inputs[i].shape, axis, rank) != (layouts[i].walks >> axis & 1 ? output[axis] : 1))
          fail(ErrorCode::kInvalidArgument, "an input is not broadcast as at the bounds (input, output)",
               {to_string(inputs[i].shape), to_string(output)});
  }

  TensorView result(const Tile& tile, size_t instruction, const Shape& shape) const {
    const TilePlace& place = results[instruction];
    const DType dtype = program.instructions[instruction].dtype;
    if (place.output < 0) return {tile.registers + place.reg * register_bytes, dtype, shape};
    const TensorView& output = tile.outputs[static_cast<size_t>(place.output)];
    return {output.data + tile.start * static_cast<int64_t>(size_of(output.dtype)), dtype, shape};
  }

  ConstTensorView operand(const Tile& tile, const TileOperand& what, const Shape& shape) const {
    if (is_result(what)) return result(tile, static_cast<size_t>(what.index), shape);
    if (!is_input(what)) return {};
    const ConstTensorView& whole = tile.inputs[static_cast<size_t>(what.index)];
    if (layout(what).full) return {whole.data + tile.start * static_cast<int64_t>(size_of(whole.dtype)), whole.dtype, shape};
    if (layout(what).single) return {whole.data, whole.dtype, Shape()};
    if (tile.repeated >> what.index & 1) return {tile.registers + layout(what).reg * register_bytes, whole.dtype, shape};
    return tile.part(whole, layout(what).walks);
  }

  // Writes out the short rows that all tiles repeat.
  void repeat_rows(Tile& tile) const {
    for (size_t i = 0; i < layouts.size(); ++i) {
      if (layouts[i].reg < 0 || !tile.tiling.repeats_row(layouts[i].walks)) continue;
      tile.repeated |= uint64_t{1} << i;
      const size_t row = static_cast<size_t>(tile.tiling.inner) * size_of(layouts[i].dtype);
      std::byte* to = tile.registers + layouts[i].reg * register_bytes;
      for (int64_t r = 0; r < tile.tiling.rows; ++r, to += row) std::memcpy(to, tile.inputs[i].data, row);
    }
  }

  void run_tile(const Tile& tile) const {
    std::array<ConstTensorView, kMostOperands> operands;
    for (size_t i = 0; i < program.instructions.size(); ++i) {
      const TileInstruction& instruction = program.instructions[i];
      const Shape& shape = partial[i] & ~tile.repeated ? tile.box : tile.line;
      for (size_t k = 0; k < instruction.operands.size(); ++k) operands[k] = operand(tile, instruction.operands[k], shape);
      const TensorView made = result(tile, i, shape);
      instruction.run({}, {operands.data(), instruction.operands.size()}, {&made, 1});
    }
    if (!last_is_copied) return;
    const TensorView last = result(tile, program.instructions.size() - 1, tile.line);
    std::memcpy(tile.outputs[0].data + tile.start * static_cast<int64_t>(size_of(last.dtype)), last.data, last.bytes());
  }
};

TileRunner::TileRunner(TileProgram program, std::span<const TileInput> inputs, const Shape& output, int threads)
    : compiled_(std::make_shared<const Compiled>(std::move(program), inputs, output, threads)) {}

size_t TileRunner::workspace() const {
  return static_cast<size_t>(compiled_->threads * compiled_->registers * compiled_->register_bytes);
}

void TileRunner::run(const KernelContext& context, std::span<const ConstTensorView> inputs, std::span<const TensorView> outputs) const {
  const Compiled& compiled = *compiled_;
  if (outputs[0].elements() == 0) return;
  compiled.check_shapes(inputs, outputs[0].shape);
  const Tiling tiling(outputs[0].shape, compiled.columns, compiled.tile_elements);
  ensure(context.workspace.size() >= static_cast<size_t>(context.threads * compiled.registers * compiled.register_bytes),
         "the workspace is too small for the team", context.threads);
  const int64_t grain = std::max(grain_of(tiling.rows * tiling.inner * compiled.work()), ceil_div(tiling.tiles, 4 * context.threads));
  parallel_chunks(context, tiling.tiles, grain, [&](int64_t begin, int64_t end) {
    std::byte* const own = context.workspace.data() + omp_get_thread_num() * compiled.registers * compiled.register_bytes;
    Tile tile{tiling, inputs, outputs, own};
    compiled.repeat_rows(tile);
    for (int64_t t = begin; t < end; ++t) {
      tile.move_to(t);
      compiled.run_tile(tile);
    }
  });
}

}  // namespace tandem::cpu
