// Every storage form of TensorProto, and every way in which its data may not be what its dims say.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "runtime/onnx/onnx.h"
#include "tests/runtime/onnx/wire.h"

namespace tandem {
namespace {

using namespace testing;
using ::testing::AllOf;
using ::testing::HasSubstr;

Tensor read(const Wire& tensor) {
  const Graph graph = parse_onnx(model_proto(Wire().message(kInitializerField, tensor)));
  return graph.values.at(0).data;
}

std::string fault(const Wire& tensor) {
  try {
    read(tensor);
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << error.what();
    return error.what();
  }
}

template <class T>
std::string raw(std::initializer_list<T> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(T)};
}

constexpr int kRaw = 9, kInt32 = 5, kString = 6, kInt64 = 7, kDouble = 10, kUint64 = 11;

TEST(OnnxTensor, ReadsRawDataOfEachType) {
  EXPECT_TRUE(identical(read(tensor_proto("t", 1, {2}).text(kRaw, raw<float>({1.5f, -2}))), Tensor::of<float>({2}, {1.5f, -2})));
  EXPECT_TRUE(identical(read(tensor_proto("t", 11, {1}).text(kRaw, raw<double>({0.1}))), Tensor::of<double>({1}, {0.1})));
  EXPECT_TRUE(identical(read(tensor_proto("t", 7, {2}).text(kRaw, raw<int64_t>({-1, 2}))), Tensor::of<int64_t>({2}, {-1, 2})));
  EXPECT_TRUE(identical(read(tensor_proto("t", 5, {1}).text(kRaw, raw<int16_t>({-3}))), Tensor::of<int16_t>({1}, {-3})));
  EXPECT_TRUE(identical(read(tensor_proto("t", 12, {1}).text(kRaw, raw<uint32_t>({7}))), Tensor::of<uint32_t>({1}, {7})));
  // Any non-zero byte is true.
  EXPECT_TRUE(identical(read(tensor_proto("t", 9, {3}).text(kRaw, std::string("\0\1\7", 3))),
                        Tensor::of<bool>({3}, {false, true, true})));
  const Tensor half = read(tensor_proto("t", 10, {1}).text(kRaw, raw<uint16_t>({0x3c00})));
  EXPECT_EQ(half.dtype(), DType::kF16);
  EXPECT_EQ(half.view().raw<uint16_t>()[0], 0x3c00);
  EXPECT_EQ(read(tensor_proto("t", 16, {1}).text(kRaw, raw<uint16_t>({0x3f80}))).dtype(), DType::kBF16);
}

TEST(OnnxTensor, ReadsTypedDataOfEachType) {
  EXPECT_TRUE(identical(read(tensor_proto("t", 11, {1}).f64(kDouble, 0.1)), Tensor::of<double>({1}, {0.1})));
  EXPECT_TRUE(identical(read(tensor_proto("t", 6, {1}).number(kInt32, -5)), Tensor::of<int32_t>({1}, {-5})));
  EXPECT_TRUE(identical(read(tensor_proto("t", 3, {1}).number(kInt32, -128)), Tensor::of<int8_t>({1}, {-128})));
  EXPECT_TRUE(identical(read(tensor_proto("t", 2, {1}).number(kInt32, 255)), Tensor::of<uint8_t>({1}, {255})));
  EXPECT_TRUE(
      identical(read(tensor_proto("t", 9, {2}).number(kInt32, 1).number(kInt32, 0)), Tensor::of<bool>({2}, {true, false})));
  EXPECT_TRUE(identical(read(tensor_proto("t", 7, {1}).number(kInt64, -9)), Tensor::of<int64_t>({1}, {-9})));
  EXPECT_TRUE(identical(read(tensor_proto("t", 12, {1}).number(kUint64, 9)), Tensor::of<uint32_t>({1}, {9})));
  EXPECT_TRUE(identical(read(tensor_proto("t", 13, {1}).number(kUint64, -1)), Tensor::of<uint64_t>({1}, {UINT64_MAX})));
  EXPECT_EQ(read(tensor_proto("t", 10, {1}).number(kInt32, 0x3c00)).view().raw<uint16_t>()[0], 0x3c00);
  const Tensor text = read(tensor_proto("t", 8, {2}).text(kString, "a").text(kString, std::string("\0b", 2)));
  EXPECT_EQ(text.as<std::string_view>()[1], std::string_view("\0b", 2));
  EXPECT_EQ(read(tensor_proto("t", 1, {0, 5})).shape(), Shape({0, 5}));
  EXPECT_EQ(read(tensor_proto("t", 1, {}).f32(4, 2)).shape(), Shape({}));
}

TEST(OnnxTensor, RefusesDataThatDoesNotMatchTheDims) {
  EXPECT_THAT(fault(tensor_proto("t", 1, {2}).text(kRaw, std::string(7, 'a'))), AllOf(HasSubstr("'t'"), HasSubstr("7, 8")));
  EXPECT_THAT(fault(tensor_proto("t", 1, {2}).text(kRaw, std::string(12, 'a'))), HasSubstr("length"));
  EXPECT_THAT(fault(tensor_proto("t", 1, {2}).f32(4, 1)), HasSubstr("number of elements"));
  EXPECT_THAT(fault(tensor_proto("t", 1, {1}).f32(4, 1).f32(4, 1)), HasSubstr("number of elements"));
  EXPECT_THAT(fault(tensor_proto("t", 1, {1}).number(kInt32, 1)), HasSubstr("number of elements"));  // the wrong field
  EXPECT_THAT(fault(tensor_proto("t", 8, {2}).text(kString, "one")), HasSubstr("number of strings"));
  EXPECT_THAT(fault(tensor_proto("t", 8, {1}).text(kRaw, "one")), HasSubstr("strings cannot"));
  EXPECT_THAT(fault(tensor_proto("t", 1, {1}).f32(4, 1).text(kRaw, raw<float>({1}))), HasSubstr("more than one form"));
  EXPECT_THAT(fault(tensor_proto("t", 3, {1}).number(kInt32, 128)), AllOf(HasSubstr("does not fit"), HasSubstr("128")));
  EXPECT_THAT(fault(tensor_proto("t", 2, {1}).number(kInt32, -1)), HasSubstr("does not fit"));
}

TEST(OnnxTensor, TakesNoMemoryForAClaim) {
  EXPECT_THAT(fault(tensor_proto("t", 1, {int64_t{1} << 30})), HasSubstr("number of elements"));
  EXPECT_THAT(fault(tensor_proto("t", 1, {int64_t{1} << 40, int64_t{1} << 40})), HasSubstr("overflow"));
  EXPECT_THAT(fault(tensor_proto("t", 1, {int64_t{1} << 62})), HasSubstr("overflow"));
  EXPECT_THAT(fault(tensor_proto("t", 1, {int64_t{1} << 40})), HasSubstr("limit"));
  EXPECT_THAT(fault(tensor_proto("t", 1, {-1})), HasSubstr("negative"));
  EXPECT_THAT(fault(tensor_proto("t", 1, {1, 1, 1, 1, 1, 1, 1, 1, 1}).f32(4, 1)), HasSubstr("rank"));
}

TEST(OnnxTensor, RefusesTypesItDoesNotStore) {
  EXPECT_THAT(fault(tensor_proto("t", 14, {0})), HasSubstr("COMPLEX64"));
  EXPECT_THAT(fault(tensor_proto("t", 15, {0})), HasSubstr("COMPLEX128"));
  EXPECT_THAT(fault(tensor_proto("t", 0, {0})), HasSubstr("UNDEFINED"));
  EXPECT_THAT(fault(tensor_proto("t", 257, {0})), HasSubstr("257"));
  EXPECT_THAT(fault(tensor_proto("t", -255, {0})), HasSubstr("not supported"));
  EXPECT_THAT(fault(tensor_proto("t", 1, {0}).message(3, Wire().number(1, 0).number(2, 1))), HasSubstr("segment"));
}

}  // namespace
}  // namespace tandem
