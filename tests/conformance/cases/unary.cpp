// Functions of one value, and Clip.
#include <cmath>
#include <limits>

#include "tests/conformance/cases/cases.h"

namespace tandem::conformance {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }
double gelu(double x) { return 0.5 * x * std::erfc(-x / std::sqrt(2.0)); }
double gelu_tanh(double x) { return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }
double softplus(double x) { return x > 30 ? x : std::log1p(std::exp(x)); }
const double kSeluAlpha = static_cast<double>(1.67326319f), kSeluGamma = static_cast<double>(1.05070102f);
double sign(double x) { return (x > 0) - (x < 0); }

struct Function {
  std::string op;
  double (*f)(double);
  double low = -3, high = 3;
  int opset = 0;
};

const Function kFunctions[] = {
    {"Abs", std::fabs},
    {"Neg", [](double x) { return -x; }},
    {"Exp", std::exp},
    {"Log", std::log, 0.05, 4},
    {"Sqrt", std::sqrt, 0.05, 4},
    {"Reciprocal", [](double x) { return 1 / x; }, 0.2, 4},
    {"Relu", [](double x) { return std::max(x, 0.0); }},
    {"Sigmoid", sigmoid},
    {"Tanh", std::tanh},
    {"Erf", std::erf},
    {"Softplus", softplus, -40, 40},
    {"Sin", std::sin},
    {"Cos", std::cos},
    {"Floor", std::floor},
    {"Ceil", std::ceil},
    {"Sign", sign},
    {"Round", [](double x) { return std::nearbyint(x); }},
    {"Gelu", gelu},
    {"LeakyRelu", [](double x) { return x < 0 ? static_cast<double>(0.01f) * x : x; }},
    {"Elu", [](double x) { return x < 0 ? std::expm1(x) : x; }},
    {"HardSigmoid", [](double x) { return std::clamp(static_cast<double>(0.2f) * x + 0.5, 0.0, 1.0); }},
    {"Identity", [](double x) { return x; }},
    {"Tan", std::tan, -1.4, 1.4},
    {"Asin", std::asin, -0.95, 0.95},
    {"Acos", std::acos, -0.95, 0.95},
    {"Atan", std::atan},
    {"Sinh", std::sinh},
    {"Cosh", std::cosh},
    {"Asinh", std::asinh},
    {"Acosh", std::acosh, 1.1, 9},
    {"Atanh", std::atanh, -0.9, 0.9},
    {"Softsign", [](double x) { return x / (1 + std::fabs(x)); }},
    {"HardSwish", [](double x) { return x * std::clamp(x / 6 + 0.5, 0.0, 1.0); }, -5, 5},
    {"Swish", [](double x) { return x * sigmoid(x); }, -9, 9, 24},
    {"Mish", [](double x) { return x * std::tanh(softplus(x)); }, -25, 25},
    {"Selu", [](double x) { return kSeluGamma * (x < 0 ? kSeluAlpha * std::expm1(x) : x); }},
    {"Celu", [](double x) { return x < 0 ? std::expm1(x) : x; }},
    {"ThresholdedRelu", [](double x) { return x <= 1 ? 0 : x; }},
    {"Shrink", [](double x) { return x < -0.5 || x > 0.5 ? x : 0; }},
};

// dy * f'(x), or with f' written in y, for the fused gradients.
struct Slope {
  std::string op;
  double (*slope)(double saved);
  double low = -3, high = 3;
  Attributes attributes = {};
};

