// `tandem serve`: the models of a folder over the Open Inference Protocol v2.
#include <fmt/format.h>
#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/device_options.h"
#include "cli/flag_file.h"
#include "cli/limit_flags.h"
#include "cli/options.h"
#include "serving/engine/cost_profile.h"
#include "serving/http/inference_server.h"
#include "serving/protocol/metadata.h"

namespace po = boost::program_options;

namespace tandem::cli {
namespace {

const Usage kUsageText = {
    "tandem serve --repository DIR [--http-port 8000] [--grpc-port 8001]",
    "Serves every model found at DIR/<model>/<version>/model.onnx over HTTP and gRPC (Open Inference Protocol v2: the clients of "
    "Triton and KServe\n"
    "work unchanged). A version that fails to load does not stop the others; `curl -XPOST HOST/v2/repository/index` tells why.\n"
    "SIGTERM or Ctrl-C finishes what was begun, at most --exit-timeout seconds long; a second one ends at once.\n"
    "Exit codes: 0 stopped after finishing everything, 2 wrong options or repository, 4 the port cannot be used, threads or descriptors are too few, or requests "
    "were cut off at\n"
    "--exit-timeout, 130 or 143 after a second Ctrl-C or SIGTERM.",
    "  tandem serve --repository models\n"
    "  curl localhost:8000/                                  what is there\n"
    "  curl localhost:8000/v2/models/mlp                     inputs and outputs of a model\n"
    "  curl localhost:8000/v2/models/mlp/infer -d '{\"inputs\": [{\"name\": \"x\", \"shape\": [1, 2], \"datatype\": \"FP32\", "
    "\"data\": [1, 2]}]}'\n"
    "  tandem serve --repository models --http-port 0 --json   any free port, told as JSON\n"
    "  tandem serve --repository models --device auto         from a GPU if there is one; the CPU takes over should it fail\n"
    "  tandem serve --repository models --lanes 4 --threads 2   4 requests at once, 2 threads each\n",
};

// SIGTERM, SIGINT and SIGHUP as something to wait for. Made before any thread, so that all threads have them blocked.
class StopSignals {
 public:
  StopSignals() {
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);  // a log that may not grow must not end the server
    sigemptyset(&set_);
    for (int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set_, number);
    pthread_sigmask(SIG_BLOCK, &set_, nullptr);
  }
  int wait() const {
    int number = 0;
    while (sigwait(&set_, &number) != 0) {
    }
    return number;
  }
  // The signal that came within the time, or 0.
  int wait_for(std::chrono::milliseconds time) const {
    const timespec limit{time.count() / 1000, (time.count() % 1000) * 1'000'000};
    const int number = sigtimedwait(&set_, nullptr, &limit);
    return number > 0 ? number : 0;
  }

