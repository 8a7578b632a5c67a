#include "models/metrics/confusion.h"

namespace tandem {
namespace {

double ratio(int64_t part, int64_t whole) { return whole == 0 ? 0 : static_cast<double>(part) / static_cast<double>(whole); }

PrecisionRecall of_class(const ConfusionMatrix& confusion, int64_t id) {
  int64_t truths = 0, predictions = 0;
  for (int64_t other = 0; other < confusion.classes(); ++other) {
    truths += confusion.at(id, other);
    predictions += confusion.at(other, id);
  }
  const int64_t hits = confusion.at(id, id);
  return {ratio(hits, predictions), ratio(hits, truths), ratio(2 * hits, truths + predictions)};
}

}  // namespace

ConfusionMatrix::ConfusionMatrix(std::span<const int64_t> labels, std::span<const int64_t> predicted, int64_t classes,
                                 RowWeights weights)
    : classes_(classes), counts_(static_cast<size_t>(classes * classes)) {
  for (size_t i = 0; i < labels.size(); ++i) counts_[static_cast<size_t>(labels[i] * classes + predicted[i])] += weights[i];
}

int64_t ConfusionMatrix::correct() const {
  int64_t sum = 0;
  for (int64_t id = 0; id < classes_; ++id) sum += at(id, id);
  return sum;
}

int64_t ConfusionMatrix::total() const {
  int64_t sum = 0;
  for (int64_t count : counts_) sum += count;
  return sum;
}

PrecisionRecall precision_recall(const ConfusionMatrix& confusion) {
  if (confusion.classes() == 2) return of_class(confusion, 1);
  PrecisionRecall mean;
  const auto share = 1.0 / static_cast<double>(confusion.classes());
  for (int64_t id = 0; id < confusion.classes(); ++id) {
    const PrecisionRecall one = of_class(confusion, id);
    mean.precision += share * one.precision;
    mean.recall += share * one.recall;
    mean.f1 += share * one.f1;
  }
  return mean;
}

}  // namespace tandem
