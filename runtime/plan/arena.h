// Where everything lies that a plan holds: each value's buffer and each kernel's scratch, and how many bytes that comes to.
#pragma once

#include "runtime/plan/plan.h"
#include "runtime/plan/storage.h"

namespace tandem {

// What the plan needs at least, before any kernel is bound: the lower bound stands for the arena, all constants for those that stay.
void estimate_memory(Plan& plan, const StorageMap& map);

// REQUIRES bound kernels. Lays out both arenas and the feeds; on a plan for the host alone the scratch of a kernel is one more block, alive at
// its step only.
void plan_memory(Plan& plan, const StorageMap& map);

}  // namespace tandem
