// `tandem load`: puts load on a server of the Open Inference Protocol v2 and tells how it bears it.
#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/json_line.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "runtime/graph/limits.h"
#include "runtime/io/file.h"
#include "serving/load/grpc_call.h"
#include "serving/load/grpc_load_client.h"
#include "serving/load/grpc_stream_client.h"
#include "serving/load/http_load_client.h"
#include "serving/load/input_data.h"
#include "serving/load/load_inputs.h"
#include "serving/load/load_run.h"

namespace po = boost::program_options;

namespace tandem::cli {
namespace {

const Usage kUsageText = {
    "tandem load MODEL [--url 127.0.0.1:8000] [--protocol http|grpc] [--connections 1,8,32] [--rate R]",
    "Sends a server of the Open Inference Protocol v2 (Tandem, Triton, MLServer ...) the same request again and again, or several in turn. "
    "Without\n"
    "--rate each connection asks again when it has its answer; with it requests come at that rate whatever the server does, and latency "
    "counts\n"
    "from when a request was due. The first answer is checked. Inputs are random, by the model's metadata.",
    "  tandem load mlp                                         8 connections, 5 s, HTTP with binary tensors\n"
    "  tandem load mlp --connections 1,8,32,256 --protocol grpc\n"
    "  tandem load resnet50 --rate 200 --connections 64 --within 50   how many of 200 a second are answered in 50 ms\n"
    "  tandem load bert --shape ids=1,128 --shape mask=1,128\n"
    "  tandem load mlp --protocol grpc --streaming             in streams, one a connection\n"
    "  tandem load adult --data request.json --json            the inputs of a request as for curl; one JSON line a run\n"
    "  tandem load adult --input-data rows.json                requests in turn, from a file as perf_analyzer takes it\n"
    "  tandem load mlp --distinct 1000                         a thousand random requests in turn\n"
    "  tandem load --path /v2/health/live                      any HTTP address: no model, no check but the status\n",
};

struct Flags {
  std::string model, url, protocol, connections, arrivals, data, input_data, path;
  std::vector<std::string> shapes;
  double rate = 0, time = 0, warmup = 0, within = 0;
  int64_t batch = 1, distinct = 1;
  uint64_t seed = 1;
  bool streaming = false, json_tensors = false, json = false;

