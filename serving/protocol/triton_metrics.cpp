#include "serving/protocol/triton_metrics.h"

#include <chrono>
#include <functional>
#include <string_view>
#include <utility>
#include <vector>

namespace tandem {
namespace {

struct Loaded {
  std::string labels;
  ModelStatistics statistics;
  int64_t pending = 0;
};

struct Series {
  std::string_view name, type, help;
  std::function<int64_t(const Loaded&)> value;
  std::string_view more_labels = "";
};

int64_t us(const DurationSum& sum) { return std::chrono::duration_cast<std::chrono::microseconds>(sum.time).count(); }
int64_t count(uint64_t value) { return static_cast<int64_t>(value); }

const std::vector<Series>& all_series() {
  static const std::vector<Series> series{
      {"nv_inference_request_success", "counter", "Requests answered", [](const Loaded& m) { return count(m.statistics.success.count); }},
      {"nv_inference_request_failure", "counter", "Requests that failed, but for cancelled ones",
       [](const Loaded& m) { return count(m.statistics.fail.count - m.statistics.cancelled.count); }, R"(,reason="OTHER")"},
      {"nv_inference_request_failure", "counter", "", [](const Loaded& m) { return count(m.statistics.cancelled.count); },
       R"(,reason="CANCELED")"},
      {"nv_inference_count", "counter", "Rows of the requests answered", [](const Loaded& m) { return count(m.statistics.inferences); }},
      {"nv_inference_exec_count", "counter", "Batches run", [](const Loaded& m) { return count(m.statistics.executions); }},
      {"nv_inference_request_duration_us", "counter", "From request to answer", [](const Loaded& m) { return us(m.statistics.success); }},
      {"nv_inference_queue_duration_us", "counter", "Waiting for a lane", [](const Loaded& m) { return us(m.statistics.queue); }},
      {"nv_inference_compute_input_duration_us", "counter", "Joining the inputs of a batch", [](const Loaded& m) { return us(m.statistics.input); }},
      {"nv_inference_compute_infer_duration_us", "counter", "Running the model", [](const Loaded& m) { return us(m.statistics.infer); }},
      {"nv_inference_compute_output_duration_us", "counter", "Writing the answers", [](const Loaded& m) { return us(m.statistics.output); }},
      {"nv_inference_pending_request_count", "gauge", "Requests that wait", [](const Loaded& m) { return m.pending; }}};
  return series;
}

}  // namespace

std::string triton_metrics_text(std::span<const ModelListing> listings) {
  std::vector<Loaded> models;
  for (const ModelListing& listing : listings)
    if (listing.served)
      models.push_back({"model=\"" + listing.name + "\",version=\"" + std::to_string(listing.version) + "\"",
                        listing.served->statistics(), listing.served->queued()});
  std::string text;
  for (const Series& series : all_series()) {
    const std::string name(series.name);
    if (!series.help.empty()) text += "# HELP " + name + " " + std::string(series.help) + "\n# TYPE " + name + " " + std::string(series.type) + "\n";
    for (const Loaded& model : models)
      text += name + "{" + model.labels + std::string(series.more_labels) + "} " + std::to_string(series.value(model)) + "\n";
  }
  return text;
}

}  // namespace tandem