const Slope kSlopes[] = {
    {"ReluGrad", [](double y) { return y > 0 ? 1.0 : 0.0; }},
    {"SigmoidGrad", [](double y) { return y * (1 - y); }, 0, 1},
    {"TanhGrad", [](double y) { return 1 - y * y; }, -1, 1},
    {"HardSigmoidGrad", [](double y) { return y > 0 && y < 1 ? 0.25 : 0.0; }, -0.5, 1.5, {{"alpha", 0.25f}, {"beta", 0.5f}}},
    {"LeakyReluGrad", [](double x) { return x < 0 ? 0.25 : 1.0; }, -2, 2, {{"alpha", 0.25f}}},
    {"EluGrad", [](double x) { return x < 0 ? 0.5 * std::exp(x) : 1.0; }, -3, 3, {{"alpha", 0.5f}}},
    {"ErfGrad", [](double x) { return 2 / std::sqrt(M_PI) * std::exp(-x * x); }},
    {"GeluGrad", [](double x) { return 0.5 * std::erfc(-x / std::sqrt(2.0)) + x * std::exp(-x * x / 2) / std::sqrt(2 * M_PI); }},
    {"SoftplusGrad", sigmoid, -30, 30},
    {"HardSwishGrad", [](double x) { return x < -3 ? 0 : x > 3 ? 1 : x / 3 + 0.5; }, -5, 5},
    {"SwishGrad",
     [](double x) { return sigmoid(0.5 * x) * (1 + 0.5 * x * (1 - sigmoid(0.5 * x))); },
     -9,
     9,
     {{"alpha", 0.5f}}},
    {"MishGrad",
     [](double x) {
       const double t = std::tanh(softplus(x));
       return t + x * sigmoid(x) * (1 - t * t);
     },
     -25, 25},
};

Reference product_with(double (*slope)(double)) {
  return pairs([slope](double saved, double dy) { return dy * slope(saved); });
}

void add_clip_cases(Cases& cases) {
  const auto clipped = [](double low, double high) { return each([=](double x) { return std::min(std::max(x, low), high); }); };
  cases.push_back({.op = "Clip",
                   .what = "both",
                   .inputs = {uniform({3, 7}), f32({}, {-0.7f}), f32({}, {1.1f})},
                   .constants = {1, 2},
                   .reference = clipped(-0.7f, 1.1f),
                   .no_gradient_for = {1, 2}});
  cases.push_back({.op = "Clip",
                   .what = "max only",
                   .inputs = {uniform({21}), Tensor(), f32({}, {0.3f})},
                   .constants = {2},
                   .reference = clipped(-INFINITY, 0.3f),
                   .no_gradient_for = {2}});
  cases.push_back({.op = "Clip",
                   .what = "integers",
                   .inputs = {i64({-5, 0, 9}), i64({}, {-1}), i64({}, {3})},
                   .constants = {1, 2},
                   .reference = clipped(-1, 3)});
  cases.push_back({.op = "Clip",
                   .what = "nan stays",
                   .inputs = {f32({3}, {kNan, kInf, -kInf}), f32({}, {0}), f32({}, {6})},
                   .constants = {1, 2},
                   .reference = fixed(f32({3}, {kNan, 6, 0})),
                   .gradient = false});
  cases.push_back({.op = "Clip",
                   .what = "by attributes",
                   .inputs = {uniform({3, 7})},
                   .attributes = {{"min", -0.7f}, {"max", 1.1f}},
                   .opset = 6,
                   .reference = clipped(-0.7f, 1.1f)});
  cases.push_back({.op = "tandem.ClipGrad",
                   .inputs = {f32({4}, {-1, 0, 1, 2}), f32({4}, {5, 6, 7, 8}), f32({}, {0}), f32({}, {1})},
                   .constants = {2, 3},
                   .reference = fixed(f32({4}, {0, 6, 7, 0}))});
}

