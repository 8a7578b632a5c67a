// Requests right and wrong: cases A7 to A10 of the list of attacks, each with what the client is told.
#include "serving/protocol/infer_request.h"

#include "kernels/base/half.h"
#include "serving/protocol/raw_request.h"

#include <gmock/gmock.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <random>

namespace tandem {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

InferRequest parse(std::string_view body, std::optional<std::string_view> json_bytes = {}) {
  return parse_infer_request(body, json_bytes, Limits{});
}

// The message of the InvalidArgument that the body is refused with.
std::string fault(std::string_view body, std::optional<std::string_view> json_bytes = {}) {
  try {
    parse(body, json_bytes);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "accepted";
}

std::string one_input(std::string_view datatype, std::string_view shape, std::string_view data) {
  return R"({"inputs":[{"name":"x","datatype":")" + std::string(datatype) + R"(","shape":)" + std::string(shape) + R"(,"data":)" +
         std::string(data) + "}]}";
}
Tensor tensor(std::string_view datatype, std::string_view shape, std::string_view data) {
  return parse(one_input(datatype, shape, data)).inputs.at(0).tensor;
}

std::string with_blob(std::string json, std::string_view blob, std::string* header) {
  *header = std::to_string(json.size());
  return json.append(blob);
}

TEST(InferRequest, ReadsEveryDatatypeFromJson) {
  EXPECT_THAT(tensor("FP32", "[3]", "[1, -2.5, 1e-3]").as<float>(), ElementsAre(1.0f, -2.5f, 1e-3f));
  EXPECT_THAT(tensor("FP64", "[2]", "[0.1, 18446744073709551615]").as<double>(), ElementsAre(0.1, 18446744073709551615.0));
  EXPECT_THAT(tensor("BOOL", "[2]", "[true, false]").as<bool>(), ElementsAre(true, false));
  EXPECT_THAT(tensor("UINT8", "[2]", "[0, 255]").as<uint8_t>(), ElementsAre(0, 255));
  EXPECT_THAT(tensor("INT8", "[2]", "[-128, 127]").as<int8_t>(), ElementsAre(-128, 127));
  EXPECT_THAT(tensor("UINT16", "[1]", "[65535]").as<uint16_t>(), ElementsAre(65535));
  EXPECT_THAT(tensor("INT16", "[1]", "[-32768]").as<int16_t>(), ElementsAre(-32768));
  EXPECT_THAT(tensor("INT32", "[1]", "[-2147483648]").as<int32_t>(), ElementsAre(std::numeric_limits<int32_t>::min()));
  EXPECT_THAT(tensor("UINT32", "[1]", "[4294967295]").as<uint32_t>(), ElementsAre(4294967295u));
  EXPECT_THAT(tensor("INT64", "[2]", "[-9223372036854775808, 9223372036854775807]").as<int64_t>(),
              ElementsAre(INT64_MIN, INT64_MAX));
  EXPECT_THAT(tensor("UINT64", "[1]", "[18446744073709551615]").as<uint64_t>(), ElementsAre(UINT64_MAX));
  EXPECT_THAT(tensor("BYTES", "[3]", R"(["State-gov", "", "gr\u00fc\u00df"])").as<std::string_view>(),
              ElementsAre("State-gov", "", "grüß"));
}

TEST(InferRequest, KeepsDenormalsAndMinusZero) {
  const Tensor x = tensor("FP32", "[2]", "[1e-45, -0.0]");
  EXPECT_EQ(x.as<float>()[0], std::numeric_limits<float>::denorm_min());
  EXPECT_TRUE(std::signbit(x.as<float>()[1]));
}

TEST(InferRequest, DataMayBeNestedOrFlat) {
  EXPECT_TRUE(identical(tensor("INT32", "[2,3]", "[[1,2,3],[4,5,6]]"), tensor("INT32", "[2,3]", "[1,2,3,4,5,6]")));
  EXPECT_EQ(tensor("INT32", "[]", "[7]").shape(), Shape{});
  EXPECT_EQ(tensor("INT32", "[0,4]", "[]").elements(), 0);
}

TEST(InferRequest, ReadsMembersInAnyOrderAndIgnoresUnknownOnes) {
  const InferRequest request =
      parse(R"({"more":[{}],"outputs":[{"parameters":{"binary_data":true,"classification":3},"name":"y"}],
    "inputs":[{"data":[1],"parameters":{"note":1},"shape":[1],"name":"x","datatype":"INT8"}],
    "parameters":{"timeout":1500,"binary_data_output":true,"priority":0,"mine":"x"},"id":"r1"})");
  EXPECT_EQ(request.id, "r1");
  EXPECT_EQ(request.timeout, std::chrono::microseconds(1500));
  EXPECT_TRUE(request.binary_output);
  ASSERT_EQ(request.outputs.size(), 1u);
  EXPECT_EQ(request.outputs[0].name, "y");
  EXPECT_EQ(request.outputs[0].binary, true);
  EXPECT_EQ(request.outputs[0].classes, 3);
}

TEST(InferRequest, RangeOfIntegersIsChecked) {
  EXPECT_THAT(fault(one_input("UINT8", "[2]", "[1, 256]")), HasSubstr("input 'x': 'data' element 1 is not an integer in range"));
  EXPECT_THAT(fault(one_input("UINT8", "[1]", "[-1]")), HasSubstr("in range"));
  EXPECT_THAT(fault(one_input("INT8", "[1]", "[-129]")), HasSubstr("in range"));
  EXPECT_THAT(fault(one_input("INT64", "[1]", "[9223372036854775808]")), HasSubstr("in range"));
  EXPECT_THAT(fault(one_input("INT32", "[1]", "[1.5]")), HasSubstr("is not an integer (datatype INT32)"));
  EXPECT_THAT(fault(one_input("FP32", "[1]", "[1e39]")), HasSubstr("a number in range"));
  EXPECT_THAT(fault(one_input("FP32", "[1]", R"(["1"])")), HasSubstr("is not a number"));
  EXPECT_THAT(fault(one_input("BOOL", "[1]", "[1]")), HasSubstr("true or false"));
  EXPECT_THAT(fault(one_input("BYTES", "[1]", "[1]")), HasSubstr("is not a string"));
  EXPECT_THAT(fault(one_input("FP16", "[1]", "[65520]")), HasSubstr("a number in range"));
  EXPECT_THAT(fault(one_input("BF16", "[1]", "[1e39]")), HasSubstr("a number in range"));
}

TEST(InferRequest, HalvesAsNumbers) {
  const InferRequest half = parse(one_input("FP16", "[3]", "[1.5,-0.25,65504]")),
                     brain = parse(one_input("BF16", "[2]", "[1.5,1e38]"));
  std::vector<float> halves, brains;
  for (F16 value : half.inputs[0].tensor.as<F16>()) halves.push_back(to_float(value));
  for (BF16 value : brain.inputs[0].tensor.as<BF16>()) brains.push_back(to_float(value));
  EXPECT_THAT(halves, ElementsAre(1.5f, -0.25f, 65504.0f));
  EXPECT_EQ(brains[0], 1.5f);
  EXPECT_NEAR(brains[1] / 1e38f, 1, 1.0 / 256);
}

TEST(InferRequest, ARawBodyIsTheOnlyInput) {
  const Signature rows{{{"x", DType::kF32, {"n", 2}}}, {}, true, "n"}, open{{{"x", DType::kI16, {3, "k"}}}, {}, false, ""},
      text{{{"s", DType::kString, {"n"}}}, {}, true, "n"}, two{{{"a", DType::kF32, {1}}, {"b", DType::kF32, {1}}}, {}, false, ""},
      wide{{{"x", DType::kF32, {"a", "b"}}}, {}, false, ""};
  const InferRequest one = parse_raw_request(std::string(8, '\0'), "m", rows);
  EXPECT_EQ(one.inputs[0].tensor.shape(), Shape({1, 2}));
  EXPECT_TRUE(one.binary_output);
  EXPECT_EQ(parse_raw_request(std::string(24, '\0'), "m", open).inputs[0].tensor.shape(), Shape({3, 4}));
  EXPECT_THAT(parse_raw_request("hello", "m", text).inputs[0].tensor.as<std::string_view>(), ElementsAre("hello"));
  const auto refusal = [](std::string_view body, const Signature& signature) {
    try {
      parse_raw_request(body, "m", signature);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      return std::string(error.what());
    }
    return std::string("accepted");
  };
  EXPECT_THAT(refusal(std::string(16, '\0'), rows), HasSubstr("needs 8 bytes"));
  EXPECT_THAT(refusal(std::string(25, '\0'), open), HasSubstr("unexpected size"));
  EXPECT_THAT(refusal("", two), HasSubstr("more inputs than one"));
  EXPECT_THAT(refusal("", wide), HasSubstr("more than one dimension"));
}

TEST(InferRequest, JsonThatIsNone) {
  for (const char* body :
       {"", "{", "[]", "null", "{\"inputs\":[}", "\xEF\xBB\xBF{", "{\"inputs\":\"\xFF\"}", "{\"inputs\":\"\\ud800\"}", "{} {}"})
    EXPECT_NE(fault(body), "accepted") << body;
  EXPECT_NE(fault(one_input("FP32", "[1]", "[1e400]")), "accepted");
  EXPECT_NE(fault(one_input("FP32", "[1]", "[NaN]")), "accepted");
  EXPECT_NE(fault(one_input("BYTES", "[1]", "[\"\xC3\x28\"]")), "accepted");
}

TEST(InferRequest, DepthIsLimited) {
  for (const size_t depth : {200u, 100'000u, 1'000'000u}) {
    const std::string nested = std::string(depth, '[') + std::string(depth, ']');
    EXPECT_THAT(fault(one_input("FP32", "[1]", nested)), HasSubstr("nested deeper than 100")) << depth;
    EXPECT_THAT(fault(std::string(depth, '[')), testing::Not("accepted")) << depth;
  }
  const std::string allowed = std::string(20, '[') + "1" + std::string(20, ']');
  EXPECT_THAT(fault(one_input("FP32", "[1]", allowed)), HasSubstr("is not a number"));
}

TEST(InferRequest, AMillionKeysAreReadInLinearTime) {
  std::string body = "{";
  for (int i = 0; i < 1'000'000; ++i) body += "\"k" + std::to_string(i) + "\":0,";
  body += R"("inputs":[{"name":"x","shape":[1],"datatype":"INT8","data":[1]}]})";
  EXPECT_EQ(parse(body).inputs.size(), 1u);
}

TEST(InferRequest, DuplicatesAreRefused) {
  EXPECT_THAT(fault(R"({"inputs":[],"inputs":[]})"), HasSubstr("'inputs' stands there twice"));
  EXPECT_THAT(fault(R"({"inputs":[{"name":"x","name":"x"}]})"), HasSubstr("'name' stands there twice"));
  const std::string x = R"({"name":"x","shape":[1],"datatype":"INT8","data":[1]})";
  EXPECT_THAT(fault("{\"inputs\":[" + x + "," + x + "]}"), HasSubstr("input 'x' already exists in request"));
  EXPECT_THAT(fault("{\"inputs\":[" + x + R"(],"outputs":[{"name":"y"},{"name":"y"}]})"),
              HasSubstr("output 'y' already exists in request"));
}

TEST(InferRequest, ShapesThatCannotBe) {
  EXPECT_THAT(fault(one_input("FP32", "[4294967296, 4294967296]", "[1]")),
              HasSubstr("causes total element count to exceed maximum size of"));
  EXPECT_THAT(fault(one_input("FP32", "[-1]", "[1]")), HasSubstr("must be a non-negative integer"));
  EXPECT_THAT(fault(one_input("FP32", "[1.0]", "[1]")), HasSubstr("must be a non-negative integer"));
  EXPECT_THAT(fault(one_input("FP32", "[18446744073709551615]", "[1]")), HasSubstr("out of range"));
  EXPECT_THAT(fault(one_input("FP32", "3", "[1]")), HasSubstr("'shape' must be an array"));
  std::string dims = "[1";
  for (int i = 1; i < 1000; ++i) dims += ",1";
  EXPECT_THAT(fault(one_input("FP32", dims + "]", "[1]")), HasSubstr("'shape' has more than 8 dimensions"));
}

TEST(InferRequest, NothingIsAllocatedByAClaimedSize) {
  EXPECT_THAT(fault(one_input("FP64", "[1000000000000]", "[1]")), HasSubstr("Shape does not match true shape of 'data' field"));
  EXPECT_THAT(fault(one_input("BYTES", "[1000000000000]", "[\"a\"]")),
              HasSubstr("Shape does not match true shape of 'data' field"));
}

TEST(InferRequest, CountsMustMatchTheShape) {
  for (const char* data : {"[]", "[1,2,3]", "[1,2,3,4,5]", "[[1,2],[3]]", "[[1,2,3],[4]]", "[[1,2],[3,4],[5,6]]", "[[1,2],3]",
                           "[[[1],[2]],[[3],[4]]]"})
    EXPECT_NE(fault(one_input("INT32", "[2,2]", data)), "accepted") << data;
  EXPECT_THAT(fault(one_input("INT32", "[2,2]", "[1,2,3]")), HasSubstr("expected 4 elements for shape [2, 2]"));
  EXPECT_THAT(fault(one_input("INT32", "[1]", "5")), HasSubstr("'data' must be an array"));
}

TEST(InferRequest, MembersThatAreMissingOrWrong) {
  EXPECT_THAT(fault("{}"), HasSubstr("the request has no 'inputs'"));
  EXPECT_THAT(fault(R"({"inputs":{}})"), HasSubstr("'inputs' must be an array"));
  EXPECT_THAT(fault(R"({"inputs":[1]})"), HasSubstr("must be an object"));
  EXPECT_THAT(fault(R"({"id":1,"inputs":[]})"), HasSubstr("'id' must be a string"));
  EXPECT_THAT(fault(R"({"inputs":[{"shape":[1]}]})"), HasSubstr("has no 'name'"));
  EXPECT_THAT(fault(R"({"inputs":[{"name":"x"}]})"), HasSubstr("input 'x' has no 'shape'"));
  EXPECT_THAT(fault(R"({"inputs":[{"name":"x","shape":[1]}]})"), HasSubstr("has no 'datatype'"));
  EXPECT_THAT(fault(one_input("FLOAT", "[1]", "[1]")), HasSubstr("unknown datatype 'FLOAT'"));
  EXPECT_THAT(fault(R"({"inputs":[{"name":"x","shape":[1],"datatype":"INT8"}]})"),
              HasSubstr("Input must set only one of the following fields"));
  EXPECT_THAT(fault(R"({"inputs":[],"parameters":{"triton_x":1}})"), HasSubstr("reserved"));
  EXPECT_THAT(fault(R"({"inputs":[],"parameters":{"timeout":-1}})"), HasSubstr("'timeout' must be a non-negative integer"));
}

TEST(InferRequest, BinaryTensorsFollowTheJson) {
  const float values[] = {1.5f, std::numeric_limits<float>::quiet_NaN()};
  std::string blob(reinterpret_cast<const char*>(values), sizeof values);
  blob += std::string("\x03\0\0\0abc\0\0\0\0", 11);
  std::string header;
  const std::string body = with_blob(R"({"inputs":[{"name":"x","shape":[2],"datatype":"FP32","parameters":{"binary_data_size":8}},
    {"name":"j","shape":[1],"datatype":"INT8","data":[4]},
    {"name":"s","shape":[2,1],"datatype":"BYTES","parameters":{"binary_data_size":11}}]})",
                                     blob, &header);
  const InferRequest request = parse(body, header);
  EXPECT_EQ(std::memcmp(request.inputs[0].tensor.view().data, values, sizeof values), 0);
  EXPECT_THAT(request.inputs[2].tensor.as<std::string_view>(), ElementsAre("abc", ""));
}

