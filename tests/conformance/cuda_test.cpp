// Every case with a CUDA twin: equal to the CPU within the rounding of sums, the same bits whatever was in the memory before, in place or
// apart, and in whatever order threads run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "runtime/ops/all_ops.h"
#include "tests/conformance/run_case.h"
#include "tests/conformance/run_on_cuda.h"

namespace tandem::conformance {

void PrintTo(const Case& one, std::ostream* stream) { *stream << one.op << " " << one.what; }

namespace {

constexpr double kTolerance = 1e-5;  // f32, relative to max(1, |x|)

std::string difference(const std::vector<Tensor>& a, const std::vector<Tensor>& b) {
  for (size_t i = 0; i < a.size(); ++i)
    if (!identical(a[i], b[i])) return "output " + std::to_string(i) + " differs";
  return a.size() == b.size() ? "" : "number of outputs";
}

void expect_close(const Tensor& gpu, const Tensor& cpu) {
  ASSERT_EQ(to_string(gpu.shape()), to_string(cpu.shape()));
  const std::vector<double> a = numbers(gpu), b = numbers(cpu);
  const double tolerance = gpu.dtype() == DType::kF64 ? 1e-11 : is_float(gpu.dtype()) ? kTolerance : 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    ASSERT_LE(std::fabs(a[i] - b[i]), tolerance * std::max(1.0, std::fabs(b[i])))
        << "element " << i << " is " << a[i] << " on the GPU, " << b[i] << " on the CPU";
  }
}

class OnCuda : public ::testing::TestWithParam<Case> {};

TEST_P(OnCuda, EqualsTheCpu) {
  const Case& one = GetParam();
  const std::vector<Tensor> gpu = run_twin(one, std::byte{0xFF}, nullptr), cpu = run_kernel(one, 1, std::byte{0}, nullptr);
  ASSERT_EQ(gpu.size(), cpu.size());
  for (size_t i = 0; i < cpu.size(); ++i) expect_close(gpu[i], cpu[i]);
  EXPECT_EQ(difference(run_twin(one, std::byte{0}, nullptr), gpu), "") << "on other memory";
  for (const Alias& alias : definition(one).aliases) {
    if (alias.kind != AliasKind::kMay || alias.input >= static_cast<int>(one.inputs.size()) || alias.output >= one.outputs) continue;
    const Tensor &input = one.inputs[static_cast<size_t>(alias.input)], &output = gpu[static_cast<size_t>(alias.output)];
    if (!input || input.bytes() != output.bytes() || !(input.shape() == output.shape())) continue;
    EXPECT_EQ(difference(run_twin(one, std::byte{0}, &alias), gpu), "") << "in place of input " << alias.input;
  }
}

Cases cases_with_twins() {
  Cases found;
  for (const Case& one : all_cases())
    if (has_twin(one)) found.push_back(one);
  return found;
}

std::string test_name(const ::testing::TestParamInfo<Case>& info) {
  const OpDef& def = definition(info.param);
  std::string text = std::string(def.domain) + "_" + std::string(def.name) + "_" + std::to_string(def.since) + "_" + info.param.what + "_" +
                     std::to_string(info.index);
  for (char& c : text)
    if (!std::isalnum(static_cast<unsigned char>(c))) c = '_';
  return text;
}

INSTANTIATE_TEST_SUITE_P(Ops, OnCuda, ::testing::ValuesIn(cases_with_twins()), test_name);

}  // namespace
}  // namespace tandem::conformance
