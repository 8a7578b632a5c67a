// The list of all operators, and how one is found in it.
#pragma once

#include <span>
#include <string_view>

#include "runtime/graph/op_def.h"

namespace tandem {

// All definitions, sorted by domain, name, since.
std::span<const OpDef* const> all_ops();

// The definition in force at `opset`. Throws InvalidArgument saying whether the op, or only this version of it, is unknown.
const OpDef& find_op(std::string_view domain, std::string_view name, int opset);
// The definition in the opset that Tandem writes, or the first one after it; for graphs that Tandem itself makes.
const OpDef& newest_op(std::string_view name, std::string_view domain = "");

// The opset that Tandem writes if not told otherwise, and the newest it reads.
inline constexpr int kOnnxOpset = 21, kNewestOnnxOpset = 27;
inline constexpr int kOnnxMlOpset = 3, kNewestOnnxMlOpset = 5;

}  // namespace tandem