TEST(InferRequest, BinaryTensorsLieInABodyThatIsKept) {
  const std::string json = R"({"inputs":[{"name":"a","shape":[2],"datatype":"FP32","parameters":{"binary_data_size":8}},
    {"name":"b","shape":[3],"datatype":"UINT8","parameters":{"binary_data_size":3}},{"name":"c","shape":[1],"datatype":"INT16","parameters":{"binary_data_size":2}}]})";
  const size_t begin = 64 - json.size() % 64, size = json.size() + 13;
  const std::shared_ptr<std::byte[]> memory(new std::byte[begin + size + 64]);
  auto* const body = reinterpret_cast<char*>(memory.get()) + (64 - reinterpret_cast<uintptr_t>(memory.get()) % 64) % 64 + (begin % 64);
  std::memcpy(body, json.data(), json.size());
  for (size_t i = 0; i < 13; ++i) body[json.size() + i] = static_cast<char>(i + 1);
  const InferRequest request = parse_infer_request({body, size}, std::to_string(json.size()), Limits{}, nullptr, memory);
  const auto place = [&](size_t input) { return reinterpret_cast<const char*>(std::as_const(request.inputs[input].tensor).view().data); };
  EXPECT_EQ(place(0), body + json.size());
  EXPECT_EQ(place(1), body + json.size() + 8);
  EXPECT_NE(place(2), body + json.size() + 11) << "not aligned there";
  EXPECT_EQ(std::as_const(request.inputs[2].tensor).as<int16_t>()[0], 0x0D0C);
  EXPECT_EQ(memory.use_count(), 3);
}

