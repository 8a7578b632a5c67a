#include "serving/protocol/datatype.h"

#include <array>
#include <utility>

namespace tandem {
namespace {

constexpr std::array<std::pair<DType, std::string_view>, 14> kNames{{
    {DType::kBool, "BOOL"},
    {DType::kU8, "UINT8"},
    {DType::kU16, "UINT16"},
    {DType::kU32, "UINT32"},
    {DType::kU64, "UINT64"},
    {DType::kI8, "INT8"},
    {DType::kI16, "INT16"},
    {DType::kI32, "INT32"},
    {DType::kI64, "INT64"},
    {DType::kF16, "FP16"},
    {DType::kBF16, "BF16"},
    {DType::kF32, "FP32"},
    {DType::kF64, "FP64"},
    {DType::kString, "BYTES"},
}};

}  // namespace

std::string_view wire_name(DType dtype) {
  for (const auto& [type, name] : kNames)
    if (type == dtype) return name;
  return "";
}

DType dtype_of_wire_name(std::string_view name) {
  for (const auto& [type, wire] : kNames)
    if (wire == name) return type;
  return DType::kUndefined;
}

}  // namespace tandem
