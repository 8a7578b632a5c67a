#include "serving/monitor/server_metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <array>
#include <chrono>
#include <map>
#include <mutex>

#include "serving/monitor/process_stats.h"

namespace tandem {
namespace {

using prometheus::Labels;

const prometheus::Histogram::BucketBoundaries& latency_buckets() {
  static const prometheus::Histogram::BucketBoundaries buckets{50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 20e-3,
                                                               50e-3, 100e-3, 200e-3, 500e-3, 1,    2,    5,    10};
  return buckets;
}

const prometheus::Histogram::BucketBoundaries& row_buckets() {
  static const prometheus::Histogram::BucketBoundaries buckets{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1'024};
  return buckets;
}

template <class Builder>
auto& family(prometheus::Registry& registry, Builder builder, const char* name, const char* help) {
  return builder.Name(name).Help(help).Register(registry);
}

}  // namespace

struct ServerMetrics::Families {
  class Model;

  prometheus::Registry registry;
  prometheus::Family<prometheus::Counter>& requests =
      family(registry, prometheus::BuildCounter(), "tandem_inference_requests_total", "Inference requests answered");
  prometheus::Family<prometheus::Counter>& failures = family(
      registry, prometheus::BuildCounter(), "tandem_inference_failures_total", "Inference requests refused or failed, by reason");
  prometheus::Family<prometheus::Counter>& rows =
      family(registry, prometheus::BuildCounter(), "tandem_inference_rows_total", "Rows of the requests answered");
  prometheus::Family<prometheus::Counter>& unknown = family(
      registry, prometheus::BuildCounter(), "tandem_unknown_categories_total", "Texts that the model's encoders do not know");
  prometheus::Family<prometheus::Histogram>& duration =
      family(registry, prometheus::BuildHistogram(), "tandem_inference_request_duration_seconds", "From request read to answer");
  prometheus::Family<prometheus::Histogram>& queue =
      family(registry, prometheus::BuildHistogram(), "tandem_inference_queue_duration_seconds", "Waiting for a lane");
  prometheus::Family<prometheus::Histogram>& compute =
      family(registry, prometheus::BuildHistogram(), "tandem_batch_compute_duration_seconds", "A batch in the model's kernels");
  prometheus::Family<prometheus::Histogram>& lane = family(registry, prometheus::BuildHistogram(), "tandem_batch_lane_duration_seconds",
                                                           "A batch on a lane, copies and answers included");
  prometheus::Family<prometheus::Histogram>& batch_rows =
      family(registry, prometheus::BuildHistogram(), "tandem_batch_rows", "Rows of a batch");
  prometheus::Family<prometheus::Gauge>& in_flight =
      family(registry, prometheus::BuildGauge(), "tandem_inference_in_flight", "Requests taken and not yet answered");
  prometheus::Family<prometheus::Gauge>& ready =
      family(registry, prometheus::BuildGauge(), "tandem_model_ready", "1 if it answers");
  prometheus::Family<prometheus::Gauge>& on_device =
      family(registry, prometheus::BuildGauge(), "tandem_model_on_device", "1 while a GPU answers");
  prometheus::Family<prometheus::Gauge>& fallen_back =
      family(registry, prometheus::BuildGauge(), "tandem_model_fallen_back", "1 if the CPU answers although a GPU was asked for");
  prometheus::Family<prometheus::Counter>& device_errors =
      family(registry, prometheus::BuildCounter(), "tandem_device_errors_total", "Failures of the GPU that the model met");
  prometheus::Family<prometheus::Counter>& saved = family(
      registry, prometheus::BuildCounter(), "tandem_saved_seconds_total", "Compute spared because its requests had been cancelled");
  prometheus::Family<prometheus::Gauge>& captured =
      family(registry, prometheus::BuildGauge(), "tandem_captured_graphs", "Captured graphs held on the GPU");
  prometheus::Family<prometheus::Gauge>& lanes =
      family(registry, prometheus::BuildGauge(), "tandem_lane_healthy", "0 while a lane is stuck or computes wrongly");
  prometheus::Family<prometheus::Counter>& http =
      family(registry, prometheus::BuildCounter(), "tandem_http_requests_total", "HTTP answers, by status class");
  prometheus::Family<prometheus::Counter>& grpc =
      family(registry, prometheus::BuildCounter(), "tandem_grpc_requests_total", "gRPC calls, and requests of streams, by status");
  prometheus::Family<prometheus::Gauge>& build = family(registry, prometheus::BuildGauge(), "tandem_build_info", "Always 1");
  prometheus::Gauge& resident =
      family(registry, prometheus::BuildGauge(), "process_resident_memory_bytes", "Resident memory").Add({});
  prometheus::Gauge& fds = family(registry, prometheus::BuildGauge(), "process_open_fds", "Open file descriptors").Add({});
  prometheus::Gauge& max_fds = family(registry, prometheus::BuildGauge(), "process_max_fds", "Limit of file descriptors").Add({});
  prometheus::Counter& cpu =
      family(registry, prometheus::BuildCounter(), "process_cpu_seconds_total", "User and system time").Add({});
  prometheus::Gauge& start =
      family(registry, prometheus::BuildGauge(), "process_start_time_seconds", "When it started, Unix time").Add({});
  prometheus::Gauge& uptime = family(registry, prometheus::BuildGauge(), "tandem_uptime_seconds", "Since it started").Add({});
  std::array<prometheus::Counter*, 17> grpc_codes{};   // by status
  std::array<prometheus::Counter*, 6> http_classes{};  // "1xx" to "5xx" by first digit

