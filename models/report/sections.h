// The sections of the report, each as HTML, or "" if the run has nothing to show in it.
#pragma once

#include <string>

#include "models/report/report.h"

namespace tandem {

std::string headline_section(const RunReport& report);
std::string results_section(const RunReport& report);
std::string training_section(const RunReport& report);
std::string test_section(const RunReport& report);
std::string facts_section(const RunReport& report);

}  // namespace tandem
