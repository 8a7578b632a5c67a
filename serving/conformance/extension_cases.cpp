// The extensions that answer about models: statistics, configuration, repository, classification, parameters, settings, generate.
#include <algorithm>

#include "serving/conformance/grpc_infer-inl.h"
#include "serving/conformance/wire_case.h"

namespace tandem {
namespace {

using namespace wire;

const std::string kSum(kSumModel), kModels = "/v2/models/";

json get_json(const ServerUnderTest& server, const std::string& path) { return answered(server.http().get(path)); }

json statistics(const ServerUnderTest& server) {
  server.need_model(kSum);
  return get_json(server, kModels + kSum + "/stats").at("model_stats").at(0);
}

void expect_duration(const json& stats, const std::string& name) {
  for (const char* member : {"count", "ns"})
    expect(stats.at(name).at(member).is_number_unsigned(), name + " must have whole numbers", stats.at(name).dump());
}

void add_statistics(WireCases& cases) {
  WireTopic(cases, "statistics", Wire::kHttp, "statistics")
      .add("have all their members",
           [](const ServerUnderTest& server, size_t) {
             ask_sum(server, sum_request());
             const json one = statistics(server);
             expect(one.at("name") == kSum && one.at("version").is_string(), "name and version must be the model's", one.dump());
             for (const char* name : {"last_inference", "inference_count", "execution_count"})
               expect(one.at(name).is_number_unsigned(), "must be a number", name);
             for (const char* name :
                  {"success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss"})
               expect_duration(one.at("inference_stats"), name);
             expect(one.at("batch_stats").is_array(), "batch_stats must be a list", one.dump());
           })
      .add("count rows and requests",
           [](const ServerUnderTest& server, size_t) {
             const json before = statistics(server);
             for (int i = 0; i < 3; ++i) ask_sum(server, sum_request(2));
             const json after = statistics(server);
             const auto grown = [&](const json& b, const json& a) { return a.get<int64_t>() - b.get<int64_t>(); };
             expect(grown(before.at("inference_count"), after.at("inference_count")) == 6, "inference_count must grow by 6",
                    after.dump());
             const json &old = before.at("inference_stats"), &now = after.at("inference_stats");
             expect(grown(old.at("success").at("count"), now.at("success").at("count")) == 3, "success must grow by 3",
                    now.dump());
           })
      .add("counts agree with each other",
           [](const ServerUnderTest& server, size_t) {
             ask_sum(server, sum_request());
             const json now = statistics(server).at("inference_stats");
             const int64_t done = now.at("success").at("count").get<int64_t>() - now.at("cache_hit").at("count").get<int64_t>();
             for (const char* name : {"compute_input", "compute_infer", "compute_output"})
               expect(now.at(name).at("count") == done, "the count must be that of success less cache_hit", name, now.dump());
           })
      .add("of all models", [](const ServerUnderTest& server, size_t) {
        server.need_model(kSum);
        const json all = get_json(server, "/v2/models/stats").at("model_stats");
        expect(std::ranges::any_of(all, [](const json& one) { return one.at("name") == kSum; }), "the model must be among them");
      });
  WireTopic(cases, "statistics", Wire::kBoth, "statistics")
      .add("are those of the other protocol", [](const ServerUnderTest& server, size_t) {
        ask_sum(server, sum_request());
        const json one = statistics(server);
        inference::ModelStatisticsRequest request;
        request.set_name(kSum);
        const auto told = ask<inference::ModelStatisticsResponse>(server, "ModelStatistics", request);
        expect(told.model_stats_size() >= 1, "there must be statistics of the model");
        expect(told.model_stats(0).inference_count() == one.at("inference_count"), "inference_count must agree");
        expect(told.model_stats(0).inference_stats().success().ns() == one.at("inference_stats").at("success").at("ns"),
               "the time must agree");
      });
}

void add_configuration(WireCases& cases) {
  WireTopic(cases, "configuration", Wire::kHttp, "model_configuration")
      .add("has what clients read",
           [](const ServerUnderTest& server, size_t) {
             server.need_model(kSum);
             const json config = get_json(server, kModels + kSum + "/config");
             expect(config.at("name") == kSum, "name must be the model's", config.dump());
             expect(config.at("max_batch_size").is_number_integer(), "max_batch_size must be a number", config.dump());
             expect(config.at("input").size() == 2 && config.at("output").size() == 2, "there must be two inputs and outputs",
                    config.dump());
             for (const json& one : config.at("input"))
               expect(one.at("data_type") == "TYPE_FP32", "data_type must be TYPE_FP32", one.dump());
           })
      .add("dims leave the batch out where there is one",
           [](const ServerUnderTest& server, size_t) {
             server.need_model(kSum);
             const json config = get_json(server, kModels + kSum + "/config");
             const json dims = config.at("max_batch_size") > 0 ? json({4}) : json({-1, 4});
             for (const json& one : config.at("input")) expect(one.at("dims") == dims, "dims must be " + dims.dump(), one.dump());
           })
      .add("of an unknown model",
           [](const ServerUnderTest& server, size_t) { refused(server.http().get("/v2/models/oip_none/config")); });
  WireTopic(cases, "configuration", Wire::kBoth, "model_configuration")
      .add("is that of the other protocol", [](const ServerUnderTest& server, size_t) {
        server.need_model(kSum);
        inference::ModelConfigRequest request;
        request.set_name(kSum);
        const auto config = ask<inference::ModelConfigResponse>(server, "ModelConfig", request).config();
        const json other = get_json(server, kModels + kSum + "/config");
        expect(config.max_batch_size() == other.at("max_batch_size"), "max_batch_size must agree");
        expect(config.input_size() == 2 && config.output_size() == 2, "there must be two inputs and outputs");
        const std::vector<int64_t> dims(config.input(0).dims().begin(), config.input(0).dims().end());
        expect(other.at("input").at(0).at("dims") == json(dims), "dims must agree");
      });
}

void add_repository(WireCases& cases) {
  WireTopic(cases, "repository", Wire::kHttp, "model_repository")
      .add("the index lists a model that is ready",
           [](const ServerUnderTest& server, size_t) {
             server.need_model(kSum);
             const json index = answered(server.http().post("/v2/repository/index", "{}"));
             const bool found = std::ranges::any_of(
                 index, [](const json& one) { return one.at("name") == kSum && one.value("state", "") == "READY"; });
             expect(found, "the model must be there, READY", begin_of(index.dump()));
           })
      .add("only what is ready, if asked so",
           [](const ServerUnderTest& server, size_t) {
             for (const json& one : answered(server.http().post("/v2/repository/index", R"({"ready": true})")))
               expect(one.at("state") == "READY", "the state must be READY", one.dump());
           })
      .add("a body that is no JSON",
           [](const ServerUnderTest& server, size_t) { refused(server.http().post("/v2/repository/index", "{")); })
      .add("ready that is no boolean", [](const ServerUnderTest& server,
                                          size_t) { refused(server.http().post("/v2/repository/index", R"({"ready": "yes"})")); })
      .add("an unknown model is not loaded", [](const ServerUnderTest& server, size_t) {
        const HttpReply reply = server.http().post("/v2/repository/models/oip_none/load", "{}");
        expect(reply.status >= 400 && json::parse(reply.body).at("error").is_string(), "it must be refused, with an error",
               reply.status);
      });
  WireTopic(cases, "repository", Wire::kGrpc, "model_repository")
      .add("the index lists a model that is ready", [](const ServerUnderTest& server, size_t) {
        server.need_model(kSum);
        const auto index =
            ask<inference::RepositoryIndexResponse>(server, "RepositoryIndex", inference::RepositoryIndexRequest());
        const bool found =
            std::ranges::any_of(index.models(), [](const auto& one) { return one.name() == kSum && one.state() == "READY"; });
        expect(found, "the model must be there, READY");
      });
}

json classified(int64_t rows, int64_t best) {
  json request = sum_request(rows);
  request["outputs"] = {{{"name", "OUTPUT0"}, {"parameters", {{"classification", best}}}}};
  return request;
}

// "value:index": of rows that grow to the right the last is the best.
void add_classification(WireCases& cases) {
  WireTopic(cases, "classification", Wire::kHttp, "classification")
      .add("the best two of each row",
           [](const ServerUnderTest& server, size_t) {
             const json output = output_named(ask_sum(server, classified(2, 2)), "OUTPUT0");
             expect(output.at("datatype") == "BYTES" && output.at("shape") == json({2, 2}), "the output must be BYTES [2, 2]",
                    output.dump());
             const std::vector<std::string> texts = output.at("data");
             for (size_t i = 0; i < texts.size(); ++i) {
               const size_t best = 3 - i % 2, colon = texts[i].find(':');
               expect(colon != std::string::npos && std::stoul(texts[i].substr(colon + 1)) == best,
                      "the index must be " + std::to_string(best), texts[i]);
               const float value = output_rows(0, 2)[4 * (i / 2) + best];
               expect(std::stof(texts[i]) == value, "the value must be " + std::to_string(value), texts[i]);
             }
           })
      .add("more than there are is all of them",
           [](const ServerUnderTest& server, size_t) {
             const json output = output_named(ask_sum(server, classified(1, 100)), "OUTPUT0");
             expect(output.at("data").size() == 4, "there must be four", output.dump());
           })
      .add("a count that is no number", [](const ServerUnderTest& server, size_t) {
        server.need_model(kSum);
        json request = classified(1, 1);
        request["outputs"][0]["parameters"]["classification"] = "one";
        refused(server.http().post(infer_path(), request.dump()));
      });
}

void add_parameters(WireCases& cases) {
  WireTopic(cases, "parameters", Wire::kHttp, "parameters")
      .add("of every kind, unknown to the server",
           [](const ServerUnderTest& server, size_t) {
             json request = sum_request();
             request["parameters"] = {{"a_text", "t"}, {"a_number", 7}, {"a_fraction", 0.5}, {"a_boolean", true}};
             expect_sum(ask_sum(server, request), 1);
           })
      .add("a name that is reserved", [](const ServerUnderTest& server, size_t) {
        server.need_model(kSum);
        json request = sum_request();
        request["parameters"] = {{"triton_none", 1}};
        refused(server.http().post(infer_path(), request.dump()));
      });
  WireTopic(cases, "parameters", Wire::kHttp, "schedule_policy")
      .add("priority and timeout", [](const ServerUnderTest& server, size_t) {
        json request = sum_request();
        request["parameters"] = {{"priority", 0}, {"timeout", 10'000'000}};
        expect_sum(ask_sum(server, request), 1);
      });
}

void add_settings(WireCases& cases) {
  WireTopic(cases, "settings", Wire::kHttp, "logging").add("of the log", [](const ServerUnderTest& server, size_t) {
    const json settings = get_json(server, "/v2/logging");
    for (const char* name : {"log_info", "log_warning", "log_error"})
      expect(settings.at(name).is_boolean(), "must be a boolean", name);
    expect(settings.at("log_verbose_level").is_number_integer(), "log_verbose_level must be a number", settings.dump());
  });
  WireTopic(cases, "settings", Wire::kGrpc, "logging").add("of the log", [](const ServerUnderTest& server, size_t) {
    const auto told = ask<inference::LogSettingsResponse>(server, "LogSettings", inference::LogSettingsRequest());
    expect(told.settings().contains("log_info"), "there must be log_info");
  });
  WireTopic(cases, "settings", Wire::kHttp, "trace").add("of traces", [](const ServerUnderTest& server, size_t) {
    const json settings = get_json(server, "/v2/trace/setting");
    expect(settings.at("trace_level").is_array() && settings.at("trace_rate").is_string(),
           "there must be trace_level and trace_rate", settings.dump());
  });
  WireTopic(cases, "settings", Wire::kGrpc, "trace").add("of traces", [](const ServerUnderTest& server, size_t) {
    const auto told = ask<inference::TraceSettingResponse>(server, "TraceSetting", inference::TraceSettingRequest());
    expect(told.settings().contains("trace_level"), "there must be trace_level");
  });
  WireTopic(cases, "settings", Wire::kHttp, "system_shared_memory")
      .add("status of shared memory",
           [](const ServerUnderTest& server, size_t) {
             expect(get_json(server, "/v2/systemsharedmemory/status").is_array(), "the answer must be a list");
           })
      .add("an unknown region", [](const ServerUnderTest& server, size_t) {
        refused(server.http().get("/v2/systemsharedmemory/region/oip_none/status"));
      });
}

// Triton's generate; servers without it say 404.
HttpReply generate(const ServerUnderTest& server, const std::string& how, const json& body) {
  server.need_extensions();
  server.need_model(kSum);
  HttpReply reply = server.http().post(kModels + kSum + "/" + how, body.dump());
  if (reply.status == 404) throw Skipped("the server has no " + how);
  return reply;
}

void add_generate(WireCases& cases) {
  WireTopic(cases, "generate", Wire::kHttp)
      .add("inputs by name, outputs by name",
           [](const ServerUnderTest& server, size_t) {
             const json answer =
                 answered(generate(server, "generate", {{"INPUT0", input_rows(0, 1)}, {"INPUT1", input_rows(1, 1)}}));
             expect(answer.at("OUTPUT0").get<Rows>() == output_rows(0, 1), "OUTPUT0 must be right", answer.dump());
             expect(answer.at("model_name") == kSum, "model_name must be the model's", answer.dump());
           })
      .add("as events",
           [](const ServerUnderTest& server, size_t) {
             const HttpReply reply =
                 generate(server, "generate_stream", {{"INPUT0", input_rows(0, 1)}, {"INPUT1", input_rows(1, 1)}});
             expect(reply.status == 200, "the status must be 200", reply.status, begin_of(reply.body));
             const std::string type = reply.header("content-type");
             expect(type.starts_with("text/event-stream"), "Content-Type must be text/event-stream", type);
             expect(reply.body.starts_with("data: ") && reply.body.ends_with("\n\n"), "the body must be events",
                    begin_of(reply.body));
             const json answer = json::parse(reply.body.substr(6, reply.body.find("\n\n") - 6));
             expect(answer.at("OUTPUT1").get<Rows>() == output_rows(1, 1), "OUTPUT1 must be right", answer.dump());
           })
      .add("an input is missing", [](const ServerUnderTest& server, size_t) {
        refused(generate(server, "generate", {{"INPUT0", input_rows(0, 1)}}));
      });
}

}  // namespace

void add_extension_cases(WireCases& cases) {
  add_statistics(cases);
  add_configuration(cases);
  add_repository(cases);
  add_classification(cases);
  add_parameters(cases);
  add_settings(cases);
  add_generate(cases);
}

}  // namespace tandem