  std::chrono::steady_clock::time_point started = std::chrono::steady_clock::now();
  std::mutex mutex;  // of models, and of counters that follow one kept elsewhere
  std::map<std::pair<std::string, int64_t>, std::unique_ptr<Model>> models;
};

class ServerMetrics::Families::Model : public ModelMetrics {
 public:
  Model(Families& all, const Labels& labels, std::span<const std::string> text_inputs)
      : requests_(all.requests.Add(labels)),
        rows_(all.rows.Add(labels)),
        duration_(all.duration.Add(labels, latency_buckets())),
        queue_(all.queue.Add(labels, latency_buckets())),
        compute_(all.compute.Add(labels, latency_buckets())),
        lane_(all.lane.Add(labels, latency_buckets())),
        batch_rows_(all.batch_rows.Add(labels, row_buckets())),
        in_flight_(all.in_flight.Add(labels)) {
    constexpr std::array kReasons{"invalid", "rejected", "timeout", "internal", "cancelled"};
    const auto with = [&](const char* key, const std::string& value) {
      Labels extended = labels;
      extended.emplace(key, value);
      return extended;
    };
    for (size_t i = 0; i < kReasons.size(); ++i) failures_[i] = &all.failures.Add(with("reason", kReasons[i]));
    for (const std::string& input : text_inputs) unknown_.emplace(input, &all.unknown.Add(with("input", input)));
  }

  void begin() override { in_flight_.Increment(); }
  void succeed(double seconds, double queue_seconds, int64_t rows) override {
    in_flight_.Decrement();
    requests_.Increment();
    rows_.Increment(static_cast<double>(rows));
    duration_.Observe(seconds);
    queue_.Observe(queue_seconds);
  }
  void fail(FailureReason reason) override {
    in_flight_.Decrement();
    failures_[static_cast<size_t>(reason)]->Increment();
  }
  void run_batch(int64_t rows, double compute_seconds, double lane_seconds) override {
    compute_.Observe(compute_seconds);
    lane_.Observe(lane_seconds);
    batch_rows_.Observe(static_cast<double>(rows));
  }
  void unknown_categories(std::string_view input, int64_t count) override {
    if (const auto found = unknown_.find(input); found != unknown_.end() && count > 0)
      found->second->Increment(static_cast<double>(count));
  }

