// What the ops on images refuse, and how they say so; and what they know of shapes that are not all numbers.
#include <gtest/gtest.h>

#include <string>

#include "runtime/graph/graph.h"
#include "runtime/graph/op_def.h"
#include "runtime/ops/all_ops.h"

namespace tandem {
namespace {

using Ints = std::vector<int64_t>;

// An input of the graph, or a constant of it.
struct Input {
  DType dtype = DType::kF32;
  Dims dims;
  Tensor content = {};
};
Input f32(Dims dims) { return {DType::kF32, std::move(dims)}; }
Input i64(Dims dims) { return {DType::kI64, std::move(dims)}; }
Input list(const Ints& values) { return {DType::kI64, {}, Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values)}; }
Input scales(const std::vector<float>& values) {
  return {DType::kF32, {}, Tensor::of<float>({static_cast<int64_t>(values.size())}, values)};
}
Input absent() { return {DType::kUndefined, {}}; }

std::string dims_of(const std::string& op, const std::vector<Input>& inputs, Attributes attributes = {}) {
  Graph graph;
  std::vector<ValueId> ids;
  for (const Input& input : inputs) {
    const std::string name = "x" + std::to_string(ids.size());
    if (input.content)
      ids.push_back(graph.add_constant(name, input.content));
    else
      ids.push_back(input.dtype == DType::kUndefined ? kNoValue : graph.add_input(name, input.dtype, input.dims));
  }
  const ValueId y = graph.add_node(newest_op(op), ids, 1, std::move(attributes), "layer1")[0];
  return graph.value(y).type.dims ? to_string(*graph.value(y).type.dims) : "unknown";
}

// Expects an InvalidArgument that holds `part` and names the node.
void expect_refused(const std::string& part, const std::string& op, const std::vector<Input>& inputs,
                    Attributes attributes = {}) {
  try {
    dims_of(op, inputs, std::move(attributes));
    ADD_FAILURE() << op << " took it; expected: " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << error.what();
    const std::string message = error.what();
    EXPECT_NE(message.find(part), std::string::npos) << message;
    EXPECT_NE(message.find("layer1"), std::string::npos) << message;
  }
}

TEST(ConvTransposeRule, KeepsSymbolsAndWorksOutTheRest) {
  const Input w = f32({4, 3, 3, 3});
  EXPECT_EQ(dims_of("ConvTranspose", {f32({"n", 4, 5, 6}), w}, {{"strides", Ints{2, 2}}}), "[n, 3, 11, 13]");
  EXPECT_EQ(dims_of("ConvTranspose", {f32({"n", 4, "h", 6}), w}, {{"group", int64_t{2}}, {"pads", Ints{1, 1, 1, 1}}}),
            "[n, 6, h, 6]");
  EXPECT_EQ(dims_of("ConvTranspose", {f32({"n", 4, "h", "w"}), f32({4, 3, 2, 4})}, {{"strides", Ints{2, 3}}, {"output_padding", Ints{1, 0}}}),
            "[n, 3, 2*h + 1, 3*w + 1]");
  EXPECT_EQ(dims_of("ConvTranspose", {f32({"n", 4, "h", "w"}), w}, {{"strides", Ints{2, 2}}, {"auto_pad", std::string("SAME_LOWER")}}),
            "[n, 3, 2*h, 2*w]");
  EXPECT_EQ(dims_of("ConvTranspose", {f32({"n", 4, Dim(), "w"}), w}, {}), "[n, 3, ?, w + 2]");
  EXPECT_EQ(dims_of("ConvTranspose", {f32({"n", 4, "h", "w"}), w}, {{"output_shape", Ints{9, 8}}}), "[n, 3, 9, 8]");
}
TEST(ConvTransposeRule, SaysWhatDoesNotFit) {
  const Input x = f32({1, 4, 5, 5}), w = f32({4, 3, 3, 3});
  expect_refused("channels of the input are not those of the weight", "ConvTranspose", {x, f32({5, 3, 3, 3})});
  expect_refused("as many axes", "ConvTranspose", {x, f32({4, 3, 3})});
  expect_refused("pads take the whole output", "ConvTranspose", {x, w}, {{"pads", Ints{4, 4, 4, 4}}});
  expect_refused("output_padding needs one value", "ConvTranspose", {x, w}, {{"output_padding", Ints{1}}});
  expect_refused("overflows", "ConvTranspose", {x, w}, {{"strides", Ints{int64_t{1} << 62, 1}}});
  expect_refused("one value an output channel", "ConvTranspose", {x, w, f32({4})});
}

TEST(ResizeRule, KnowsSizesByScalesOrByThemselves) {
  const Input x = f32({"n", 3, 8, "w"});
  EXPECT_EQ(dims_of("Resize", {x, absent(), scales({1, 1, 1.5f, 2})}), "[n, 3, 12, 2*w]");
  EXPECT_EQ(dims_of("Resize", {x, absent(), scales({1, 1, 1, 0.5f})}), "[n, 3, 8, floor(w/2)]");
  EXPECT_EQ(dims_of("Resize", {x, absent(), scales({1, 1, 1, 2.25f})}), "[n, 3, 8, floor((9*w)/4)]");
  EXPECT_EQ(dims_of("Resize", {x, absent(), scales({1, 1, 1, 0.3f})}), "[n, 3, 8, ?]");  // no number of halves: float decides
  EXPECT_EQ(dims_of("Resize", {x, absent(), absent(), list({1, 3, 20, 30})}), "[1, 3, 20, 30]");
  EXPECT_EQ(dims_of("Resize", {x, absent(), absent(), list({30})}, {{"axes", Ints{-1}}}), "[n, 3, 8, 30]");
  EXPECT_EQ(dims_of("Resize", {x, absent(), f32({4})}), "[?, ?, ?, ?]");
}
TEST(ResizeRule, SaysWhatDoesNotFit) {
  const Input x = f32({1, 3, 8, 8});
  expect_refused("either scales or sizes", "Resize", {x});
  expect_refused("scales needs one value an axis", "Resize", {x, absent(), scales({2, 2})});
  expect_refused("a scale must be positive", "Resize", {x, absent(), scales({1, 1, 0, 1})});
  expect_refused("too large", "Resize", {x, absent(), scales({1, 1, 3e38f, 1})});
  expect_refused("no such value", "Resize", {x, absent(), scales({1, 1, 2, 2})}, {{"mode", std::string("sinc")}});
  expect_refused("needs a roi", "Resize", {x, absent(), scales({1, 1, 2, 2})},
                 {{"coordinate_transformation_mode", std::string("tf_crop_and_resize")}});
}

TEST(SamplingRules, TakeSizesFromGridsAndRegions) {
  EXPECT_EQ(dims_of("GridSample", {f32({"n", 3, 8, 8}), f32({"n", "h", 5, 2})}), "[n, 3, h, 5]");
  EXPECT_EQ(dims_of("RoiAlign", {f32({"n", 16, 8, 8}), f32({"regions", 4}), i64({"regions"})}, {{"output_height", int64_t{7}}}),
            "[regions, 16, 7, 1]");
  EXPECT_EQ(dims_of("AffineGrid", {f32({"n", 2, 3}), list({5, 3, 8, 9})}), "[5, 8, 9, 2]");
  expect_refused("one position an axis", "GridSample", {f32({1, 3, 8, 8}), f32({1, 4, 5, 3})});
  expect_refused("differ in the batch", "GridSample", {f32({1, 3, 8, 8}), f32({2, 4, 5, 2})});
  expect_refused("rois must have one row a region", "RoiAlign", {f32({1, 16, 8, 8}), f32({9, 5}), i64({9})});
  expect_refused("one image a region", "RoiAlign", {f32({1, 16, 8, 8}), f32({9, 4}), i64({8})});
  expect_refused("offset_group must divide", "DeformConv", {f32({1, 3, 8, 8}), f32({2, 3, 1, 1}), f32({1, 4, 8, 8})},
                 {{"offset_group", int64_t{2}}});
  expect_refused("does not fit X, W", "DeformConv", {f32({1, 3, 8, 8}), f32({2, 3, 3, 3}), f32({1, 18, 8, 8})});
}

TEST(FoldRules, CheckColumnsAndIndices) {
  EXPECT_EQ(dims_of("Col2Im", {f32({"n", 12, 9}), list({4, 4}), list({2, 2})}), "[n, 3, 4, 4]");
  EXPECT_EQ(
      dims_of("MaxUnpool", {f32({"n", 2, 3, 3}), i64({"n", 2, 3, 3})}, {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}}),
      "[n, 2, 6, 6]");
  expect_refused("one column a block", "Col2Im", {f32({1, 12, 8}), list({4, 4}), list({2, 2})});
  expect_refused("no multiple of the block", "Col2Im", {f32({1, 10, 9}), list({4, 4}), list({2, 2})});
  expect_refused("kernel_shape is required", "MaxUnpool", {f32({1, 2, 3, 3}), i64({1, 2, 3, 3})});
  expect_refused("differ in shape", "MaxUnpool", {f32({1, 2, 3, 3}), i64({1, 2, 3, 4})}, {{"kernel_shape", Ints{2, 2}}});
}

TEST(ChannelRules, CheckGroupsAndBlocks) {
  EXPECT_EQ(dims_of("DepthToSpace", {f32({"n", 12, "h", 5})}, {{"blocksize", int64_t{2}}}), "[n, 3, 2*h, 10]");
  EXPECT_EQ(dims_of("GroupNormalization", {f32({"n", 6, "h"}), f32({6}), f32({6})}, {{"num_groups", int64_t{3}}}), "[n, 6, h]");
  expect_refused("blocksize does not divide", "DepthToSpace", {f32({1, 6, 4, 4})}, {{"blocksize", int64_t{2}}});
  expect_refused("blocksize must be positive", "SpaceToDepth", {f32({1, 6, 4, 4})});
  expect_refused("num_groups must divide", "GroupNormalization", {f32({1, 6, 4}), f32({6}), f32({6})},
                 {{"num_groups", int64_t{4}}});
  expect_refused("num_groups is required", "GroupNormalization", {f32({1, 6, 4}), f32({6}), f32({6})});
  expect_refused("one value a channel", "InstanceNormalization", {f32({1, 6, 4}), f32({5}), f32({6})});
  expect_refused("size must be positive", "LRN", {f32({1, 6, 4, 4})});
}

}  // namespace
}  // namespace tandem
