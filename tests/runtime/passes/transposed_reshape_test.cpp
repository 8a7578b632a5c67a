#include "runtime/passes/transposed_reshape.h"

#include <gtest/gtest.h>

namespace tandem {
namespace {

std::string text_of(const std::optional<TransposedReshape>& reshape) {
  if (!reshape) return "none";
  std::string text;
  for (int axis : reshape->order) text += std::to_string(axis);
  text += " [";
  for (int64_t size : reshape->target.shape) text += " " + std::to_string(size);
  return text + " ]";
}

TEST(TransposedReshape, AxesAreCutWhereverTheyAre) {
  EXPECT_EQ(text_of(transposed_reshape({6, "b", 4}, {2, 3, "b", 4}, {1, 0, 2})), "1203 [ 0 2 3 4 ]");
  EXPECT_EQ(text_of(transposed_reshape({"12*b", 5, 4}, {"b", 12, 5, 4}, {1, 0, 2})), "1203 [ 5 -1 12 4 ]");
}

TEST(TransposedReshape, AxesAreJoinedThatLieSideBySideBefore) {
  EXPECT_EQ(text_of(transposed_reshape({3, "b", 2, 4}, {3, "b", 8}, {1, 0, 2, 3})), "102 [ 0 3 8 ]");
  EXPECT_EQ(text_of(transposed_reshape({3, "b", 2, 4}, {"3*b", 2, 4}, {1, 0, 2, 3})), "none");
  EXPECT_EQ(text_of(transposed_reshape({"b", 3, 2, 4}, {"b", 3, 8}, {0, 2, 1, 3})), "none");
}

// [rows, batch, heads * size] to [rows, batch * heads, size]: a few axes that hold the same.
TEST(TransposedReshape, AxesAreCutAndJoinedTogether) {
  EXPECT_EQ(text_of(transposed_reshape({"b", 8, 5}, {"2*b", 4, 5}, {1, 2, 0})), "120 [ 5 -1 4 ]");
  EXPECT_EQ(text_of(transposed_reshape({"b", 8, 5}, {"2*b", 4, 5}, {0, 2, 1})), "none");
}

TEST(TransposedReshape, NothingIsAssumed) {
  EXPECT_EQ(text_of(transposed_reshape({Dim(), 4}, {Dim(), 2, 2}, {1, 0})), "none");
  EXPECT_EQ(text_of(transposed_reshape({"?", 4}, {"?", 2, 2}, {1, 0})), "none");
  EXPECT_EQ(text_of(transposed_reshape({6, 4}, {8, 3}, {1, 0})), "none");
  EXPECT_EQ(text_of(transposed_reshape({int64_t{0}, 4}, {int64_t{0}, 2, 2}, {1, 0})), "none");
  EXPECT_EQ(text_of(transposed_reshape({int64_t{1} << 40, int64_t{1} << 40, 2}, {2, int64_t{1} << 40, int64_t{1} << 40}, {2, 0, 1})), "none");
}

}  // namespace
}  // namespace tandem
