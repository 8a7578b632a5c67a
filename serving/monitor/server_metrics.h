// What the server counts, for Prometheus. A series exists for each model version that was found at load and for nothing a client
// can make up; counters are safe from any thread.
//
//   tandem_inference_requests_total{model,version}              answered right
//   tandem_inference_failures_total{model,version,reason}       reason: invalid | rejected | timeout | internal | cancelled
//   tandem_inference_rows_total{model,version}                  rows (batch elements) of the requests answered right
//   tandem_inference_request_duration_seconds{model,version}    histogram: from the whole request read to the answer handed over
//   tandem_inference_queue_duration_seconds{model,version}      histogram: waiting for a lane
//   tandem_batch_compute_duration_seconds{model,version}        histogram, of batches: in the model's kernels
//   tandem_batch_lane_duration_seconds{model,version}           histogram, of batches: on a lane, copies and answers included
//   tandem_batch_rows{model,version}                            histogram, of batches: rows
//   tandem_inference_in_flight{model,version}                   taken and not yet answered
//   tandem_unknown_categories_total{model,version,input}        texts that the model's encoders do not know
//   tandem_http_requests_total{code}                            every answer, by status class
//   tandem_grpc_requests_total{code}                           every call that ended, and every request of a stream, by status
//   tandem_model_on_device{model,version}                       1 while a GPU answers, 0 while the CPU does
//   tandem_model_fallen_back{model,version}                     1 if the CPU answers although a GPU was asked for
//   tandem_device_errors_total{model,version}                   failures of the GPU that the model met
//   tandem_saved_seconds_total{model,version}                   compute spared because its requests had been cancelled
//   tandem_captured_graphs{model,version}                       held on the GPU, a few for each lane and each set of shapes
//   tandem_lane_healthy{lane}                                   0 while a lane is stuck or computes wrongly
//   tandem_model_ready{model,version}, tandem_build_info{version}, process_*
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace tandem {

enum class FailureReason : uint8_t { kInvalid, kRejected, kTimeout, kInternal, kCancelled };

// The series of one model version. Lives as long as the ServerMetrics that made it.
class ModelMetrics {
 public:
  virtual ~ModelMetrics() = default;
  virtual void begin() = 0;  // one more in flight; ended by exactly one of the next two
  virtual void succeed(double seconds, double queue_seconds, int64_t rows) = 0;
  virtual void fail(FailureReason reason) = 0;
  virtual void run_batch(int64_t rows, double compute_seconds, double lane_seconds) = 0;  // one that was answered
  virtual void unknown_categories(std::string_view input, int64_t count) = 0;  // an input named at add_model
};

// How the GPU serves a model.
struct DeviceMetrics {
  bool on_device = false, fallen_back = false;
  int64_t errors = 0;  // all that the model has met so far
  int64_t captured_graphs = 0;
};

// "INVALID_ARGUMENT" of 3; UNKNOWN for what is none.
std::string_view grpc_status_name(int status);

class ServerMetrics {
 public:
  explicit ServerMetrics(std::string_view version);
  ~ServerMetrics();

  // The same object for the same model and version. `text_inputs`: those with known categories.
  ModelMetrics& add_model(const std::string& model, int64_t version, std::span<const std::string> text_inputs);
  void set_ready(const std::string& model, int64_t version, bool ready);
  void set_device(const std::string& model, int64_t version, const DeviceMetrics& device);
  void set_saved_seconds(const std::string& model, int64_t version, double seconds);
  void set_lane(int lane, bool healthy);
  void count_http(int status);
  void count_grpc(int status);  // the number of gRPC
  // The text exposition format, version 0.0.4.
  std::string text();

 private:
  struct Families;
  std::unique_ptr<Families> families_;
};

}  // namespace tandem