TEST(InferRequest, BinarySizesMustFitToTheByte) {
  const auto binary = [](std::string_view datatype, std::string_view shape, std::string_view size, std::string_view blob) {
    std::string header;
    const std::string body =
        with_blob(R"({"inputs":[{"name":"x","datatype":")" + std::string(datatype) + R"(","shape":)" + std::string(shape) +
                      R"(,"parameters":{"binary_data_size":)" + std::string(size) + "}}]}",
                  blob, &header);
    return fault(body, header);
  };
  EXPECT_THAT(binary("FP32", "[1]", "4", "abc"), HasSubstr("expecting 1 additional bytes for model"));
  EXPECT_THAT(binary("FP32", "[1]", "4", "abcde"), HasSubstr("unexpected additional input data for model"));
  EXPECT_THAT(binary("FP32", "[1]", "3", "abc"), HasSubstr("shape [1] needs 4 bytes, binary_data_size is: 3"));
  EXPECT_THAT(binary("FP32", "[1000000000000]", "4", "abcd"), HasSubstr("unexpected size for input 'x'"));
  EXPECT_THAT(binary("FP64", "[4611686018427387904]", "8", "12345678"), HasSubstr("overflows"));
  EXPECT_THAT(binary("FP32", "[1]", "-4", "abcd"), HasSubstr("non-negative integer"));
  EXPECT_THAT(binary("BOOL", "[1]", "1", "\x02"), HasSubstr("neither 0 nor 1"));
  EXPECT_THAT(binary("BYTES", "[1]", "4", std::string_view("\xFF\xFF\xFF\xFF", 4)), HasSubstr("ends inside a BYTES element"));
  EXPECT_THAT(binary("BYTES", "[2]", "4", std::string_view("\0\0\0\0", 4)), HasSubstr("too short for its BYTES elements"));
  EXPECT_THAT(binary("BYTES", "[1]", "8", std::string_view("\0\0\0\0\0\0\0\0", 8)), HasSubstr("goes on after the last"));
  EXPECT_THAT(binary("BYTES", "[1000000000000]", "4", std::string_view("\0\0\0\0", 4)), HasSubstr("too short"));
}