 private:
  sigset_t set_;
};

// "mlp:stable=3", again and again.
void read_labels(const std::vector<std::string>& texts, RepositoryOptions& models) {
  for (const std::string& text : texts) {
    const size_t colon = text.find(':');
    require(colon != std::string::npos && colon > 0, "--label is written as MODEL:stable=3", text);
    models.labels[text.substr(0, colon)].merge(parse_version_labels(text.substr(colon + 1)));
  }
}

// What each model would hold, and whether all together do fit.
int print_forecast(const std::vector<MemoryForecast>& forecasts, int64_t limit, bool json) {
  int64_t sum = 0;
  bool all_load = true, fits = true;
  for (const MemoryForecast& forecast : forecasts) {
    fits = fits && std::max(forecast.additional, forecast.files) <= limit - sum;
    sum += forecast.additional;
    all_load = all_load && forecast.problem.empty();
  }
  fits = fits && all_load;
  const int code = fits ? kOk : all_load ? kResources : kUsage;
  if (json) {
    fmt::print("{{\"event\": \"dry_run\", \"fits\": {}, \"bytes\": {}, \"models\": {}}}\n", fits, sum, forecast_json(forecasts, limit));
    return code;
  }
  fmt::print("{:<32} {:>14} {:>14} {:>14} {:>6} {:>14}\n", "model", "weights", "packed", "a lane", "lanes", "bytes");
  for (const MemoryForecast& forecast : forecasts) {
    const MemoryNeed& need = forecast.need;
    const std::string name = fmt::format("{}/{}", forecast.name, forecast.version);
    if (forecast.problem.empty())
      fmt::print("{:<32} {:>14} {:>14} {:>14} {:>6} {:>14}\n", name, need.weights, need.packed, need.lane, need.lanes, need.total());
    else
      fmt::print("{:<32} {}\n", name, forecast.problem);
  }
  fmt::print("together {} bytes, what models share counted once", sum);
  fmt::print("{}\n", limit == INT64_MAX ? std::string() : fmt::format("; --memory-limit is {}: {}", limit, fits ? "fits" : "does not fit"));
  return code;
}

void add_device(nlohmann::ordered_json& model, const ModelDevice& device) {
  model["device"] = device.on_device ? device.asked : "cpu";
  if (!device.problem.empty()) model["fallback"] = device.problem;
  if (device.on_device) model["captured_graphs"] = device.captured_graphs;
}

void print_ready(const InferenceServer& server, const std::string& host, bool json) {
  const std::string url = fmt::format("http://{}:{}", host, server.port());
  std::string names;
  nlohmann::ordered_json models = nlohmann::json::array();
  for (const ModelListing& listing : server.repository().listings()) {
    const std::string name = listing.version > 0 ? fmt::format("{}/{}", listing.name, listing.version) : listing.name;
    models.push_back({{"name", listing.name},
                      {"version", std::to_string(listing.version)},
                      {"ready", listing.served != nullptr},
                      {"reason", listing.reason}});
    if (listing.served) add_device(models.back(), listing.model()->device());
    if (listing.served)
      names += (names.empty() ? "" : ", ") + name;
    else if (!listing.reason.empty())
      fmt::print(stderr, "tandem serve: {} is not served: {}\n", name, listing.reason);
  }
  if (json)
    fmt::print("{}\n",
               nlohmann::ordered_json{
                   {"event", "ready"}, {"url", url}, {"port", server.port()}, {"grpc_port", server.grpc_port().value_or(-1)}, {"metrics_port", server.metrics_port().value_or(-1)}, {"lanes", server.lanes()}, {"models", models}}
                   .dump());
  else
    fmt::print("ready: {}{} (models: {})\n", url, server.grpc_port() ? fmt::format(", gRPC on port {}", *server.grpc_port()) : "",
               names.empty() ? "none" : names);
  std::fflush(stdout);
}

// Loads and listens; a signal meanwhile ends the program at once, since nothing has been begun.
std::unique_ptr<InferenceServer> start(const InferenceServerOptions& options, const StopSignals& signals) {
  auto started = std::async(std::launch::async, [&] { return std::make_unique<InferenceServer>(options); });
  while (started.wait_for(std::chrono::milliseconds(5)) != std::future_status::ready)
    if (signals.wait_for(std::chrono::milliseconds(0))) std::_Exit(kOk);
  return started.get();
}

// Until everything is answered, the time is over or a second signal says not to wait.
int drain(InferenceServer& server, const StopSignals& signals, std::chrono::seconds timeout, bool json) {
  auto stopped = std::async(std::launch::async, [&] { return server.stop(timeout); });
  while (stopped.wait_for(std::chrono::seconds(0)) != std::future_status::ready)
    if (const int number = signals.wait_for(std::chrono::milliseconds(20))) std::_Exit(128 + number);
  const bool whole = stopped.get();
  if (json)
    fmt::print("{{\"event\": \"stopped\", \"whole\": {}}}\n", whole);
  else
    fmt::print("stopped{}\n", whole ? "" : ": requests were cut off at --exit-timeout");
  std::fflush(stdout);
  if (!whole) std::_Exit(kEnvironment);  // what still runs on a lane is not waited for
  return kOk;
}

}  // namespace

