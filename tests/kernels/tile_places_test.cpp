#include "kernels/cpu/tile_places.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>

namespace tandem::cpu {
namespace {

TileOperand input(int i) { return {TileOperand::Kind::kInput, i}; }
TileOperand made(int i) { return {TileOperand::Kind::kResult, i}; }
TileInstruction op(std::vector<TileOperand> operands, uint32_t in_place = ~uint32_t{0}, DType dtype = DType::kF32) {
  return {.run = {}, .dtype = dtype, .operands = std::move(operands), .in_place = in_place};
}
constexpr size_t kFull[] = {sizeof(float), sizeof(float)};

TEST(TilePlaces, AChainWaitsInItsOutput) {
  const TilePlaces places = place_results({{op({input(0)}), op({made(0)}), op({made(1), made(1)})}, {2}}, kFull);
  EXPECT_EQ(places.registers, 0);
  for (const TilePlace& place : places.results) EXPECT_EQ(place.output, 0);
}

TEST(TilePlaces, NotBeforeAnInputIsReadThatTheOutputMayBe) {
  EXPECT_EQ(place_results({{op({input(0)}), op({made(0), input(1)})}, {1}}, kFull).registers, 1);
  constexpr size_t kBroadcast[] = {sizeof(float), 0};
  EXPECT_EQ(place_results({{op({input(0)}), op({made(0), input(1)})}, {1}}, kBroadcast).registers, 0);
}

TEST(TilePlaces, NotWhereTheLastKernelMustNotWriteWhatItReads) {
  const TilePlaces places = place_results({{op({input(0)}), op({made(0)}, 0)}, {1}}, kFull);
  EXPECT_EQ(places.registers, 1);
  EXPECT_FALSE(places.last_is_copied);  // it reads a register
  EXPECT_TRUE(place_results({{op({input(0)}, 0)}, {0}}, kFull).last_is_copied);
}

TEST(TilePlaces, WiderResultsDoNotFit) {
  EXPECT_EQ(place_results({{op({input(0)}, ~0u, DType::kF64), op({made(0)})}, {1}}, kFull).registers, 1);
}

TEST(TilePlaces, ALaterOutputHoldsWhatIsNeededBefore) {
  // Both operands of instruction 2 are needed at once: one in each output's tile.
  const TilePlaces places = place_results({{op({input(0)}), op({input(0)}), op({made(0), made(1)}), op({made(2)})}, {3, 2}}, kFull);
  EXPECT_EQ(places.registers, 0);
  EXPECT_NE(places.results[0].output, places.results[1].output);
}

// Programs at random, run on memory whose cells remember what was written last.
class RandomProgram {
 public:
  explicit RandomProgram(uint32_t seed) : random_(seed) {
    const int inputs = 1 + pick(3), instructions = 1 + pick(10);
    for (int i = 0; i < inputs; ++i) sizes_.push_back(pick(3) == 0 ? 0 : pick(4) == 0 ? 8 : 4);
    for (int n = 0; n < instructions; ++n) {
      std::vector<TileOperand> operands;
      for (int k = pick(3); k >= 0; --k) operands.push_back(n > 0 && pick(3) > 0 ? made(pick(n)) : input(pick(inputs)));
      constexpr DType kTypes[] = {DType::kF32, DType::kF32, DType::kF64, DType::kBool};
      program_.instructions.push_back(op(operands, static_cast<uint32_t>(pick(8)), kTypes[pick(4)]));
    }
    program_.outputs.push_back(instructions - 1);
    for (int n = 0; n + 1 < instructions; ++n)
      if (pick(4) == 0) program_.outputs.push_back(n);
  }

  // Whether each instruction reads what it should if the first output is the memory of `alias` (-1: of no input).
  void check(int alias) {
    const TilePlaces places = place_results(program_, sizes_);
    std::map<std::string, std::string> memory;
    if (alias >= 0) memory["output0"] = "input" + std::to_string(alias);
    for (size_t n = 0; n < program_.instructions.size(); ++n) {
      const TileInstruction& instruction = program_.instructions[n];
      const std::string to = cell(places.results[n]);
      for (size_t k = 0; k < instruction.operands.size(); ++k) {
        const TileOperand& operand = instruction.operands[k];
        const bool is_result = operand.kind == TileOperand::Kind::kResult;
        const std::string what = (is_result ? "result" : "input") + std::to_string(operand.index);
        const std::string from = is_result ? cell(places.results[static_cast<size_t>(operand.index)]) : operand.index == alias ? "output0" : "";
        if (from.empty()) continue;
        EXPECT_EQ(memory[from], what) << "instruction " << n << ", operand " << k;
        EXPECT_TRUE(from != to || (instruction.in_place >> k & 1)) << "instruction " << n << " writes what it reads";
      }
      memory[to] = "result" + std::to_string(n);
    }
    if (places.last_is_copied) memory["output0"] = memory[cell(places.results.back())];
    for (size_t o = 0; o < program_.outputs.size(); ++o)
      EXPECT_EQ(memory["output" + std::to_string(o)], "result" + std::to_string(program_.outputs[o])) << "output " << o;
  }
  void check() {
    check(-1);
    for (size_t i = 0; i < sizes_.size(); ++i)
      if (sizes_[i] == size_of(program_.instructions.back().dtype)) check(static_cast<int>(i));
  }

 private:
  int pick(int below) { return static_cast<int>(random_() % static_cast<uint32_t>(below)); }
  static std::string cell(const TilePlace& place) {
    return place.output >= 0 ? "output" + std::to_string(place.output) : "register" + std::to_string(place.reg);
  }

  std::minstd_rand random_;
  TileProgram program_;
  std::vector<size_t> sizes_;
};

TEST(TilePlaces, NothingIsWrittenOverBeforeItsLastRead) {
  for (uint32_t seed = 1; seed <= 3000 && !testing::Test::HasFailure(); ++seed) {
    SCOPED_TRACE(seed);
    RandomProgram(seed).check();
  }
}

}  // namespace
}  // namespace tandem::cpu