// What takes the arrays of 'data' out before the rest is parsed must find these, and no others.
TEST(InferRequest, DataIsFoundWhereverItStands) {
  const auto values = [](const Tensor& tensor) { return std::vector<float>(tensor.as<float>().begin(), tensor.as<float>().end()); };
  const InferRequest plain = parse(R"({"inputs":[{"data":[1],"name":"a","shape":[1],"datatype":"FP32"},{"name":"b","shape":[2],"datatype":"FP32","data":[0,2]}]})");
  EXPECT_THAT(values(plain.inputs[0].tensor), ElementsAre(1));
  EXPECT_THAT(values(plain.inputs[1].tensor), ElementsAre(0, 2));
  const InferRequest others = parse(
      R"({"data":[5],"parameters":{"data":[6],"inputs":[{"data":[7]}]},"outputs":[{"name":"data","data":[8]}],
          "inputs":[{"parameters":{"data":[9,9]},"more":{"inputs":[{"data":[10]}]},"name":"data","shape":[1],"datatype":"FP32","data":[11]}]})");
  EXPECT_THAT(values(others.inputs[0].tensor), ElementsAre(11));
  const InferRequest escaped = parse(R"({"inp\u0075ts":[{"name":"a\"\\","shape":[1],"datatype":"FP32","d\u0061ta":[3]}]})");
  EXPECT_THAT(values(escaped.inputs[0].tensor), ElementsAre(3));
  EXPECT_EQ(escaped.inputs[0].name, "a\"\\");
  const InferRequest spaced = parse("{ \"inputs\" :\n[ { \"data\"\t: [ [ 1 , 2 ] ,\r[3,4] ] , \"name\":\"x\",\"shape\":[ 2,2 ],\"datatype\":\"FP32\"} ] }");
  EXPECT_THAT(values(spaced.inputs[0].tensor), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(tensor("BYTES", "[3]", R"(["]","[\"","\\"])").as<std::string_view>(), ElementsAre("]", "[\"", "\\"));
  EXPECT_THAT(fault(R"({"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1],"data":[1]}]})"), HasSubstr("'data' stands there twice"));
  EXPECT_THAT(fault(R"({"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":0}]})"), HasSubstr("'data' must be an array"));
  EXPECT_THAT(fault(R"({"inputs":[["data",[0]]]})"), HasSubstr("must be an object"));
}

