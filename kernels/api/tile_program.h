// Elementwise kernels run one after the other on a tile of the output before the next tile begins, so that what passes between them
// stays in the cache: a region of a graph as one sweep over memory.
//
// Every result has the shape of the outputs; inputs have it too or broadcast to it. A tile is a box of the broadcast's merged
// axes, a contiguous run of the outputs, and the kernels see it as tensors of their own: what they compute for an element depends on
// its value only, so the bits are those of the kernels run one by one on whole tensors, for any team.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "kernels/base/kernel_context.h"
#include "kernels/base/tensor_view.h"

namespace tandem {

// What an instruction reads: an input of the program, or the result of an earlier instruction.
struct TileOperand {
  enum class Kind : uint8_t { kAbsent, kInput, kResult };
  Kind kind = Kind::kAbsent;
  int index = 0;
};

struct TileInstruction {
  // An elementwise kernel with NumPy broadcasting that needs no workspace and throws for element types only.
  std::function<void(const KernelContext&, std::span<const ConstTensorView>, std::span<const TensorView>)> run;
  DType dtype = DType::kUndefined;  // of its result
  std::vector<TileOperand> operands;
  uint32_t in_place = 0;  // operands, as bits, whose memory the result may take
};

// In running order. `outputs` names the instruction that makes each output; the first one is the last instruction.
struct TileProgram {
  std::vector<TileInstruction> instructions;
  std::vector<int> outputs;
};

// An operand of a program at the largest shapes it will meet.
struct TileInput {
  DType dtype = DType::kUndefined;
  Shape shape;
};

namespace cpu {

class TileRunner {
 public:
  static constexpr size_t kMostOperands = 8;  // of an instruction
  static constexpr size_t kMostInputs = 64;   // of a program

  // `output`: the shape of all results. An input that is smaller there is broadcast in every run. Throws InvalidArgument for an
  // input that does not broadcast and for what the kernels say of the element types: they all run here once, on one element.
  TileRunner(TileProgram program, std::span<const TileInput> inputs, const Shape& output, int threads);

  // Bytes of KernelContext::workspace for the team.
  size_t workspace() const;

  // The first output may be the memory of any one input of its shape and element size that is not broadcast.
  // Throws InvalidArgument if an input's shape is not the output's, or of the broadcast that the program was made for.
  void run(const KernelContext&, std::span<const ConstTensorView> inputs, std::span<const TensorView> outputs) const;

 private:
  struct Compiled;
  std::shared_ptr<const Compiled> compiled_;
};

}  // namespace cpu
}  // namespace tandem
