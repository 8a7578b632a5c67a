#include "serving/monitor/server_metrics.h"

#include <gmock/gmock.h>

#include <thread>
#include <vector>

#include "serving/monitor/process_stats.h"

namespace tandem {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(ServerMetrics, CountsByModelAndVersion) {
  ServerMetrics metrics("1.2.3");
  const std::vector<std::string> texts{"job"};
  ModelMetrics& m = metrics.add_model("m", 2, texts);
  EXPECT_EQ(&m, &metrics.add_model("m", 2, texts));
  for (int i = 0; i < 3; ++i) m.begin();
  m.succeed(120e-6, 10e-6, 8);
  m.run_batch(8, 3e-3, 4e-3);
  m.fail(FailureReason::kTimeout);
  m.unknown_categories("job", 4);
  m.unknown_categories("made-up", 4);
  const std::string text = metrics.text();
  const std::string labels = R"({model="m",version="2"})";
  EXPECT_THAT(text, HasSubstr("tandem_inference_requests_total" + labels + " 1"));
  EXPECT_THAT(text, HasSubstr("tandem_inference_rows_total" + labels + " 8"));
  EXPECT_THAT(text, HasSubstr("tandem_inference_in_flight" + labels + " 1"));
  EXPECT_THAT(text, HasSubstr(R"(tandem_inference_failures_total{model="m",reason="timeout",version="2"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(tandem_unknown_categories_total{input="job",model="m",version="2"} 4)"));
  EXPECT_THAT(text, HasSubstr(R"(tandem_inference_request_duration_seconds_bucket{model="m",version="2",le="0.0001"} 0)"));
  EXPECT_THAT(text, HasSubstr(R"(tandem_inference_request_duration_seconds_bucket{model="m",version="2",le="0.0002"} 1)"));
  EXPECT_THAT(text, HasSubstr("tandem_batch_compute_duration_seconds_sum" + labels + " 0.003"));
  EXPECT_THAT(text, HasSubstr("tandem_batch_lane_duration_seconds_sum" + labels + " 0.004"));
  EXPECT_THAT(text, HasSubstr(R"(tandem_batch_rows_bucket{model="m",version="2",le="4"} 0)"));
  EXPECT_THAT(text, HasSubstr(R"(tandem_batch_rows_bucket{model="m",version="2",le="8"} 1)"));
  EXPECT_THAT(text, HasSubstr(R"(tandem_build_info{version="1.2.3"} 1)"));
  EXPECT_THAT(text, Not(HasSubstr("made-up")));
}

TEST(ServerMetrics, NothingIsLostBetweenThreads) {
  ServerMetrics metrics("1");
  ModelMetrics& m = metrics.add_model("m", 1, {});
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 5000; ++i) {
        m.begin();
        m.succeed(1e-3, 1e-4, 1);
        metrics.count_http(200);
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(metrics.text(), HasSubstr(R"(tandem_inference_requests_total{model="m",version="1"} 20000)"));
  EXPECT_THAT(metrics.text(), HasSubstr(R"(tandem_http_requests_total{code="2xx"} 20000)"));
  EXPECT_THAT(metrics.text(), HasSubstr(R"(tandem_inference_in_flight{model="m",version="1"} 0)"));
}

TEST(ProcessStats, TellsWhatTheKernelKnows) {
  const ProcessStats stats = process_stats();
  EXPECT_GT(stats.resident_bytes, 1 << 20);
  EXPECT_GE(stats.open_fds, 3);
  EXPECT_GT(stats.max_fds, stats.open_fds);
}

}  // namespace
}  // namespace tandem