// Whatever is done to a request: if it is taken, it was JSON, and the numbers are those that another parser finds.
TEST(InferRequest, DamagedRequestsAreTakenOnlyAsWhatTheyAre) {
  const std::string whole =
      R"({"id":"r","inputs":[{"name":"x","shape":[2,3],"datatype":"FP32","data":[[1.5,-2,3e2],[0.25,12345678.5,-0.0]]},)"
      R"( {"name":"t","shape":[2],"datatype":"BYTES","data":["a]","[b"]},{"name":"i","shape":[4],"datatype":"INT32","data":[1,-20,300,4]}]})";
  ASSERT_EQ(fault(whole), "accepted");
  constexpr std::string_view kPieces = "[]{},:\"\\0123456789.-eE \nadtins";
  std::mt19937 random(4);
  int taken = 0;
  for (int i = 0; i < 100'000; ++i) {
    std::string text = whole;
    for (unsigned n = 1 + random() % 3; n > 0; --n) {
      const size_t at = random() % text.size();
      const char piece = kPieces[random() % kPieces.size()];
      switch (random() % 3) {
        case 0: text[at] = piece; break;
        case 1: text.insert(at, 1, piece); break;
        default: text.erase(at, 1 + random() % 4); break;
      }
    }
    InferRequest request;
    try {
      request = parse(text);
    } catch (const Error&) {
      continue;
    }
    ++taken;
    const auto other = nlohmann::json::parse(text, nullptr, false);
    ASSERT_FALSE(other.is_discarded()) << text;
    ASSERT_EQ(other["inputs"].size(), request.inputs.size()) << text;
    for (size_t k = 0; k < request.inputs.size(); ++k) {
      const Tensor& tensor = std::as_const(request.inputs[k].tensor);
      nlohmann::json flat = nlohmann::json::array();
      for (const auto& element : other["inputs"][k]["data"].flatten())
        if (!element.is_null()) flat.push_back(element);  // an empty array
      ASSERT_EQ(static_cast<int64_t>(flat.size()), tensor.elements()) << text;
      for (size_t e = 0; e < flat.size(); ++e) {
        if (tensor.dtype() == DType::kF32) {
          ASSERT_EQ(tensor.as<float>()[e], static_cast<float>(flat[e].get<double>())) << text;
        }
        if (tensor.dtype() == DType::kI32) {
          ASSERT_EQ(tensor.as<int32_t>()[e], flat[e].get<int64_t>()) << text;
        }
        if (tensor.dtype() == DType::kString) {
          ASSERT_EQ(tensor.as<std::string_view>()[e], flat[e].get<std::string>()) << text;
        }
      }
    }
  }
  EXPECT_GT(taken, 3'000);
}

TEST(InferRequest, LengthOfTheJsonMustBeWithinTheBody) {
  const std::string body = R"({"inputs":[]})";
  for (const char* header : {"-1", "14", "99999999999999999999", "abc", "1x", "", " 13", "0"})
    EXPECT_NE(fault(body, header), "accepted") << header;
  EXPECT_TRUE(parse(body, "13").inputs.empty());
}

TEST(InferRequest, DataAndBinaryExcludeEachOther) {
  EXPECT_THAT(fault(R"({"inputs":[{"name":"x","shape":[1],"datatype":"INT8","data":[1],"parameters":{"binary_data_size":1}}]})"),
              HasSubstr("Input must set only one of the following fields"));
  EXPECT_THAT(fault(R"({"inputs":[{"name":"x","shape":[1],"datatype":"INT8","parameters":{"shared_memory_region":"r"}}]})"),
              HasSubstr("shared memory is not allowed"));
}

TEST(InferRequest, LongNamesAreCutInMessages) {
  const std::string message = fault(R"({"inputs":[{"name":")" + std::string(1 << 20, 'n') + R"("}]})");
  EXPECT_LT(message.size(), 300u);
}

}  // namespace
}  // namespace tandem
