// The sections of the report, each as HTML, or "" if the run has nothing to show in it.
#pragma once

#include <string>

#include "models/report/report.h"

namespace tandem {

// What a reader who does not know the metric's identifier should see: "ROC AUC" for "roc_auc".
std::string metric_title(const std::string& name);

std::string headline_section(const RunReport& report);
std::string results_section(const RunReport& report);
std::string training_section(const RunReport& report);
std::string test_section(const RunReport& report);
std::string facts_section(const RunReport& report);

}  // namespace tandem
