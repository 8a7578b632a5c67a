// Reads an .npz of `y` (i64 labels) and `p` (f64 [rows, classes]), or f32 `t` and `q` of a regression, and prints every metric as
// JSON: what test_metrics_vs_sklearn.py compares with scikit-learn.
#include <cmath>
#include <cstdio>
#include <map>

#include "models/data/npy.h"
#include "models/metrics/evaluate.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  try {
    std::map<std::string, tandem::Tensor> arrays;
    for (auto& [name, tensor] : tandem::read_npz(argv[1])) arrays[name] = tensor;
    std::vector<tandem::Metric> metrics;
    if (arrays.contains("t")) {
      metrics = tandem::evaluate_regressor(std::as_const(arrays["t"]).as<float>(), std::as_const(arrays["q"]).as<float>());
    } else {
      const tandem::Tensor labels = arrays["y"], probabilities = arrays["p"];
      metrics = tandem::evaluate_classifier({labels.as<int64_t>(), probabilities.as<double>(), probabilities.shape()[1]});
    }
    std::printf("{");
    for (size_t i = 0; i < metrics.size(); ++i) {
      const tandem::Metric& m = metrics[i];
      std::printf("%s\"%s\": [%.17g, %.17g, %.17g]", i ? ", " : "", m.name.c_str(), m.value, m.low, m.high);
    }
    std::printf("}\n");
  } catch (const tandem::Error& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
