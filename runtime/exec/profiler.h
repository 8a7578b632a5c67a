// When each step of a run began and ended, as a Chrome trace (opens in Perfetto and chrome://tracing).
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "runtime/graph/graph.h"

namespace tandem {

class Profiler {
  using Clock = std::chrono::steady_clock;

 public:
  struct Event {
    std::string op, name;
    int64_t begin_ns, end_ns;  // since the profiler was made
  };

  // Ends the event that it stands for when it goes out of scope.
  class Span {
   public:
    Span(Profiler& profiler, size_t event) : profiler_(profiler), event_(event) {}
    Span(const Span&) = delete;
    Span& operator=(const Span&) = delete;
    ~Span() { profiler_.events_[event_].end_ns = profiler_.now(); }

   private:
    Profiler& profiler_;
    size_t event_;
  };

  Span measure(const Node& node);
  const std::vector<Event>& events() const { return events_; }
  // Throws Unavailable if the file cannot be written.
  void write_trace(const std::filesystem::path& path) const;
  // Time by op, the largest first: op, calls, total, share.
  std::string summary() const;

 private:
  int64_t now() const { return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start_).count(); }
  Clock::time_point start_ = Clock::now();
  std::vector<Event> events_;
};

}  // namespace tandem