// Attributes other than the defaults.
void add_parameters(Cases& cases) {
  struct Set {
    std::string op;
    Attributes attributes;
    double (*f)(double);
  };
  const Set sets[] = {
      {"LeakyRelu", {{"alpha", 0.25f}}, [](double x) { return x < 0 ? 0.25 * x : x; }},
      {"Elu", {{"alpha", 0.5f}}, [](double x) { return x < 0 ? 0.5 * std::expm1(x) : x; }},
      {"HardSigmoid", {{"alpha", 0.5f}, {"beta", 0.25f}}, [](double x) { return std::clamp(0.5 * x + 0.25, 0.0, 1.0); }},
      {"Selu", {{"alpha", 2.0f}, {"gamma", 3.0f}}, [](double x) { return 3 * (x < 0 ? 2 * std::expm1(x) : x); }},
      {"Celu", {{"alpha", 2.0f}}, [](double x) { return x < 0 ? 2 * std::expm1(x / 2) : x; }},
      {"Swish", {{"alpha", -1.5f}}, [](double x) { return x * sigmoid(-1.5 * x); }},
      {"ThresholdedRelu", {{"alpha", -0.5f}}, [](double x) { return x > -0.5 ? x : 0; }},
      {"Shrink", {{"lambd", 1.5f}, {"bias", 1.25f}}, [](double x) { return x < -1.5 ? x + 1.25 : x > 1.5 ? x - 1.25 : 0; }},
  };
  for (const Set& one : sets)
    for (DType type : {DType::kF32, DType::kF64})
      cases.push_back({.op = one.op,
                       .what = "parameters",
                       .inputs = {as(type, uniform({3, 7}))},
                       .attributes = one.attributes,
                       .opset = one.op == "Swish" ? 24 : 0,
                       .reference = each(one.f)});
  cases.push_back({.op = "Shrink",
                   .what = "integers",
                   .inputs = {i64({-3, -1, 0, 1, 2, 7})},
                   .attributes = {{"lambd", 1.5f}, {"bias", 1.0f}},
                   .reference = fixed(i64({-2, 0, 0, 0, 1, 6}))});
  for (DType type : {DType::kI64, DType::kI32, DType::kI8})
    cases.push_back({.op = "BitwiseNot",
                     .what = std::string(name(type)),
                     .inputs = {as(type, i64({-3, 0, 4, 127}))},
                     .reference = each([](double x) { return -x - 1; })});
  cases.push_back({.op = "BitwiseNot",
                   .what = "u8",
                   .inputs = {as(DType::kU8, i64({0, 1, 255}))},
                   .reference = each([](double x) { return 255 - x; })});
}

}  // namespace

