// Learning-rate schedules as graph fragments.
#pragma once

#include "runtime/graph/graph.h"

namespace tandem {

enum class ScheduleKind { kConstant, kCosine, kStep };

struct ScheduleConfig {
  ScheduleKind kind = ScheduleKind::kConstant;
  float learning_rate = 1e-3f;  // the peak
  int64_t warmup_steps = 0;     // linear from 0 (exclusive) to the peak
  int64_t total_steps = 1;      // cosine: where it ends
  float final_fraction = 0.0f;  // cosine: learning rate at the end, as a fraction of the peak
  int64_t step_size = 1;        // step: every so many steps ...
  float gamma = 0.1f;           // ... times gamma
};

// Emits the nodes that compute the learning rate of the step with this number (i64 scalar, from 0); an f32 scalar.
// cosine: peak * (f + (1 - f) * (1 + cos(pi * t)) / 2), t from 0 to 1 after the warm-up (Loshchilov, Hutter, "SGDR", 2017).
ValueId append_schedule(Graph& graph, const ScheduleConfig& config, ValueId step);

}  // namespace tandem
