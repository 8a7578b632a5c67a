// How whatever `tandem bench model` and `train` run is measured: once, for a report, or over and over, as a script asks.
//
// A subject has time(seconds), profile(seconds), plan(), bytes_moved(), plan_bytes() and process_bytes().
#pragma once

#include <iostream>
#include <string>

#include "cli/bench_report.h"
#include "cli/json_line.h"

namespace tandem::cli {

template <class Subject>
BenchReport measure(Subject& subject, double seconds, int threads, bool profile) {
  BenchReport report;
  report.timing = subject.time(seconds);
  report.work = work_of(subject.plan());
  report.bytes_moved = subject.bytes_moved();
  report.plan_bytes = subject.plan_bytes(), report.process_bytes = subject.process_bytes();
  if (profile) report.ops = subject.profile(seconds);
  report.ceilings = measure_ceilings(report.work, threads);
  return report;
}

// For scripts that run others in between: says `ready`; then each line read is a number of seconds, and answered by a line of JSON.
template <class Subject>
void answer_requests(Subject& subject, nlohmann::json ready) {
  ready["ready"] = true, ready["process_bytes"] = subject.process_bytes(), ready["peak_bytes"] = subject.plan_bytes();
  std::cout << json_line(ready) << std::endl;
  for (std::string line; std::getline(std::cin, line);)
    std::cout << json_line(json_of(subject.time(seconds_of(line)))) << std::endl;
}

}  // namespace tandem::cli