  bool grpc() const { return protocol == "grpc"; }
};

template <class Number>
std::vector<Number> numbers_of(const std::string& list, const std::string& flag) {
  const nlohmann::json numbers = nlohmann::json::parse("[" + list + "]", nullptr, false);
  require(!numbers.is_discarded() && !numbers.empty() &&
              std::ranges::all_of(numbers, [](const auto& one) { return one.is_number_unsigned(); }),
          flag + " takes whole numbers with commas between them", list);
  return numbers.get<std::vector<Number>>();
}

// Host and port, the protocol's own port if none is given.
HttpAddress address_of(const Flags& flags) {
  std::string url = flags.url;
  if (url.starts_with("http://")) url.erase(0, 7);
  const size_t colon = url.rfind(':');
  if (colon == std::string::npos) return {url, flags.grpc() ? 8001 : 8000};
  const std::vector<int> port = numbers_of<int>(url.substr(colon + 1), "the port of --url");
  require(port.size() == 1 && port[0] <= 65'535, "--url has no such port", url);
  return {url.substr(0, colon), port[0]};
}

InputChoice choice_of(const Flags& flags) {
  InputChoice choice{.batch = flags.batch, .shapes = {}, .seed = flags.seed};
  for (const std::string& one : flags.shapes) {
    const size_t equals = one.find('=');
    require(equals != std::string::npos, "--shape is written NAME=1,3,224,224", one);
    choice.shapes[one.substr(0, equals)] = numbers_of<int64_t>(one.substr(equals + 1), "--shape");
  }
  return choice;
}

std::vector<std::vector<InferInput>> inputs_of(const Flags& flags, const ModelFace& face) {
  InputChoice choice = choice_of(flags);
  if (!flags.input_data.empty()) return inputs_of_data_file(face, choice, read_file(flags.input_data, Limits{}.text_file_bytes));
  if (!flags.data.empty()) return {inputs_of_json(read_file(flags.data, Limits{}.request_bytes))};
  std::vector<std::vector<InferInput>> requests;
  for (; choice.request < static_cast<uint64_t>(flags.distinct); ++choice.request) requests.push_back(random_inputs(face, choice));
  return requests;
}

// Makes clients that all send the same requests in turn. The first one's answer was looked at.
class Target {
 public:
  explicit Target(const Flags& flags) : flags_(flags), address_(address_of(flags)) {
    flags.path.empty() ? prepare_inference() : prepare_plain();
  }

  std::unique_ptr<LoadClient> connect(int connections, const Clock& clock) const {
    if (flags_.streaming) return grpc_stream_client(target(), requests_, connections, clock);
    if (flags_.grpc()) return grpc_load_client(target(), requests_, connections, clock);
    return std::make_unique<HttpLoadClient>(address_, requests_, connections, clock);
  }

 private:
  std::string target() const { return address_.host + ":" + std::to_string(address_.port); }

  void prepare_inference() {
    const Flags& flags = flags_;
    const ModelFace face = flags.grpc() ? ask_grpc_metadata(target(), flags.model) : ask_http_metadata(address_, flags.model);
    for (const std::vector<InferInput>& inputs : inputs_of(flags, face))
      requests_.push_back(flags.grpc() ? grpc_infer_request(flags.model, inputs)
                                       : http_infer_request(address_, flags.model, inputs, flags.json_tensors ? TensorForm::kJson : TensorForm::kBinary));
    const std::string& first = requests_.front();
    if (flags.streaming) return check_grpc_answer(face, grpc_stream_exchange(target(), first));
    if (flags.grpc()) return check_grpc_answer(face, grpc_exchange(target(), "ModelInfer", first));
    check_http_answer(face, http_exchange(address_, first));
  }

  void prepare_plain() {
    require(!flags_.grpc(), "--path is for HTTP");
    const std::string body = flags_.data.empty() ? "" : read_file(flags_.data, Limits{}.request_bytes);
    requests_ = {http_request(address_, flags_.path, body)};
    const HttpAnswer answer = http_exchange(address_, requests_.front());
    check(answer.status < 400, ErrorCode::kUnavailable, "the first request was not answered", answer.status,
          answer.body.substr(0, 300));
  }

  const Flags& flags_;
  HttpAddress address_;
  std::vector<std::string> requests_;
};

double us(std::chrono::nanoseconds time) { return static_cast<double>(time.count()) / 1e3; }

void print_json(const Flags& flags, int connections, const LoadResult& result, const std::string& problem) {
  const auto at = [&](double share) { return us(result.latency.percentile(share)); };
  nlohmann::ordered_json row{{"model", flags.model},
                             {"protocol", flags.protocol},
                             {"streaming", flags.streaming},
                             {"connections", connections},
                             {"rate", result.rate()},
                             {"seconds", result.seconds},
                             {"ok", result.ok},
                             {"shed", result.shed},
                             {"late", result.late},
                             {"failed", result.failed},
                             {"unanswered", result.unanswered},
                             {"mean_us", us(result.latency.mean())},
                             {"p50_us", at(0.5)},
                             {"p90_us", at(0.9)},
                             {"p95_us", at(0.95)},
                             {"p99_us", at(0.99)},
                             {"p999_us", at(0.999)},
                             {"max_us", us(result.latency.max())}};
  if (flags.rate > 0) row["asked_rate"] = flags.rate;
  if (flags.within > 0) {
    row["within_ms"] = flags.within;
    row["within"] = result.latency.count_within(std::chrono::nanoseconds(static_cast<int64_t>(flags.within * 1e6)));
  }
  if (!problem.empty()) row["first_problem"] = problem;
  fmt::print("{}\n", json_line(row));
}

void print_row(const Flags& flags, int connections, const LoadResult& result) {
  const auto at = [&](double share) { return us(result.latency.percentile(share)); };
  fmt::print("{:>11} {:>10.0f} {:>10.1f} {:>10.1f} {:>10.1f} {:>10.1f} {:>10.1f}", connections, result.rate(), at(0.5), at(0.9),
             at(0.99), at(0.999), us(result.latency.max()));
  if (flags.within > 0) {
    const int64_t within = result.latency.count_within(std::chrono::nanoseconds(static_cast<int64_t>(flags.within * 1e6)));
    fmt::print(" {:>10.0f}", static_cast<double>(within) / result.seconds);
  }
  const int64_t others = result.shed + result.late + result.failed + result.unanswered;
  if (others > 0)
    fmt::print("   shed {}, late {}, failed {}, unanswered {} of {}", result.shed, result.late, result.failed, result.unanswered,
               result.ok + others);
  fmt::print("\n");
}

void print_head(const Flags& flags) {
  fmt::print("{:>11} {:>10} {:>10} {:>10} {:>10} {:>10} {:>10}", "connections", "answers/s", "p50 us", "p90 us", "p99 us",
             "p99.9 us", "max us");
  if (flags.within > 0) fmt::print(" {:>10}", fmt::format("<= {} ms/s", flags.within));
  fmt::print("\n");
}

LoadPlan plan_of(const Flags& flags) {
  require(flags.arrivals == "poisson" || flags.arrivals == "constant", "--arrivals must be poisson or constant", flags.arrivals);
  require(flags.time > 0 && flags.time <= 86'400 && flags.warmup >= 0 && flags.warmup <= 86'400,
          "--time and --warmup are seconds, a day at most");
  require(flags.rate >= 0 && flags.rate <= 1e7, "--rate must lie between 0 and 10,000,000 a second", flags.rate);
  const auto seconds = [](double count) { return std::chrono::nanoseconds(static_cast<int64_t>(count * 1e9)); };
  return {.rate = flags.rate,
          .arrivals = flags.arrivals == "constant" ? Arrivals::kConstant : Arrivals::kPoisson,
          .warmup = seconds(flags.warmup),
          .time = seconds(flags.time),
          .seed = flags.seed};
}

LoadResult run_with_progress(LoadClient& client, const Clock& clock, const LoadPlan& plan, int connections) {
  ProgressBar bar;
  const double whole = std::chrono::duration<double>(plan.warmup + plan.time).count();
  const LoadResult result = run_load(client, clock, plan, [&](double done, const LoadResult& so_far) {
    bar.update(fmt::format("{} connections", connections), static_cast<int64_t>(done * 1000), 1000,
               static_cast<double>(so_far.ok) / std::max(1e-3, done * whole), "answers", (1 - done) * whole,
               fmt::format("p99 {:.0f} us", us(so_far.latency.percentile(0.99))));
  });
  bar.clear();
  return result;
}

int run_sweep(const Flags& flags) {
  const std::vector<int> sweep = numbers_of<int>(flags.connections, "--connections");
  const LoadPlan plan = plan_of(flags);
  const SteadyClock clock;
  const Target target(flags);
  bool answered = true;
  if (!flags.json) print_head(flags);
  for (const int connections : sweep) {
    require(connections >= 1 && connections <= 100'000, "--connections must lie between 1 and 100000", connections);
    const std::unique_ptr<LoadClient> client = target.connect(connections, clock);
    const LoadResult result = run_with_progress(*client, clock, plan, connections);
    if (flags.json)
      print_json(flags, connections, result, client->first_problem());
    else
      print_row(flags, connections, result);
    if (!client->first_problem().empty() && !flags.json)
      fmt::print(stderr, "tandem load: first refusal: {}\n", client->first_problem());
    std::fflush(stdout);
    answered = answered && result.ok > 0;
  }
  check(answered, ErrorCode::kUnavailable, "no request was answered");
  return kOk;
}

}  // namespace

int load_command(int argc, char** argv) {
  Flags flags;
  po::options_description options("options");
  options.add_options()("model", po::value(&flags.model), "the model (also as a plain word)")(
      "url", po::value(&flags.url)->default_value("127.0.0.1"),
      "host[:port] of the server; the port is 8000 for HTTP and 8001 for gRPC unless given")(
      "protocol", po::value(&flags.protocol)->default_value("http"), "http or grpc")(
      "streaming", po::bool_switch(&flags.streaming), "over gRPC: ModelStreamInfer, one stream a connection")(
      "connections,c", po::value(&flags.connections)->default_value("8"),
      "requests under way at once, each on a connection of its own; a list is run one after the other")(
      "rate", po::value(&flags.rate)->default_value(0), "requests a second, in an open loop; 0: a closed one")(
      "arrivals", po::value(&flags.arrivals)->default_value("poisson"), "of an open loop: poisson or constant")(
      "time", po::value(&flags.time)->default_value(5), "seconds that count, of each run")(
      "warmup", po::value(&flags.warmup)->default_value(1), "seconds before them")(
      "batch", po::value(&flags.batch)->default_value(1), "rows of a request")(
      "shape", po::value(&flags.shapes)->composing(), "NAME=1,3,224,224: the shape of an input; may be repeated")(
      "data", po::value(&flags.data), "a file with the JSON body of a request, whose inputs are sent")(
      "input-data", po::value(&flags.input_data),
      "a file with the inputs of many requests, sent in turn: {\"data\": [{\"x\": [1, 2]}, {\"x\": {\"content\": [3, 4], \"shape\": [2]}}]}")(
      "distinct", po::value(&flags.distinct)->default_value(1), "random requests that are made beforehand and sent in turn")(
      "json-tensors", po::bool_switch(&flags.json_tensors), "over HTTP: numbers as JSON instead of bytes")(
      "path", po::value(&flags.path), "an HTTP address instead of a model: GET, or POST of --data")(
      "within", po::value(&flags.within)->default_value(0), "milliseconds: tell how many answers kept within")(
      "seed", po::value(&flags.seed)->default_value(1), "of the inputs and of the arrivals");
  po::variables_map values;
  if (!parse_options(argc, argv, kUsageText, options, "model", values)) return kOk;
  flags.json = values.contains("json");
  require(flags.protocol == "http" || flags.protocol == "grpc", "--protocol must be http or grpc", flags.protocol);
  require(!flags.model.empty() || !flags.path.empty(), "no model given; usage: " + kUsageText.line);
  require(flags.batch >= 1, "--batch must be at least 1", flags.batch);
  require(flags.distinct >= 1 && flags.distinct <= 1'000'000, "--distinct must lie between 1 and 1,000,000", flags.distinct);
  require(!flags.streaming || (flags.grpc() && flags.path.empty()), "--streaming is for --protocol grpc");
  require((flags.data.empty() ? 0 : 1) + (flags.input_data.empty() ? 0 : 1) + (flags.distinct > 1 ? 1 : 0) <= 1,
          "--data, --input-data and --distinct exclude each other");
  require(flags.input_data.empty() || flags.path.empty(), "--input-data is for a model, not for --path");
  return run_sweep(flags);
}

}  // namespace tandem::cli