 private:
  prometheus::Counter &requests_, &rows_;
  prometheus::Histogram &duration_, &queue_, &compute_, &lane_, &batch_rows_;
  prometheus::Gauge& in_flight_;
  std::array<prometheus::Counter*, 5> failures_{};
  std::map<std::string, prometheus::Counter*, std::less<>> unknown_;
};

ServerMetrics::ServerMetrics(std::string_view version) : families_(std::make_unique<Families>()) {
  families_->build.Add({{"version", std::string(version)}}).Set(1);
  families_->start.Set(static_cast<double>(
      std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count()));
  for (size_t digit = 1; digit < families_->http_classes.size(); ++digit)
    families_->http_classes[digit] = &families_->http.Add({{"code", std::to_string(digit) + "xx"}});
  for (size_t code = 0; code < families_->grpc_codes.size(); ++code)
    families_->grpc_codes[code] = &families_->grpc.Add({{"code", std::string(grpc_status_name(static_cast<int>(code)))}});
}
ServerMetrics::~ServerMetrics() = default;

std::string_view grpc_status_name(int status) {
  constexpr std::array<std::string_view, 17> names{
      "OK",                  "CANCELLED", "UNKNOWN",      "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
      "ALREADY_EXISTS",      "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
      "UNIMPLEMENTED",       "INTERNAL",  "UNAVAILABLE",  "DATA_LOSS",        "UNAUTHENTICATED"};
  return status >= 0 && static_cast<size_t>(status) < names.size() ? names[static_cast<size_t>(status)] : names[2];
}

ModelMetrics& ServerMetrics::add_model(const std::string& model, int64_t version, std::span<const std::string> text_inputs) {
  const std::lock_guard lock(families_->mutex);
  auto& entry = families_->models[{model, version}];
  if (!entry)
    entry = std::make_unique<Families::Model>(*families_, Labels{{"model", model}, {"version", std::to_string(version)}},
                                              text_inputs);
  return *entry;
}

void ServerMetrics::set_ready(const std::string& model, int64_t version, bool ready) {
  families_->ready.Add({{"model", model}, {"version", std::to_string(version)}}).Set(ready ? 1 : 0);
}

void ServerMetrics::set_device(const std::string& model, int64_t version, const DeviceMetrics& device) {
  const Labels labels{{"model", model}, {"version", std::to_string(version)}};
  const std::lock_guard lock(families_->mutex);
  families_->on_device.Add(labels).Set(device.on_device ? 1 : 0);
  families_->fallen_back.Add(labels).Set(device.fallen_back ? 1 : 0);
  families_->captured.Add(labels).Set(static_cast<double>(device.captured_graphs));
  prometheus::Counter& counter = families_->device_errors.Add(labels);
  counter.Increment(static_cast<double>(device.errors) - counter.Value());
}

void ServerMetrics::set_saved_seconds(const std::string& model, int64_t version, double seconds) {
  const std::lock_guard lock(families_->mutex);
  prometheus::Counter& counter = families_->saved.Add({{"model", model}, {"version", std::to_string(version)}});
  if (seconds > counter.Value()) counter.Increment(seconds - counter.Value());
}

void ServerMetrics::set_lane(int lane, bool healthy) { families_->lanes.Add({{"lane", std::to_string(lane)}}).Set(healthy ? 1 : 0); }

void ServerMetrics::count_http(int status) {
  if (status >= 100 && status < 600) families_->http_classes[static_cast<size_t>(status / 100)]->Increment();
}

void ServerMetrics::count_grpc(int status) {
  const bool is_known = status >= 0 && status < static_cast<int>(families_->grpc_codes.size());
  families_->grpc_codes[static_cast<size_t>(is_known ? status : 2)]->Increment();
}

std::string ServerMetrics::text() {
  const ProcessStats stats = process_stats();
  families_->resident.Set(static_cast<double>(stats.resident_bytes));
  families_->fds.Set(static_cast<double>(stats.open_fds));
  families_->max_fds.Set(static_cast<double>(stats.max_fds));
  families_->cpu.Increment(stats.cpu_seconds - families_->cpu.Value());
  families_->uptime.Set(std::chrono::duration<double>(std::chrono::steady_clock::now() - families_->started).count());
  return prometheus::TextSerializer().Serialize(families_->registry.Collect());
}

}  // namespace tandem
