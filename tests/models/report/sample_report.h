// A report with something in every section, from seeded random predictions.
#pragma once

#include "models/report/report.h"

namespace tandem {

// `classes` from 2; two have the names of the Adult data set, which need escaping.
RunReport sample_report(int64_t classes, int epochs);

}  // namespace tandem
