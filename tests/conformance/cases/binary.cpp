// Functions of two and more values with broadcasting, Where and Cast.
#include <cmath>
#include <limits>

#include "tests/conformance/cases/cases.h"

namespace tandem::conformance {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity(), kNan = std::numeric_limits<float>::quiet_NaN();

struct Function {
  std::string op;
  double (*f)(double, double);
  double low = -3, high = 3;  // of the second operand
};

const Function kArithmetic[] = {
    {"Add", [](double a, double b) { return a + b; }},          {"Sub", [](double a, double b) { return a - b; }},
    {"Mul", [](double a, double b) { return a * b; }},          {"Div", [](double a, double b) { return a / b; }, 0.3, 2},
    {"Min", [](double a, double b) { return std::min(a, b); }}, {"Max", [](double a, double b) { return std::max(a, b); }},
};
const Function kComparisons[] = {
    {"Equal", [](double a, double b) { return double(a == b); }},
    {"Less", [](double a, double b) { return double(a < b); }},
    {"LessOrEqual", [](double a, double b) { return double(a <= b); }},
    {"Greater", [](double a, double b) { return double(a > b); }},
    {"GreaterOrEqual", [](double a, double b) { return double(a >= b); }},
};
const Function kLogic[] = {
    {"And", [](double a, double b) { return double(a != 0 && b != 0); }},
    {"Or", [](double a, double b) { return double(a != 0 || b != 0); }},
    {"Xor", [](double a, double b) { return double((a != 0) != (b != 0)); }},
};

// Every path of the broadcasting loop: equal shapes, a scalar on either side, a row, a column, an inner axis, both sides
// broadcast.
const std::pair<Shape, Shape> kShapes[] = {
    {{3, 7}, {3, 7}}, {{3, 7}, {}},        {{}, {3, 7}},     {{3, 7}, {7}},
    {{3, 7}, {3, 1}}, {{2, 3, 4}, {3, 1}}, {{3, 1}, {1, 4}}, {{2, 0}, {2, 1}},
};

void add_arithmetic(Cases& cases) {
  for (const Function& one : kArithmetic) {
    for (const auto& [a, b] : kShapes)
      cases.push_back({.op = one.op,
                       .what = to_string(a) + to_string(b),
                       .inputs = {uniform(a, -3, 3), uniform(b, one.low, one.high, 5)},
                       .reference = pairs(one.f),
                       .gradient = a.elements() > 0 && b.elements() > 0});
    cases.push_back({.op = one.op,
                     .what = "large",
                     .inputs = {uniform({7, 9001}), uniform({9001}, one.low, one.high, 5)},
                     .reference = pairs(one.f),
                     .gradient = false});
    for (DType type : {DType::kI64, DType::kI32, DType::kU8, DType::kF64, DType::kI16, DType::kU16, DType::kU32, DType::kU64})
      cases.push_back(
          {.op = one.op,
           .what = std::string(name(type)),
           .inputs = {as(type, i64({9, 7, 50})), as(type, i64({3, 7, 2}))},
           .reference = pairs([f = one.f, type](double a, double b) { return is_float(type) ? f(a, b) : std::trunc(f(a, b)); }),
           .gradient = false});
  }
  cases.push_back({.op = "Div",
                   .what = "integers by zero",
                   .inputs = {i64({3, std::numeric_limits<int64_t>::min()}), i64({0, -1})},
                   .reference = fixed(i64({0, std::numeric_limits<int64_t>::min()}))});
  cases.push_back({.op = "Max",
                   .what = "nan wins",
                   .inputs = {f32({3}, {kNan, 1, 2}), f32({3}, {1, kNan, kInf})},
                   .reference = fixed(f32({3}, {kNan, kNan, kInf})),
                   .gradient = false});
  for (const std::string op : {"Max", "Min", "Sum", "Mean"}) {
    const auto three = [op](const std::vector<Tensor>& in) {
      const auto join = [op](double a, double b) { return op == "Max" ? std::max(a, b) : op == "Min" ? std::min(a, b) : a + b; };
      const Tensor first = pairs(join)({in[0], in[1]})[0], all = pairs(join)({first, in[2]})[0];
      return op == "Mean" ? each([](double x) { return x / 3; })({all}) : std::vector{all};
    };
    cases.push_back({.op = op,
                     .what = "three",
                     .inputs = {uniform({3, 4}), uniform({4}, -2, 2, 5), uniform({3, 1}, -2, 2, 6)},
                     .reference = three});
    cases.push_back({.op = op, .what = "one", .inputs = {uniform({3, 4})}, .reference = each([](double x) { return x; })});
  }
}

void add_powers_and_remainders(Cases& cases) {
  const auto power = pairs([](double a, double b) { return std::pow(a, b); });
  cases.push_back({.op = "Pow", .inputs = {uniform({3, 7}, 0.3, 2), uniform({7}, -2, 2, 4)}, .reference = power});
  cases.push_back({.op = "Pow",
                   .what = "square",
                   .inputs = {uniform({3, 7}), f32({}, {2})},
                   .constants = {1},
                   .reference = power,
                   .no_gradient_for = {1}});
  cases.push_back(
      {.op = "Pow", .what = "mixed types", .inputs = {uniform({3, 7}), i64({}, {3})}, .constants = {1}, .reference = power});
  cases.push_back({.op = "Pow",
                   .what = "integers",
                   .inputs = {i64({2, -3, 5, 10}), i64({10, 3, 0, 30})},
                   .reference = fixed(i64({1024, -27, 1, std::numeric_limits<int64_t>::max()}))});
  for (DType type : {DType::kU8, DType::kI8, DType::kU16, DType::kI16, DType::kU32, DType::kU64})
    for (DType base : {DType::kF32, DType::kI32})
      cases.push_back({.op = "Pow",
                       .what = std::string(name(type)),
                       .inputs = {as(base, i64({2, -3, 5, 1})), as(type, i64({10, 3, 0, 100}))},
                       .reference = power,
                       .gradient = false});
  cases.push_back({.op = "Mod",
                   .what = "as in Python",
                   .inputs = {i64({7, -7, 7, -7, 3}), i64({3, 3, -3, -3, 0})},
                   .reference = fixed(i64({1, 2, -2, -1, 0}))});
  cases.push_back({.op = "Mod",
                   .what = "as in C",
                   .inputs = {i64({7, -7, 7, -7}), i64({3, 3, -3, -3})},
                   .attributes = {{"fmod", int64_t{1}}},
                   .reference = fixed(i64({1, -1, 1, -1}))});
  cases.push_back({.op = "Mod",
                   .what = "floats",
                   .inputs = {uniform({5}, -9, 9), uniform({5}, 0.5, 2, 3)},
                   .attributes = {{"fmod", int64_t{1}}},
                   .reference = pairs([](double a, double b) { return std::fmod(a, b); })});
}

// PRelu, and arithmetic as it was before opset 7.
void add_slopes_and_limited_broadcasts(Cases& cases) {
  const auto prelu = [](double x, double slope) { return x < 0 ? x * slope : x; };
  for (const auto& [x, slope] : std::vector<std::pair<Shape, Shape>>{{{3, 7}, {3, 7}}, {{3, 7}, {}}, {{2, 3, 4}, {3, 1}}, {{0, 3}, {3}}})
    cases.push_back({.op = "PRelu",
                     .what = to_string(slope),
                     .inputs = {uniform(x), uniform(slope, -1, 1, 4)},
                     .reference = pairs(prelu),
                     .gradient = x.elements() > 0});
  cases.push_back({.op = "PRelu",
                   .what = "integers",
                   .inputs = {i64({-3, 0, 4}), i64({2, 2, 2})},
                   .reference = pairs(prelu)});
  const auto trailing = [](Reference of, int axes) {
    return [=](const std::vector<Tensor>& in) {
      Shape shape = in[1].shape();
      for (int i = 0; i < axes; ++i) shape.push_back(1);
      return of({in[0], f64(shape, numbers(in[1]))});
    };
  };
  cases.push_back({.op = "PRelu",
                   .what = "a slope a channel",
                   .inputs = {uniform({2, 3, 4}), uniform({3}, -1, 1, 4)},
                   .opset = 6,
                   .reference = trailing(pairs(prelu), 1)});
  cases.push_back({.op = "PRelu",
                   .what = "one slope",
                   .inputs = {uniform({2, 3, 4}), uniform({1}, -1, 1, 4)},
                   .opset = 6,
                   .reference = pairs(prelu)});
  std::vector<Function> ops(std::begin(kArithmetic), std::begin(kArithmetic) + 4);
  ops.push_back({"Pow", [](double a, double b) { return std::pow(a, b); }, 0.5, 2});
  for (const Function& one : ops) {
    const double low = one.op == "Pow" ? 0.5 : -3;
    cases.push_back({.op = one.op,
                     .what = "from an axis on",
                     .inputs = {uniform({2, 3, 4, 5}, low, 3), uniform({3, 4}, one.low, one.high, 5)},
                     .attributes = {{"broadcast", int64_t{1}}, {"axis", int64_t{1}}},
                     .opset = 6,
                     .reference = trailing(pairs(one.f), 1)});
    cases.push_back({.op = one.op,
                     .what = "at the end",
                     .inputs = {uniform({2, 3, 4}, low, 3), uniform({1, 4}, one.low, one.high, 5)},
                     .attributes = {{"broadcast", int64_t{1}}},
                     .opset = 6,
                     .reference = pairs(one.f)});
  }
  for (const Function& one : {kComparisons[0], kComparisons[1], kComparisons[3]})
    cases.push_back({.op = one.op,
                     .what = "from an axis on",
                     .inputs = {as(DType::kI64, uniform({2, 3}, -2, 2)), as(DType::kI64, uniform({2}, -2, 2, 3))},
                     .attributes = {{"broadcast", int64_t{1}}, {"axis", int64_t{0}}},
                     .opset = 6,
                     .reference = trailing(pairs(one.f), 1)});
  for (const Function& one : kLogic)
    cases.push_back({.op = one.op,
                     .what = "equal shapes",
                     .inputs = {booleans({4}, {true, false, true, false}), booleans({4}, {true, true, false, false})},
                     .opset = 6,
                     .reference = pairs(one.f)});
}

void add_bits(Cases& cases) {
  const auto bits = [](int64_t (*f)(int64_t, int64_t)) {
    return pairs([f](double a, double b) { return static_cast<double>(f(static_cast<int64_t>(a), static_cast<int64_t>(b))); });
  };
  const std::pair<std::string, Reference> ops[] = {
      {"BitwiseAnd", bits([](int64_t a, int64_t b) { return a & b; })},
      {"BitwiseOr", bits([](int64_t a, int64_t b) { return a | b; })},
      {"BitwiseXor", bits([](int64_t a, int64_t b) { return a ^ b; })},
  };
  for (const auto& [op, reference] : ops)
    for (DType type : {DType::kI64, DType::kI32, DType::kI16, DType::kU16, DType::kU32, DType::kU64, DType::kU8, DType::kI8})
      cases.push_back({.op = op,
                       .what = std::string(name(type)),
                       .inputs = {as(type, i64({2, 3}, {1, 2, 3, 100, 127, 0})), as(type, i64({3}, {3, 6, 85}))},
                       .reference = reference});
  const auto shift = [&](const std::string& direction, Tensor expected) {
    cases.push_back({.op = "BitShift",
                     .what = direction,
                     .inputs = {as(DType::kU8, i64({16, 4, 129, 255})), as(DType::kU8, i64({1, 2, 0, 8}))},
                     .attributes = {{"direction", direction}},
                     .reference = fixed(as(DType::kU8, expected))});
  };
  shift("LEFT", i64({32, 16, 129, 0}));
  shift("RIGHT", i64({8, 1, 129, 0}));
}

void add_tests_and_choices(Cases& cases) {
  for (const Function& one : kComparisons) {
    cases.push_back({.op = one.op, .inputs = {i64({2, 3}, {1, 2, 3, 4, 5, 6}), i64({3}, {1, 3, 3})}, .reference = pairs(one.f)});
    cases.push_back(
        {.op = one.op, .what = "f32", .inputs = {f32({4}, {0, 1, kNan, kInf}), f32({}, {1})}, .reference = pairs(one.f)});
  }
  cases.push_back({.op = "Equal",
                   .what = "strings",
                   .inputs = {strings({3}, {"a", "b", "ab"}), strings({1}, {"b"})},
                   .reference = fixed(booleans({3}, {false, true, false}))});
  cases.push_back({.op = "Equal",
                   .what = "bool",
                   .inputs = {booleans({2}, {true, false}), booleans({2}, {true, true})},
                   .reference = fixed(booleans({2}, {true, false}))});
  for (const Function& one : kLogic)
    cases.push_back({.op = one.op,
                     .inputs = {booleans({2, 2}, {true, false, true, false}), booleans({2, 1}, {true, false})},
                     .reference = pairs(one.f)});
  const Tensor condition = booleans({2, 1}, {true, false});
  cases.push_back({.op = "Where",
                   .inputs = {condition, uniform({2, 3}), uniform({3}, 5, 9, 2)},
                   .reference = [](const std::vector<Tensor>& in) {
                     const std::vector<double> a = numbers(in[1]), b = numbers(in[2]);
                     return std::vector{f64({2, 3}, {a[0], a[1], a[2], b[0], b[1], b[2]})};
                   }});
  cases.push_back({.op = "Where",
                   .what = "strings",
                   .inputs = {condition, strings({1}, {"yes"}), strings({1}, {"no"})},
                   .reference = fixed(strings({2, 1}, {"yes", "no"}))});
}

void add_casts(Cases& cases) {
  const auto to = [](DType type) { return Attributes{{"to", static_cast<int64_t>(type)}}; };
  cases.push_back({.op = "Cast",
                   .what = "f32 to f64",
                   .inputs = {uniform({5})},
                   .attributes = to(DType::kF64),
                   .reference = each([](double x) { return x; })});
  cases.push_back(
      {.op = "Cast",
       .what = "to i64",
       .inputs = {f32({5}, {1.9f, -1.9f, kNan, kInf, -kInf})},
       .attributes = to(DType::kI64),
       .reference = fixed(i64({1, -1, 0, std::numeric_limits<int64_t>::max(), std::numeric_limits<int64_t>::min()}))});
  cases.push_back({.op = "Cast",
                   .what = "to u8",
                   .inputs = {f32({4}, {-1, 3.5f, 255, 300})},
                   .attributes = to(DType::kU8),
                   .reference = fixed(i64({0, 3, 255, 255}))});
  cases.push_back({.op = "Cast",
                   .what = "to bool",
                   .inputs = {f32({4}, {0, -0.0f, 0.1f, kNan})},
                   .attributes = to(DType::kBool),
                   .reference = fixed(booleans({4}, {false, false, true, true}))});
  cases.push_back({.op = "Cast",
                   .what = "bool to f32",
                   .inputs = {booleans({2}, {true, false})},
                   .attributes = to(DType::kF32),
                   .reference = fixed(f32({2}, {1, 0}))});
}

}  // namespace

void add_binary_cases(Cases& cases) {
  add_arithmetic(cases);
  add_powers_and_remainders(cases);
  add_slopes_and_limited_broadcasts(cases);
  add_bits(cases);
  add_tests_and_choices(cases);
  add_casts(cases);
}

}  // namespace tandem::conformance
