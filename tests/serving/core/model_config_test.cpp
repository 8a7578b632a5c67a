#include "serving/core/model_config.h"

#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>

#include "kernels/base/error.h"
#include "model_config.pb.h"

namespace tandem {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using std::chrono::microseconds;

std::string fault(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "none";
}

std::string fault_in(std::string_view text) {
  return fault([&] { parse_model_config(text); });
}

const Signature kSignature{.inputs = {{"age", DType::kF32, {"n"}}, {"image", DType::kU8, {"n", 28, Dim()}}},
                           .outputs = {{"s", DType::kString, {"n", 2}}},
                           .batched = true,
                           .batch_symbol = "n"};
const Signature kFixed{{{"x", DType::kF32, {3, 4}}}, {{"y", DType::kF32, {3}}}, false, ""};

ServingConfig completed(std::string_view text, const Signature& signature = kSignature, int64_t max_batch = 64) {
  ServingConfig config = parse_model_config(text);
  complete_model_config(config, {"m", signature, max_batch, 2});
  return config;
}

std::string fault_with_model(std::string_view text, const Signature& signature = kSignature, int64_t max_batch = 64) {
  return fault([&] { completed(text, signature, max_batch); });
}

TEST(ModelConfig, ReadsEveryFieldThatIsActedOn) {
  const ServingConfig config = parse_model_config(R"(
    name: "m" backend: "onnxruntime" max_batch_size: 8
    input [ { name: "x" data_type: TYPE_BF16 dims: [ 3, -1 ] }, { name: 'y', dims: 1; reshape { shape: [] } } ]
    output { name: "z" label_filename: "labels.txt" }
    version_policy: { specific { versions: [1, 3] } }
    instance_group [ { count: 2 kind: KIND_CPU }, { kind: KIND_GPU gpus: [0, 1] } ]
    dynamic_batching {
      preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 100 preserve_ordering: true priority_levels: 3
      default_priority_level: 2
      default_queue_policy { timeout_action: DELAY default_timeout_microseconds: 5 allow_timeout_override: true max_queue_size: 7 }
      priority_queue_policy { key: 3 value { max_queue_size: 9 } }
    }
    default_model_filename: "other.onnx"
    optimization { cuda { graphs: true graph_spec { batch_size: 2 } } }
    model_warmup { name: "w" batch_size: 4 count: 2 inputs { key: "x" value { data_type: TYPE_FP32 dims: 4 random_data: true } } }
    parameters { key: "k" value: { string_value: "a \" b" "c" } }
    response_cache { enable: true })");
  EXPECT_EQ(config.name, "m");
  EXPECT_EQ(config.max_batch_size, 8);
  ASSERT_EQ(config.inputs.size(), 2u);
  EXPECT_EQ(config.inputs[0].dtype, DType::kBF16);
  EXPECT_THAT(config.inputs[0].dims, ElementsAre(3, -1));
  EXPECT_FALSE(config.inputs[0].reshape);
  EXPECT_THAT(config.inputs[1].reshape.value(), IsEmpty());
  EXPECT_EQ(config.outputs.at(0).label_filename, "labels.txt");
  EXPECT_THAT(config.versions->versions, ElementsAre(1, 3));
  EXPECT_EQ(config.instances.at(0).count, 2);
  EXPECT_EQ(config.instances.at(1).kind, InstanceGroup::Kind::kGpu);
  EXPECT_THAT(config.instances.at(1).gpus, ElementsAre(0, 1));
  ASSERT_TRUE(config.batching);
  EXPECT_THAT(config.batching->preferred_sizes, ElementsAre(4, 8));
  EXPECT_EQ(config.batching->max_delay, microseconds(100));
  EXPECT_TRUE(config.batching->preserve_ordering);
  EXPECT_EQ(config.batching->priority_levels, 3);
  EXPECT_EQ(config.batching->default_priority, 2);
  EXPECT_EQ(config.batching->policy.on_timeout, QueuePolicy::OnTimeout::kDelay);
  EXPECT_EQ(config.batching->policy.timeout, microseconds(5));
  EXPECT_TRUE(config.batching->policy.allow_override);
  EXPECT_EQ(config.batching->policy.max_size, 7);
  EXPECT_EQ(config.batching->priority_policies.at(3).max_size, 9);
  EXPECT_EQ(config.default_model_filename, "other.onnx");
  EXPECT_EQ(config.cuda_graphs, true);
  EXPECT_THAT(config.graph_sizes, ElementsAre(2));
  ASSERT_EQ(config.warmups.size(), 1u);
  EXPECT_EQ(config.warmups[0].count, 2);
  EXPECT_EQ(config.warmups[0].inputs.at("x").data, WarmupInput::Data::kRandom);
  EXPECT_EQ(config.parameters.at("k"), "a \" bc");
  EXPECT_TRUE(config.response_cache);
}

TEST(ModelConfig, MayBeEmpty) {
  const ServingConfig config = parse_model_config(" # only a comment");
  EXPECT_FALSE(config.max_batch_size);
  EXPECT_FALSE(config.batching);
  EXPECT_FALSE(config.cuda_graphs);
  EXPECT_FALSE(config.versions);
}

TEST(ModelConfig, FaultsNameLineAndField) {
  EXPECT_THAT(fault_in("name: \"m\"\nmax_batchsize: 8"), HasSubstr("line 2, column 14: Message type \"inference.ModelConfig\" has no field named \"max_batchsize\". (did you mean 'max_batch_size'?)"));
  EXPECT_THAT(fault_in("input { name: \"x\"\n data_type: TYPE_F32 }"), AllOf(HasSubstr("line 2"), HasSubstr("TYPE_F32"), HasSubstr("data_type")));
  EXPECT_THAT(fault_in("max_batch_size: many"), AllOf(HasSubstr("line 1"), HasSubstr("many")));
  EXPECT_THAT(fault_in("max_batch_size: 99999999999"), HasSubstr("line 1"));
  EXPECT_THAT(fault_in("a {"), HasSubstr("line 1"));
  EXPECT_THAT(fault_in("input {\n"), HasSubstr("line 2"));
  EXPECT_EQ(fault_in("\n\nmax_batch_size: -1"), "line 3: max_batch_size: max_batch_size must not be negative; write max_batch_size: 0");
  EXPECT_EQ(fault_in("input { name: \"x\" }\ninput {\n  name: \"x\" }"), "line 3: input[1].name: 'x' is there twice");
  EXPECT_EQ(fault_in("output { name: \"x\"\n dims: [1, 0] }"), "line 2: output[0].dims: dimension must be integer >= 1, or -1 for a variable size, got 0");
  EXPECT_EQ(fault_in("max_batch_size: 2\ndynamic_batching {\n preferred_batch_size: [1, 4] }"),
            "line 3: dynamic_batching.preferred_batch_size: dynamic batching preferred size must be <= max batch size: 4, 2; write preferred_batch_size: [1]");
  EXPECT_THAT(fault_in("dynamic_batching { priority_levels: 2 }"), HasSubstr("default priority level must be in range [1, 2]"));
  EXPECT_THAT(fault_in("dynamic_batching { priority_queue_policy { key: 1 } }"), HasSubstr("there are no priorities"));
  EXPECT_EQ(fault_in("sequence_batching { }"), "line 1: sequence_batching: sequences are not supported yet");
  EXPECT_THAT(fault_in("\nensemble_scheduling { }"), StartsWith("line 2: ensemble_scheduling: "));
  EXPECT_EQ(fault_in("batch_input { target_name: \"k\" }"), "line 1: batch_input[0]: inputs that the batch makes are not supported yet");
  EXPECT_THAT(fault_in("\nbatch_output { target_name: \"k\" }"), StartsWith("line 2: batch_output[0]: "));
  EXPECT_THAT(fault_in("model_repository_agents { agents { name: \"checksum\" } }"), AllOf(StartsWith("line 1: model_repository_agents: "), HasSubstr("manifest.json")));
  EXPECT_THAT(fault_in("model_operations { op_library_filename: \"a.so\" }"), StartsWith("line 1: model_operations: "));
  EXPECT_THAT(fault_in("backend: \"python\""), StartsWith("line 1: backend: there is no 'python' here"));
  EXPECT_THAT(fault_in("model_transaction_policy {\n decoupled: true }"), StartsWith("line 2: model_transaction_policy.decoupled: "));
  EXPECT_THAT(fault_in("instance_group { count: -1 }"), HasSubstr("instance group must have count >= 1"));
}

TEST(ModelConfig, IsUtf8) {
  EXPECT_EQ(fault_in("name: \"\xff\""), "the configuration is not UTF-8");
  EXPECT_EQ(fault_in("name: \"\\377\""), "a text of the configuration is not UTF-8");
}

TEST(ModelConfig, SurvivesAnyDamage) {
  const std::string whole = "input [ { name: \"x\" dims: [ 4, -1 ] } ]\noptimization { cuda { graphs: true } } # end";
  for (size_t size = 0; size <= whole.size(); ++size) fault_in(whole.substr(0, size));
  for (size_t at = 0; at < whole.size(); ++at)
    for (int byte = 0; byte < 256; ++byte) {
      std::string wrong = whole;
      wrong[at] = static_cast<char>(byte);
      fault_in(wrong);
    }
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += "input { ";
  EXPECT_NE(fault_in(deep), "none");
}

TEST(ModelConfig, IsReadFromJson) {
  const ServingConfig config = parse_model_config_json(R"({"max_batch_size": "16", "input": [{"name": "x", "dims": ["4", -1]}]})");
  EXPECT_EQ(config.max_batch_size, 16);
  EXPECT_THAT(config.inputs.at(0).dims, ElementsAre(4, -1));
  EXPECT_THAT(fault([] { parse_model_config_json(R"({"max_batchsize": 1})"); }), HasSubstr("max_batchsize"));
  EXPECT_THAT(fault([] { parse_model_config_json("{"); }), HasSubstr("is no JSON of a ModelConfig"));
  EXPECT_EQ(fault([] { parse_model_config_json(R"({"max_batch_size": -1})"); }), "max_batch_size: max_batch_size must not be negative; write max_batch_size: 0");
  EXPECT_NE(fault([] { parse_model_config_json(std::string(100'000, '[')); }), "none");
}

TEST(ModelConfig, IsCompletedFromTheModel) {
  const ServingConfig config = completed("input { name: \"image\" } input { name: \"age\" }");
  EXPECT_EQ(config.name, "m");
  EXPECT_EQ(config.max_batch_size, 64);
  EXPECT_EQ(config.inputs.at(0).name, "image");
  EXPECT_EQ(config.inputs[0].dtype, DType::kU8);
  EXPECT_THAT(config.inputs[0].dims, ElementsAre(28, -1));
  EXPECT_THAT(config.inputs.at(1).dims, ElementsAre(1));
  EXPECT_THAT(config.inputs[1].reshape.value(), IsEmpty());
  EXPECT_EQ(config.outputs.at(0).dtype, DType::kString);
  EXPECT_EQ(config.instances.at(0).count, 2);
  EXPECT_EQ(config.default_model_filename, "model.onnx");
  const ServingConfig fixed = completed("", kFixed, 0);
  EXPECT_EQ(fixed.max_batch_size, 0);
  EXPECT_THAT(fixed.inputs.at(0).dims, ElementsAre(3, 4));
}

TEST(ModelConfig, WholeShapesMeanNoBatch) {
  EXPECT_EQ(completed("input { name: \"age\" } input { name: \"image\" dims: [-1, 28, -1] }").max_batch_size, 0);
  EXPECT_EQ(completed("input { name: \"age\" } input { name: \"image\" dims: [28, -1] }").max_batch_size, 64);
  EXPECT_THAT(completed("max_batch_size: 0").inputs.at(1).dims, ElementsAre(-1, 28, -1));
}

TEST(ModelConfig, ContradictionsAreExplained) {
  EXPECT_EQ(fault_with_model("name: \"other\""),
            "line 1: name: unexpected directory name 'm' for model 'other', directory name must equal model name; write name: \"m\"");
  EXPECT_EQ(fault_with_model("\ninput { name: \"z\" }"),
            "line 2: input[0].name: unexpected inference input 'z', allowed inputs are: age, image");
  EXPECT_EQ(fault_with_model("output { name: \"z\" }"), "line 1: output[0].name: unexpected inference output 'z', allowed outputs are: s; write name: \"s\"");
  EXPECT_EQ(fault_with_model("input { name: \"age\"\n data_type: TYPE_INT8 }"),
            "line 2: input[0].data_type: model 'm', tensor 'age': unexpected datatype TYPE_INT8, expecting TYPE_FP32; write data_type: TYPE_FP32");
  EXPECT_EQ(fault_with_model("max_batch_size: 8\ninput {\n name: \"image\"\n dims: [-1, 28, 28] }"),
            "line 4: input[0].dims: model 'm', tensor 'image': the model expects 3 dimensions (shape [-1,28,-1]) but the model "
            "configuration specifies 4 dimensions (an initial batch dimension because max_batch_size > 0 followed by the explicit "
            "tensor shape, making complete shape [-1,-1,28,28]); write dims: [28,-1]");
  EXPECT_EQ(fault_with_model("input { name: \"image\" dims: [24, 3] }"),
            "line 1: input[0].dims: model 'm', tensor 'image': the model expects shape [-1,28,-1] but the model configuration "
            "specifies shape [-1,24,3]; write dims: [28,-1]");
  EXPECT_THAT(fault_with_model("input { name: \"age\" dims: [1] }"), HasSubstr("write dims: [1] reshape { shape: [] }"));
  EXPECT_THAT(fault_with_model("input { name: \"age\" dims: [4] reshape { shape: [] } }"), HasSubstr("by dimensions of 1 alone"));
  EXPECT_THAT(fault_with_model("input { name: \"age\" }"), HasSubstr("configuration expects 1 inputs, model provides 2"));
  EXPECT_THAT(fault_with_model("max_batch_size: 65"), HasSubstr("65 is beyond the server's --max-batch, 64"));
  EXPECT_THAT(fault_with_model("max_batch_size: 1", kFixed, 0), HasSubstr("write max_batch_size: 0"));
  EXPECT_EQ(fault_with_model("input { name: \"age\" dims: 1 reshape { } } input { name: \"image\" dims: [28, 5] }"), "none");
}

TEST(ModelConfig, AllProblemsAreTold) {
  const ServingConfig config = parse_model_config(R"(name: "other"
max_batch_size: 100
input { name: "agee" data_type: TYPE_FP32 }
input { name: "image"
  data_type: TYPE_INT8
  dims: [24, 3] }
output { name: "z" })");
  std::vector<std::string> places, right;
  for (const ConfigProblem& problem : config_problems(config, {"m", kSignature, 64, 2})) {
    places.push_back(std::to_string(problem.line) + " " + problem.path);
    right.push_back(problem.write);
  }
  EXPECT_THAT(places, ElementsAre("1 name", "2 max_batch_size", "3 input[0].name", "5 input[1].data_type", "6 input[1].dims", "7 output[0].name"));
  EXPECT_THAT(right, ElementsAre("name: \"m\"", "max_batch_size: 64", "name: \"age\"", "data_type: TYPE_UINT8", "dims: [28,-1]", "name: \"s\""));
  const std::vector<ConfigProblem> missing = config_problems(parse_model_config("input { name: \"age\" }"), {"m", kSignature, 64, 2});
  ASSERT_EQ(missing.size(), 1u);
  EXPECT_EQ(missing[0].write, "input { name: \"image\" data_type: TYPE_UINT8 dims: [28,-1] }");
  EXPECT_THAT(config_problems(parse_model_config(""), {"m", kSignature, 64, 2}), IsEmpty());
}

// What is written as told is right: the configuration can be mended line by line.
TEST(ModelConfig, WhatIsToldToBeWrittenIsRight) {
  std::vector<std::string> lines{"name: \"other\"", "max_batch_size: 100", "input [ {", "name: \"agee\"", "data_type: TYPE_FP32", "}, {", "name: \"image\"",
                                 "data_type: TYPE_INT8", "dims: [24, 3]", "} ]", "output {", "name: \"z\"", "}"};
  const auto text = [&] {
    std::string all;
    for (const std::string& line : lines) all += line + "\n";
    return all;
  };
  for (const ConfigProblem& problem : config_problems(parse_model_config(text()), {"m", kSignature, 64, 2})) lines.at(static_cast<size_t>(problem.line - 1)) = problem.write;
  EXPECT_EQ(fault_with_model(text()), "none") << text();
}

// What is not acted on is handed back as it came; what is completed stands over it.
TEST(ModelConfig, MessageHasAllFields) {
  const std::string text = R"(
    max_batch_size: 8
    input { name: "image" dims: [28, -1] format: FORMAT_NHWC } input { name: "age" dims: 1 reshape { } allow_ragged_batch: true }
    metric_tags { key: "a" value: "b" } optimization { priority: PRIORITY_MAX } instance_group { count: 3 host_policy: "h" }
    model_metrics { metric_control { metric_identifier { family: "f" } histogram_options { buckets: [1, 2.5] } } }
    cc_model_filenames { key: "8.0" value: "f" } version_policy { all { } })";
  inference::ModelConfig expected, message;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(text + R"(
    name: "m" platform: "tandem_onnx" backend: "tandem" default_model_filename: "model.onnx"
    output { name: "s" data_type: TYPE_STRING dims: 2 } model_transaction_policy { } response_cache { })", &expected));
  expected.mutable_input(0)->set_data_type(inference::TYPE_UINT8);
  expected.mutable_input(1)->set_data_type(inference::TYPE_FP32);
  write_message(completed(text), message);
  EXPECT_EQ(message.DebugString(), expected.DebugString());
}

TEST(ModelConfig, MessageHasTheSchedulingAgain) {
  const std::string text = R"(dynamic_batching { preferred_batch_size: [2, 4] max_queue_delay_microseconds: 7 priority_levels: 2
    default_priority_level: 1 default_queue_policy { max_queue_size: 5 } priority_queue_policy { key: 2 value { timeout_action: DELAY } } }
    optimization { cuda { graph_spec { batch_size: 4 } } })";
  inference::ModelConfig expected, message;
  ASSERT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &expected));
  write_message(completed(text), message);
  EXPECT_EQ(message.dynamic_batching().DebugString(), expected.dynamic_batching().DebugString());
  EXPECT_EQ(message.optimization().DebugString(), expected.optimization().DebugString());
}

}  // namespace
}  // namespace tandem
