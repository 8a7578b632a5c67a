#include "serving/protocol/statistics.h"

#include "inference_service.pb.h"
#include "serving/protocol/message_json.h"

namespace tandem {
namespace {

void write_sum(const DurationSum& sum, inference::StatisticDuration& message) {
  message.set_count(sum.count);
  message.set_ns(static_cast<uint64_t>(sum.time.count()));
}

void write_model(const ModelListing& listing, inference::ModelStatistics& message) {
  const ModelStatistics statistics = listing.served->statistics();
  message.set_name(listing.name);
  message.set_version(std::to_string(listing.version));
  message.set_last_inference(statistics.last_inference_ms);
  message.set_inference_count(statistics.inferences);
  message.set_execution_count(statistics.executions);
  inference::InferStatistics& sums = *message.mutable_inference_stats();
  write_sum(statistics.success, *sums.mutable_success());
  write_sum(statistics.fail, *sums.mutable_fail());
  write_sum(statistics.queue, *sums.mutable_queue());
  write_sum(statistics.input, *sums.mutable_compute_input());
  write_sum(statistics.infer, *sums.mutable_compute_infer());
  write_sum(statistics.output, *sums.mutable_compute_output());
  write_sum({}, *sums.mutable_cache_hit());
  write_sum({}, *sums.mutable_cache_miss());
  for (const auto& [rows, batch] : statistics.batches) {
    inference::InferBatchStatistics& to = *message.add_batch_stats();
    to.set_batch_size(static_cast<uint64_t>(rows));
    write_sum(batch.input, *to.mutable_compute_input());
    write_sum(batch.infer, *to.mutable_compute_infer());
    write_sum(batch.output, *to.mutable_compute_output());
  }
  inference::MemoryUsage& memory = *message.add_memory_usage();
  memory.set_type("CPU");
  memory.set_byte_size(static_cast<uint64_t>(listing.model()->peak_bytes()));
}

}  // namespace

void write_statistics(std::span<const ModelListing> listings, inference::ModelStatisticsResponse& message) {
  for (const ModelListing& listing : listings)
    if (listing.served) write_model(listing, *message.add_model_stats());
}

std::string statistics_json(std::span<const ModelListing> listings) {
  inference::ModelStatisticsResponse message;
  write_statistics(listings, message);
  return message_json(message);
}

}  // namespace tandem
