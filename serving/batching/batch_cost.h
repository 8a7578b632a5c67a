// How long batches of a model take, by their rows: measured when it is loaded, followed while it serves.
//
// One point for each power of two, with a running mean and mean deviation (as TCP estimates round trips: Jacobson, "Congestion
// avoidance and control", SIGCOMM 1988); straight lines between them.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

namespace tandem {

class BatchCost {
 public:
  struct Point {
    double rows = 0, seconds = 0, deviation = 0;
    int64_t seen = 0;  // batches; 0: none
  };

  // A batch of `rows` (1 at least) took so long.
  void observe(int64_t rows, double seconds);
  // What is known of another run of the same model on the same machine. Points that were seen here stand.
  void start_from(const std::vector<Point>& points);
  std::vector<Point> points() const;  // those that were seen, by rows

  bool is_known() const { return known_; }
  // Rows of the largest batches that were seen; 0: none.
  int64_t largest() const;
  // The mean of batches of so many rows, in seconds; 0 if nothing is known.
  double seconds(int64_t rows) const { return at(rows, 0); }
  // What all but a share of them keep within: `deviations` standard deviations above the mean.
  double seconds(int64_t rows, double deviations) const { return at(rows, deviations); }

 private:
  double at(int64_t rows, double deviations) const;
  void follow_machine(double factor, const Point& seen);

  std::array<Point, 32> points_{};  // [k]: rows in (2^(k-1), 2^k]
  bool known_ = false;
};

}  // namespace tandem
