// A progress bar on a terminal, plain lines elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace tandem::cli {

class ProgressBar {
 public:
  ProgressBar();

  // Draws at most ten times a second: "epoch 3/25 [#####.....] 52%  loss 0.3121  81,200 rows/s  ETA 0:14". Nothing without a terminal.
  void update(const std::string& label, int64_t done, int64_t total, double rate, const std::string& unit, double seconds_left, const std::string& detail);
  // Takes the bar off the line, so that other text can be printed.
  void clear();
  bool on_terminal() const { return terminal_; }

 private:
  bool terminal_;
  bool drawn_ = false;
  std::chrono::steady_clock::time_point last_{};
};

// "1:02:03" or "2:03".
std::string clock_text(double seconds);

}  // namespace tandem::cli
