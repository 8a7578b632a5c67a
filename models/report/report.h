// A finished run as one HTML page: no network, no script, light and dark, readable on a phone; each plot with its numbers as
// text.
#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "models/metrics/calibration.h"
#include "models/metrics/confusion.h"
#include "models/metrics/evaluate.h"
#include "models/metrics/ranking.h"

namespace tandem {

// Leave out what a run does not have: a NaN is not plotted, an empty list makes no section.
struct RunReport {
  static constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

  struct Scores {
    std::string name;  // "this model", "majority class", "logistic regression"
    std::vector<Metric> metrics;
  };
  struct Epoch {
    double epoch = 0;  // counted from 1
    double train_loss = kNone;
    double validation_loss = kNone;
    double train_metric = kNone;
    double validation_metric = kNone;
    double learning_rate = kNone;
  };
  struct Curve {
    std::string name;  // of the model, or of the class that stands against the rest
    std::vector<CurvePoint> points;
  };
  struct Fact {
    std::string name;
    std::string value;
  };
  struct Group {
    std::string title;  // "Data", "Machine", "Time"
    std::vector<Fact> facts;
  };
  struct File {
    std::string path;  // relative to the page's folder
    std::string what;
  };

  std::string title;
  std::string summary;         // one or two sentences: task, rows, model
  std::vector<Scores> scores;  // on the test split: the model first, then the baselines
  std::vector<std::string> headline = {"roc_auc", "accuracy", "log_loss"};  // metrics shown large, of those there are
  std::vector<Epoch> epochs;
  std::string metric_name;    // what Epoch::train_metric and validation_metric are
  double best_epoch = kNone;  // whose weights were kept
  std::vector<Curve> roc;     // (false positive rate, true positive rate)
  std::vector<Curve> pr;      // (recall, precision)
  std::vector<ReliabilityBin> reliability;
  std::optional<ConfusionMatrix> confusion;
  std::vector<std::string> class_names;
  std::vector<Group> groups;
  std::string config;  // the resolved configuration, as text
  std::vector<File> files;
};

// The page. Text from outside (names, config, facts) is escaped; links are relative paths only.
std::string format_report(const RunReport& report);

// Throws as write_file does.
void write_report(const RunReport& report, const std::filesystem::path& path);

}  // namespace tandem
