// How much a run computes, to be set beside what the machine can do.
#pragma once

#include "runtime/plan/plan.h"

namespace tandem {

// Floating-point (or integer) operations of a node at the plan's bounds: its OpDef's figure, or one per element of its first output.
// 0 for views, and where only a run knows the shapes.
double flops_of(const Plan& plan, const Node& node);

// Whether a node's products are of bytes: its first input is i8 or u8.
bool multiplies_bytes(const Plan& plan, const Node& node);
// The same of bf16.
bool multiplies_bf16(const Plan& plan, const Node& node);

}  // namespace tandem
