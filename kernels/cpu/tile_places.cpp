#include "kernels/cpu/tile_places.h"

#include <algorithm>
#include <cstdint>

namespace tandem::cpu {
namespace {

class Places {
 public:
  Places(const TileProgram& program, std::span<const size_t> sizes)
      : program_(program), sizes_(sizes), n_(program.instructions.size()), last_read_(n_), is_waiting_(program.outputs.size()) {
    places_.results.resize(n_);
    for (size_t i = 0; i < n_; ++i)
      for (const TileOperand& operand : instruction(i).operands)
        if (is_result(operand)) last_read_[static_cast<size_t>(operand.index)] = i;
  }

  TilePlaces run() {
    for (size_t o = 0; o < program_.outputs.size(); ++o) place(maker(o)).output = static_cast<int>(o);
    places_.last_is_copied = reads_memory_of_first_output(n_ - 1);
    if (places_.last_is_copied) place(n_ - 1).output = -1;
    for (size_t i = 0; i < n_; ++i) {
      if (place(i).output < 0 && !take_over(i) && !wait_in_output(i)) take_register(i);
      leave(i);
    }
    return std::move(places_);
  }

 private:
  const TileInstruction& instruction(size_t i) const { return program_.instructions[i]; }
  TilePlace& place(size_t i) { return places_.results[i]; }
  size_t maker(size_t output) const { return static_cast<size_t>(program_.outputs[output]); }
  size_t element(size_t i) const { return size_of(instruction(i).dtype); }
  bool is_output(size_t i) const { return std::ranges::find(program_.outputs, static_cast<int>(i)) != program_.outputs.end(); }
  static bool is_result(const TileOperand& operand) { return operand.kind == TileOperand::Kind::kResult; }
  static bool is_input(const TileOperand& operand) { return operand.kind == TileOperand::Kind::kInput; }

  // Whether instruction i may write where this earlier result lies, as far as its own reads go.
  bool writes_over(size_t i, size_t earlier) const {
    if (element(i) != element(earlier)) return false;
    const auto& operands = instruction(i).operands;
    for (size_t k = 0; k < operands.size(); ++k)
      if (is_result(operands[k]) && static_cast<size_t>(operands[k].index) == earlier && !(instruction(i).in_place >> k & 1)) return false;
    return true;
  }

  // An input that may be the first output's memory, read other than element by element in place.
  bool reads_memory_of_first_output(size_t i) const {
    const auto& operands = instruction(i).operands;
    for (size_t k = 0; k < operands.size(); ++k)
      if (is_input(operands[k]) && may_be_first_output(operands[k]) && !(instruction(i).in_place >> k & 1)) return true;
    return false;
  }
  bool may_be_first_output(const TileOperand& input) const { return sizes_[static_cast<size_t>(input.index)] == element(maker(0)); }

  // Result i may wait in this output's tile until it is read for the last time.
  bool may_wait(size_t i, size_t output) const {
    if (element(i) > element(maker(output)) || last_read_[i] > maker(output)) return false;
    if (last_read_[i] == maker(output) && !writes_over(maker(output), i)) return false;
    if (output > 0) return true;
    if (places_.last_is_copied || reads_memory_of_first_output(i)) return false;
    for (size_t later = i + 1; later < n_; ++later)
      if (std::ranges::any_of(instruction(later).operands, [&](const TileOperand& o) { return is_input(o) && may_be_first_output(o); })) return false;
    return element(i) == element(maker(0)) || !reads_first_output_size(i);
  }
  // In place only element by element: a smaller result would be written over what is still to be read.
  bool reads_first_output_size(size_t i) const {
    return std::ranges::any_of(instruction(i).operands, [&](const TileOperand& o) { return is_input(o) && may_be_first_output(o); });
  }

  // Of an earlier result that instruction i is the last to read, the place.
  bool take_over(size_t i) {
    for (const TileOperand& operand : instruction(i).operands) {
      if (!is_result(operand)) continue;
      const auto read = static_cast<size_t>(operand.index);
      const TilePlace at = place(read);
      if (last_read_[read] != i || is_output(read) || !writes_over(i, read)) continue;
      if (at.output >= 0 && !may_wait(i, static_cast<size_t>(at.output))) continue;
      place(i) = at;
      last_read_[read] = n_;  // its place is not free
      return true;
    }
    return false;
  }

  bool wait_in_output(size_t i) {
    for (size_t output = 0; output < is_waiting_.size(); ++output) {
      if (is_waiting_[output] || maker(output) <= i || !may_wait(i, output)) continue;
      is_waiting_[output] = true;
      place(i).output = static_cast<int>(output);
      return true;
    }
    return false;
  }

  void take_register(size_t i) {
    if (free_.empty()) free_.push_back(places_.registers++);
    place(i).reg = free_.back();
    free_.pop_back();
  }

  // Places of what instruction i is the last to read are free.
  void leave(size_t i) {
    for (const TileOperand& operand : instruction(i).operands) {
      if (!is_result(operand)) continue;
      const auto read = static_cast<size_t>(operand.index);
      if (last_read_[read] != i) continue;
      if (place(read).reg >= 0) free_.push_back(place(read).reg);
      else if (!is_output(read)) is_waiting_[static_cast<size_t>(place(read).output)] = false;
      last_read_[read] = n_;  // an operand may stand there twice
    }
  }

  const TileProgram& program_;
  std::span<const size_t> sizes_;
  size_t n_;
  std::vector<size_t> last_read_;  // of the results: the instruction; n_ once that is over
  std::vector<bool> is_waiting_;   // of the outputs: another result lies in its tile
  std::vector<int> free_;          // registers
  TilePlaces places_;
};

}  // namespace

TilePlaces place_results(const TileProgram& program, std::span<const size_t> sizes) { return Places(program, sizes).run(); }

}  // namespace tandem::cpu
