// Starts each bucket's all-reduce as soon as its last gradient is there, so that it runs while backward goes on.
#pragma once

#include "runtime/graph/graph.h"

namespace tandem {

// Moves Pack and AllReduceStart nodes right behind the last node they depend on. The order of all other nodes stays.
void schedule_collectives_early(Graph& graph);

}  // namespace tandem
