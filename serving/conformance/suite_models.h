// The models that the suite asks about: small enough to be answered by any server that takes ONNX.
#pragma once

#include <array>
#include <filesystem>
#include <string>
#include <string_view>

#include "kernels/base/dtype.h"

namespace tandem {

// INPUT0, INPUT1: FP32 [batch, 4]; OUTPUT0 is their sum, OUTPUT1 their difference.
inline constexpr std::string_view kSumModel = "oip_sum";

// x: [batch, width] of one datatype; y is the same.
std::string echo_model(DType dtype);

inline constexpr std::array kEchoTypes = {DType::kBool, DType::kU8,  DType::kU16,  DType::kU32,   DType::kU64,
                                          DType::kI8,   DType::kI16, DType::kI32,  DType::kI64,   DType::kF16,
                                          DType::kF32,  DType::kF64, DType::kBF16, DType::kString};

// Writes all of them as a repository: DIR/<model>/1/model.onnx. Throws as save_onnx does.
void write_suite_models(const std::filesystem::path& folder);

}  // namespace tandem