int serve_command(int argc, char** argv) {
  InferenceServerOptions server_options;
  HttpServerOptions& http = server_options.http;
  std::string repository, slo, versions, batch_sizes, control, memory_limit;
  std::vector<std::string> load_at_start, labels;
  double stuck_after = 60;
  int poll_secs = 15;
  int exit_timeout = 30;
  DeviceFlags flags;
  po::options_description options("options");
  options.add_options()("config", po::value<std::string>(), "file of flags, one a line: http-port = 8000; those of the command line go before it")(
      "repository,r", po::value(&repository), "folder of models (also as a plain word)")(
      "http-port", po::value(&http.port)->default_value(8000), "port; 0 takes a free one and prints it")(
      "grpc-port", po::value<int>(), "port of gRPC, 8001 unless given; 0 takes a free one (so it does with --http-port 0), =-1 none")(
      "metrics-port", po::value<int>(), "one more port, with /metrics and health alone; 0 takes a free one")(
      "host", po::value(&http.host)->default_value("127.0.0.1"), "address to listen on; 0.0.0.0 for all")(
      "lanes", po::value(&server_options.lanes)->default_value(0),
      "requests computed at once; 0: as many as processors / threads")(
      "threads", po::value(&server_options.threads)->default_value(1), "threads of each lane")(
      "network-threads", po::value(&server_options.network_threads)->default_value(0),
      "threads of each protocol that read, parse and answer; 0: a quarter of the processors, over HTTP at least 2")(
      "model-control", po::value(&control)->default_value("none"),
      "which models: none (what is there at the start), poll (looks again every --poll-secs), explicit (those of --load-model, and what "
      "clients load and unload)")("load-model", po::value(&load_at_start),
                                  "with --model-control explicit: a model to load at the start, or '*' for all; again for more")(
      "poll-secs", po::value(&poll_secs)->default_value(15), "seconds between two looks")(
      "versions", po::value(&versions)->default_value("latest"), "which versions: latest, latest:N, all, or a list such as 1,3")(
      "memory-limit", po::value(&memory_limit),
      "bytes that all models may hold together, such as 4G; a load that does not fit is refused, or evicts idle models with --model-control explicit")(
      "dry-run", "print what each model would hold of the memory, and leave: exit code 0 if all fit, 3 if not, 2 if one cannot be loaded")(
      "label", po::value(&labels), "a name for a version, MODEL:stable=3, that clients may use in its place; again for more")(
      "stuck-after", po::value(&stuck_after)->default_value(60), "seconds after which a batch that still runs makes the server say that it is not ready; 0: never")(
      "max-batch", po::value(&server_options.max_batch)->default_value(1024), "rows of one request at most")(
      "max-dimension", po::value(&server_options.max_dimension)->default_value(65'536), "size of any other dimension that requests choose, at most")(
      "batch-sizes", po::value(&batch_sizes)->default_value("auto"),
      "rows that models are made ready for when they are loaded, unless their config.pbtxt says: a list such as 1,8,32, none, "
      "or auto (powers of two up to 64; on a CPU those that take little time)")(
      "slo", po::value(&slo),
      "latency that answers are to keep, such as p99=20ms: batches are chosen, and requests that would miss it refused at once (429); models "
      "may name their own, or dynamic_batching, in config.pbtxt")(
      "batch-invariant", po::bool_switch(&server_options.models.batch_invariant),
      "answers are the same, bit for bit, whatever else runs in their batch: tried at load; requests of models that cannot have it run alone")(
      "allow-client-shm", po::bool_switch(&server_options.allow_client_shm),
      "clients on this machine may hand over tensors in shared memory that they register")(
      "allow-settings", po::bool_switch(&server_options.allow_settings),
      "clients may change the settings of the log and of traces")("access-log", po::value(&server_options.access_log),
                                                                  "file, or - for standard output: a line of JSON for each request")(
      "trace-file", po::value(&server_options.trace_file), "file for the traces that clients turn on (with --allow-settings)")(
      "exit-timeout", po::value(&exit_timeout)->default_value(exit_timeout), "seconds that a stop may take")(
      "limits", "print what a request may be at most, with the flags that say so, and leave");
  add_limit_flags(options, http.limits);
  add_device_flags(options, flags);
  add_tune_flag(options, flags.tune);
  po::variables_map values;
  std::vector<std::string> words = with_flag_file(argc, argv, options, "repository");
  std::vector<char*> all;
  for (std::string& word : words) all.push_back(word.data());
  if (!parse_options(static_cast<int>(all.size()), all.data(), kUsageText, options, "repository", values)) return kOk;
  const bool json = values.contains("json");
  if (values.contains("limits")) {
    print_limits(http.limits, {server_options.max_batch, server_options.max_dimension}, json);
    return kOk;
  }
  check_limits(http.limits);
  require(!repository.empty(), "no repository given; usage: " + kUsageText.line);
  require(stuck_after >= 0 && stuck_after <= 1e6, "stuck-after must be between 0 and a million seconds", stuck_after);
  server_options.health.stuck_after = std::chrono::nanoseconds(static_cast<int64_t>(stuck_after * 1e9));
  read_labels(labels, server_options.models);
  require(http.port >= 0 && http.port <= 65'535, "http-port must be between 0 and 65535", http.port);
  const int grpc_port = values.contains("grpc-port") ? values["grpc-port"].as<int>() : http.port == 0 ? 0 : 8001;
  require(grpc_port >= -1 && grpc_port <= 65'535, "grpc-port must be between 0 and 65535, or -1 for none", grpc_port);
  if (grpc_port >= 0) server_options.grpc_port = grpc_port;
  if (values.contains("metrics-port")) {
    server_options.metrics_port = values["metrics-port"].as<int>();
    require(*server_options.metrics_port >= 0 && *server_options.metrics_port <= 65'535, "metrics-port must be between 0 and 65535",
            *server_options.metrics_port);
  }
  require(exit_timeout >= 0, "exit-timeout must not be negative", exit_timeout);
  server_options.repository = repository;
  server_options.models.versions = parse_version_policy(versions);
  if (!slo.empty()) server_options.models.slo = parse_slo(slo);
  server_options.models.profiles = profile_folder();
  server_options.models.control = parse_model_control(control);
  server_options.models.load_at_start = {load_at_start.begin(), load_at_start.end()};
  require(load_at_start.empty() || server_options.models.control == ModelControl::kExplicit,
          "--load-model goes with --model-control explicit");
  require(poll_secs >= 1, "poll-secs must be at least 1", poll_secs);
  server_options.poll_interval = std::chrono::seconds(poll_secs);
  server_options.batch_sizes = parse_batch_sizes(batch_sizes);
  server_options.version = TANDEM_VERSION;
  if (!memory_limit.empty()) server_options.memory_limit = parse_bytes(memory_limit);
  server_options.device = flags.device;
  server_options.strict_device = flags.strict;
  server_options.fast_math = is_fast_math(flags.math);
  server_options.tuning = tuning_of(flags.tune);
  server_options.precision = precision_of(flags.precision);
  server_options.log = [](const std::string& line) { fmt::print(stderr, "tandem serve: {}\n", line); };

  if (values.contains("dry-run")) return print_forecast(forecast_memory(server_options), server_options.memory_limit, json);

  const StopSignals signals;
  const std::unique_ptr<InferenceServer> server = start(server_options, signals);
  print_ready(*server, http.host, json);
  signals.wait();
  return drain(*server, signals, std::chrono::seconds(exit_timeout), json);
}

}  // namespace tandem::cli