void add_unary_cases(Cases& cases) {
  for (const Function& one : kFunctions) {
    const size_t first = cases.size();
    cases.push_back({.op = one.op, .inputs = {uniform({3, 7}, one.low, one.high)}, .reference = each(one.f)});
    cases.push_back({.op = one.op,
                     .what = "large",
                     .inputs = {uniform({5, 8191}, one.low, one.high, 2)},
                     .reference = each(one.f),
                     .gradient = false});
    cases.push_back(
        {.op = one.op, .what = "empty", .inputs = {Tensor(DType::kF32, {0, 3})}, .reference = each(one.f), .gradient = false});
    cases.push_back({.op = one.op,
                     .what = "f64",
                     .inputs = {as(DType::kF64, uniform({5}, one.low, one.high, 3))},
                     .reference = each(one.f),
                     .rtol = 1e-14,
                     .atol = 1e-15,
                     .gradient = false});
    if (one.op != "Identity" && one.op != "Shrink")
      cases.push_back({.op = one.op,
                       .what = "nan",
                       .inputs = {f32({2}, {kNan, 1})},
                       .reference = each([&](double x) { return std::isnan(x) ? x : one.f(x); }),
                       .gradient = false});
    for (size_t c = first; one.opset && c < cases.size(); ++c) cases[c].opset = one.opset;
  }
  for (const std::string op : {"Abs", "Neg", "Relu", "Sign"}) {
    const Tensor values = i64({-3, 0, 4});
    const auto f = std::ranges::find(kFunctions, op, &Function::op)->f;
    for (DType type : {DType::kI64, DType::kI32, DType::kI16, DType::kI8})
      cases.push_back({.op = op, .what = std::string(name(type)), .inputs = {as(type, values)}, .reference = each(f)});
  }
  cases.push_back({.op = "Exp",
                   .what = "limits",
                   .inputs = {f32({5}, {kInf, -kInf, 89, -104, 0})},
                   .reference = fixed(f32({5}, {kInf, 0, kInf, 0, 1})),
                   .gradient = false});
  cases.push_back({.op = "Log",
                   .what = "limits",
                   .inputs = {f32({4}, {kInf, 0, -1, 1})},
                   .reference = fixed(f32({4}, {kInf, -kInf, kNan, 0})),
                   .gradient = false});
  cases.push_back({.op = "Sin",
                   .what = "large angles",
                   .inputs = {f32({3}, {1e5f, -1e6f, 1e10f})},
                   .reference = each([](double x) { return std::sin(x); }),
                   .gradient = false});
  cases.push_back({.op = "Sigmoid",
                   .what = "limits",
                   .inputs = {f32({4}, {kInf, -kInf, 200, -200})},
                   .reference = fixed(f32({4}, {1, 0, 1, 0})),
                   .gradient = false});
  cases.push_back({.op = "Tanh",
                   .what = "limits",
                   .inputs = {f32({4}, {kInf, -kInf, 200, -200})},
                   .reference = fixed(f32({4}, {1, -1, 1, -1})),
                   .gradient = false});
  cases.push_back({.op = "Round",
                   .what = "halves go to even",
                   .inputs = {f32({6}, {0.5f, 1.5f, 2.5f, -0.5f, -1.5f, 1e9f})},
                   .reference = fixed(f32({6}, {0, 2, 2, 0, -2, 1e9f})),
                   .gradient = false});
  cases.push_back({.op = "Gelu",
                   .what = "tanh",
                   .inputs = {uniform({3, 7})},
                   .attributes = {{"approximate", std::string("tanh")}},
                   .reference = each(gelu_tanh)});
  add_parameters(cases);
  cases.push_back(
      {.op = "Not", .inputs = {booleans({3}, {true, false, true})}, .reference = each([](double x) { return x == 0; })});
  const Tensor odd = f32({5}, {kNan, kInf, -kInf, 0, 1});
  cases.push_back({.op = "IsNaN", .inputs = {odd}, .reference = each([](double x) { return std::isnan(x); })});
  cases.push_back({.op = "IsInf", .inputs = {odd}, .reference = each([](double x) { return std::isinf(x); })});
  const auto float8 = [](DType type, std::vector<uint8_t> bits) {
    Tensor tensor(type, {static_cast<int64_t>(bits.size())});
    std::ranges::copy(bits, reinterpret_cast<uint8_t*>(tensor.view().data));
    return tensor;
  };
  cases.push_back({.op = "IsNaN", .what = "f8e4m3fn", .inputs = {float8(DType::kF8E4M3FN, {0, 0x7F, 0x7E, 0xFF})}, .reference = fixed(booleans({4}, {false, true, false, true}))});
  cases.push_back({.op = "IsInf", .what = "f8e5m2", .inputs = {float8(DType::kF8E5M2, {0, 0x7C, 0x7B, 0xFC, 0x7F})}, .reference = fixed(booleans({5}, {false, true, false, true, false}))});
  cases.push_back({.op = "IsInf",
                   .what = "negative only",
                   .inputs = {odd},
                   .attributes = {{"detect_positive", int64_t{0}}},
                   .reference = each([](double x) { return std::isinf(x) && x < 0; })});
  cases.push_back({.op = "Identity",
                   .what = "strings",
                   .inputs = {strings({2}, {"a", "a longer text than fits in place"})},
                   .reference = [](const std::vector<Tensor>& in) { return in; }});
  for (const Slope& one : kSlopes)
    cases.push_back({.op = "tandem." + one.op,
                     .inputs = {uniform({5, 9}, one.low, one.high), uniform({5, 9}, -2, 2, 9)},
                     .attributes = one.attributes,
                     .reference = product_with(one.slope)});
  add_clip_cases(cases);
}

}  // namespace tandem::conformance
