#include "serving/protocol/infer_message.h"

#include <gmock/gmock.h>

#include "inference_service.pb.h"
#include "kernels/base/error.h"
#include "serving/protocol/answer_message.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using Request = inference::ModelInferRequest;

std::shared_ptr<Request> request_of(const std::string& datatype, std::vector<int64_t> shape, std::string raw) {
  auto message = std::make_shared<Request>();
  auto& input = *message->add_inputs();
  input.set_name("x");
  input.set_datatype(datatype);
  for (int64_t dim : shape) input.add_shape(dim);
  message->add_raw_input_contents(std::move(raw));
  return message;
}

std::string bytes_of(const std::vector<float>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)};
}

TEST(InferMessage, RawNumbersStayInTheMessage) {
  auto message = request_of("FP32", {2, 3}, bytes_of({1, 2, 3, 4, 5, 6}));
  const void* const there = message->raw_input_contents(0).data();
  const InferRequest request = read_infer_message(message, {});
  message.reset();  // the tensor keeps it
  ASSERT_EQ(request.inputs.size(), 1u);
  EXPECT_EQ(request.inputs[0].tensor.view().data, there);
  EXPECT_THAT(request.inputs[0].tensor.as<float>(), ElementsAre(1, 2, 3, 4, 5, 6));
}

TEST(InferMessage, ReadsParametersAndOutputs) {
  const auto message = request_of("FP32", {1}, bytes_of({1}));
  message->set_id("i");
  (*message->mutable_parameters())["timeout"].set_int64_param(5);
  (*message->mutable_parameters())["priority"].set_uint64_param(2);
  (*message->mutable_parameters())["sequence_id"].set_int64_param(0);
  auto& output = *message->add_outputs();
  output.set_name("y");
  (*output.mutable_parameters())["classification"].set_int64_param(3);
  const InferRequest request = read_infer_message(message, {});
  EXPECT_EQ(request.id, "i");
  EXPECT_EQ(request.timeout, std::chrono::microseconds(5));
  EXPECT_EQ(request.priority, 2);
  EXPECT_EQ(request.outputs.at(0).classes, 3);
}

TEST(InferMessage, LengthsAreHeldAgainstTheShape) {
  const auto refused = [](const std::shared_ptr<Request>& message) { EXPECT_THROW(read_infer_message(message, {}), Error); };
  refused(request_of("FP32", {2}, bytes_of({1})));
  refused(request_of("FP32", {1}, "123"));
  refused(request_of("FP32", {1}, "12345"));
  refused(request_of("BYTES", {1}, std::string("\x05\0\0\0ab", 6)));
  refused(request_of("BYTES", {int64_t{1} << 40}, ""));
  refused(request_of("FP32", {int64_t{1} << 32, int64_t{1} << 32}, ""));
  refused(request_of("BOOL", {1}, "\x02"));
  EXPECT_EQ(read_infer_message(request_of("FP32", {0, 7}, ""), {}).inputs.at(0).tensor.elements(), 0);
}

// What was written by hand is what protobuf reads.
TEST(InferMessage, AnswersAreMessages) {
  const Tensor numbers = Tensor::of<float>({2}, {1.5F, -2});
  const std::vector<std::string> words{"a", ""};
  const Tensor texts = Tensor::strings({2}, std::span<const std::string>(words));
  const AnswerTensor answers[] = {{"n", numbers.view(), true, 0, false, {}}, {"t", texts.view(), true, 0, false, {}}, {"best", numbers.view(), true, 1, false, {}}};
  inference::ModelInferResponse response;
  ASSERT_TRUE(response.ParseFromString(write_infer_message({.model = "m", .version = 3, .id = "i"}, answers)));
  EXPECT_EQ(response.model_name() + response.model_version() + response.id(), "m3i");
  ASSERT_EQ(response.outputs_size(), 3);
  EXPECT_EQ(response.outputs(0).datatype(), "FP32");
  EXPECT_THAT(response.outputs(1).shape(), ElementsAre(2));
  EXPECT_EQ(response.raw_output_contents(0), bytes_of({1.5F, -2}));
  EXPECT_EQ(response.raw_output_contents(1), std::string("\x01\0\0\0a\0\0\0\0", 9));
  EXPECT_EQ(response.outputs(2).datatype(), "BYTES");
  EXPECT_EQ(response.raw_output_contents(2), std::string("\x0a\0\0\0", 4) + "1.500000:0");
  EXPECT_EQ(response.parameters_size(), 0);

  inference::ModelStreamInferResponse streamed;
  ASSERT_TRUE(streamed.ParseFromString(write_stream_message({.model = "m", .version = 3, .id = "i", .final_response = true}, answers)));
  EXPECT_TRUE(streamed.infer_response().parameters().at("triton_final_response").bool_param());
  (*response.mutable_parameters())["triton_final_response"].set_bool_param(true);
  EXPECT_EQ(streamed.infer_response().DebugString(), response.DebugString());

  ASSERT_TRUE(streamed.ParseFromString(write_stream_error("no", {.model = "m", .version = 0, .id = "i", .final_response = false})));
  EXPECT_EQ(streamed.error_message(), "no");
  EXPECT_EQ(streamed.infer_response().id(), "i");
  EXPECT_EQ(streamed.infer_response().model_version(), "");
}

// Every beginning of a whole message, and one with any one byte wrong, is read or refused.
TEST(InferMessage, SurvivesAnyDamage) {
  auto whole = request_of("BYTES", {2}, std::string("\x01\0\0\0a\0\0\0\0", 9));
  (*whole->mutable_parameters())["timeout"].set_int64_param(5);
  const std::string bytes = whole->SerializeAsString();
  const auto survives = [](const std::string& damaged) {
    const auto message = std::make_shared<Request>();
    if (!message->ParseFromString(damaged)) return;
    try {
      read_infer_message(message, {});
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << error.what();
    }
  };
  for (size_t size = 0; size <= bytes.size(); ++size) survives(bytes.substr(0, size));
  for (size_t at = 0; at < bytes.size(); ++at)
    for (int byte = 0; byte < 128; ++byte) {  // 7 bits: what is no UTF-8 is protobuf's to refuse
      std::string damaged = bytes;
      damaged[at] = static_cast<char>(byte);
      survives(damaged);
    }
}

}  // namespace
}  // namespace tandem
