#include "runtime/ops/elementwise_nodes.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace tandem {
namespace {

// Sorted.
constexpr auto kOnnx = std::to_array<std::string_view>(
    {"Abs",         "Acos",        "Acosh",       "Add",     "And",         "Asin",           "Asinh",
     "Atan",        "Atanh",       "BitShift",    "BitwiseAnd", "BitwiseNot", "BitwiseOr",    "BitwiseXor",
     "Cast",        "Ceil",        "Celu",        "Clip",    "Cos",         "Cosh",           "Div",
     "Elu",         "Equal",       "Erf",         "Exp",     "Floor",       "Gelu",           "Greater",
     "GreaterOrEqual", "HardSigmoid", "HardSwish", "IsInf",  "IsNaN",       "LeakyRelu",      "Less",
     "LessOrEqual", "Log",         "Max",         "Mean",    "Min",         "Mish",           "Mod",
     "Mul",         "Neg",         "Not",         "Or",      "PRelu",       "Pow",            "Reciprocal",
     "Relu",        "Round",       "Selu",        "Shrink",  "Sigmoid",     "Sign",           "Sin",
     "Sinh",        "Softplus",    "Softsign",    "Sqrt",    "Sub",         "Sum",            "Swish",
     "Tan",         "Tanh",        "ThresholdedRelu", "Where", "Xor"});
constexpr auto kInternal = std::to_array<std::string_view>({"ClipGrad", "EluGrad", "ErfGrad", "GeluGrad", "HardSigmoidGrad",
                                                            "HardSwishGrad", "LeakyReluGrad", "MishGrad", "ReluGrad", "SigmoidGrad",
                                                            "SoftplusGrad", "SwishGrad", "TanhGrad"});
static_assert(std::ranges::is_sorted(kOnnx) && std::ranges::is_sorted(kInternal));

constexpr int kBroadcastVersion = 7;  // before, B is laid onto A from an axis on

bool had_axis(std::string_view name) {
  constexpr auto kLimited = std::to_array<std::string_view>({"Add", "And", "Div", "Equal", "Greater", "Less", "Mul", "Or", "PRelu", "Pow", "Sub", "Xor"});
  return std::ranges::binary_search(kLimited, name);
}

}  // namespace

bool is_elementwise(const OpDef& def) {
  if (def.domain == "tandem") return std::ranges::binary_search(kInternal, def.name);
  return def.domain.empty() && std::ranges::binary_search(kOnnx, def.name) && (def.since >= kBroadcastVersion || !had_axis(def.name));
}

}  // namespace tandem
