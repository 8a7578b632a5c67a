#include "tests/models/report/sample_report.h"

#include <cmath>

#include "kernels/base/philox.h"

namespace tandem {
namespace {

struct Sample {
  std::vector<int64_t> labels;
  std::vector<double> probabilities;
};

// Softmax of noise, plus `skill` for the true class.
Sample sample(int64_t classes, uint64_t rows, double skill) {
  Sample out;
  for (uint64_t row = 0; row < rows; ++row) {
    const auto label = static_cast<int64_t>(philox(1, row, 0)[0] % static_cast<uint64_t>(classes));
    double sum = 0;
    for (int64_t k = 0; k < classes; ++k) {
      const double noise = 4.0 * unit_float(philox(2, row, static_cast<uint64_t>(k))[0]);
      out.probabilities.push_back(std::exp(noise + (k == label ? skill : 0)));
      sum += out.probabilities.back();
    }
    for (size_t k = out.probabilities.size() - static_cast<size_t>(classes); k < out.probabilities.size(); ++k)
      out.probabilities[k] /= sum;
    out.labels.push_back(label);
  }
  return out;
}

}  // namespace

RunReport sample_report(int64_t classes, int epochs) {
  RunReport report;
  report.title = classes == 2 ? "adult" : "digits";
  report.summary =
      "A network of two hidden layers tells whether the income is >50K; 20,838 rows trained it, 2,605 chose its epoch, 6,512 "
      "test it.";
  for (int64_t k = 0; k < classes; ++k) report.class_names.push_back(classes > 2 ? std::to_string(k) : k ? ">50K" : "<=50K");
  const double skills[] = {3, 0, 1.5};
  const char* names[] = {"this model", "majority class", "logistic regression"};
  for (int i = 0; i < 3; ++i) {
    const Sample s = sample(classes, 800, skills[i]);
    report.scores.push_back({names[i], evaluate_classifier({s.labels, s.probabilities, classes}, {.resamples = 100})});
  }
  for (int e = 1; e <= epochs; ++e)
    report.epochs.push_back({double(e), 0.3 + 0.3 / e, 0.31 + 0.25 / e + 0.0004 * e, RunReport::kNone, 0.92 - 0.1 / e,
                             0.001 * (1 + std::cos(3.1416 * e / epochs)) / 2});
  report.metric_name = "ROC AUC";
  report.best_epoch = std::ceil(epochs * 0.8);
  const Sample s = sample(classes, 800, 3);
  const Predictions predictions{s.labels, s.probabilities, classes};
  for (int64_t k = classes == 2 ? 1 : 0; k < classes; ++k) {
    const Ranking ranking(predictions, k);
    report.roc.push_back({report.class_names[static_cast<size_t>(k)], ranking.roc_curve(300)});
    report.pr.push_back({report.class_names[static_cast<size_t>(k)], ranking.pr_curve(300)});
  }
  const std::vector<uint32_t> ones(s.labels.size(), 1);
  report.reliability = Reliability(predictions).bins(ones);
  report.confusion = ConfusionMatrix(s.labels, predicted_classes(predictions), classes, ones);
  report.groups = {
      {"Data", {{"data hash", std::string(64, 'a')}, {"split id", std::string(64, 'b')}, {"training rows", "20838"}}},
      {"Machine", {{"processor", "AMD EPYC & friends"}, {"threads", "2"}, {"world size", "2"}}},
      {"Program", {{"source version", "v0.1.0-12-gabcdef"}, {"seed", "1"}, {"training time", "11.2 s"}}}};
  report.config = "[data]\npath = adult.csv.xz\nlabel = income\n\n[model]\nhidden = 64,32\n";
  report.files = {{"model.onnx", "the model, raw columns in, probabilities out"},
                  {"manifest.json", "signature, hashes, metrics"},
                  {"checkpoints/epoch 8.ckpt", "a checkpoint"},
                  {"metrics.jsonl", "one line an epoch"}};
  return report;
}

}  // namespace tandem
