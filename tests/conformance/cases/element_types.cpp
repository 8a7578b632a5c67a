// Casts between all element types; movement and integer arithmetic in the types beyond f32, f64, i32, i64, u8, i8.
#include <cmath>
#include <limits>

#include "tests/conformance/cases/cases.h"

namespace tandem::conformance {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

int64_t code(DType type) { return static_cast<int64_t>(type); }
Tensor scalar_of(DType type, double value) { return as(type, f64({}, {value})); }

void add_casts_of_all_types(Cases& cases) {
  const std::vector<double> values = {0, 1, -1, 1.5, 2.5, -6, 3, 0.75};
  for (DType type : {DType::kF16, DType::kBF16, DType::kF8E4M3FN, DType::kF8E4M3FNUZ, DType::kF8E5M2, DType::kF8E5M2FNUZ}) {
    cases.push_back({.op = "Cast",
                     .what = "from " + std::string(name(type)),
                     .inputs = {as(type, f64({8}, values))},
                     .attributes = {{"to", code(DType::kF32)}},
                     .reference = fixed(f64({8}, values))});
    cases.push_back({.op = "Cast",
                     .what = "to " + std::string(name(type)),
                     .inputs = {as(DType::kF32, f64({8}, values))},
                     .attributes = {{"to", code(type)}},
                     .reference = fixed(f64({8}, values)),
                     .gradient = false});
  }
  for (DType type : {DType::kI16, DType::kU16, DType::kU32, DType::kU64, DType::kI4, DType::kU4})
    cases.push_back({.op = "Cast",
                     .what = "to " + std::string(name(type)),
                     .inputs = {f32({3}, {1.9f, 7, 0.2f})},
                     .attributes = {{"to", code(type)}},
                     .reference = fixed(f64({3}, {1, 7, 0}))});
  cases.push_back({.op = "Cast",
                   .what = "low bits",
                   .inputs = {as(DType::kI32, f64({4}, {-9, 8, 15, 16}))},
                   .attributes = {{"to", code(DType::kI4)}},
                   .reference = fixed(f64({4}, {7, -8, -1, 0}))});
  for (int64_t saturate : {0, 1})
    cases.push_back(
        {.op = "Cast",
         .what = saturate ? "saturates" : "does not saturate",
         .inputs = {f32({3}, {1e6f, -kInf, 464})},
         .attributes = {{"to", code(DType::kF8E4M3FN)}, {"saturate", saturate}},
         .reference = fixed(f64({3}, saturate ? std::vector<double>{448, -448, 448} : std::vector<double>{NAN, NAN, 448})),
         .gradient = false});
  for (const auto& [mode, last] : {std::pair<std::string, double>{"up", 4}, {"down", 2}, {"nearest", 4}})
    cases.push_back({.op = "Cast",
                     .what = "round mode " + mode,
                     .inputs = {f32({3}, {1, 0.25f, 3})},
                     .attributes = {{"to", code(DType::kF8E8M0)}, {"round_mode", mode}},
                     .reference = fixed(f64({3}, {1, 0.25, last}))});
  cases.push_back({.op = "Cast",
                   .what = "a large one",
                   .inputs = {uniform({3, 20001}, -9, 9)},
                   .attributes = {{"to", code(DType::kF16)}},
                   .reference = each([](double x) { return x; }),
                   .rtol = 5e-4,
                   .atol = 1e-4,
                   .gradient = false});
  cases.push_back({.op = "Cast",
                   .what = "text to f32",
                   .inputs = {strings({4}, {"1.5", "-2e3", "+INF", "7"})},
                   .attributes = {{"to", code(DType::kF32)}},
                   .reference = fixed(f64({4}, {1.5, -2000, kInf, 7}))});
  cases.push_back({.op = "Cast",
                   .what = "text to i32",
                   .inputs = {strings({2}, {"100.5", "-3"})},
                   .attributes = {{"to", code(DType::kI32)}},
                   .reference = fixed(f64({2}, {100, -3}))});
  cases.push_back({.op = "CastLike",
                   .inputs = {uniform({2, 3}), uniform({1})},
                   .reference = each([](double x) { return x; }),
                   .no_gradient_for = {1}});
  cases.push_back({.op = "CastLike",
                   .what = "to bf16",
                   .inputs = {f32({3}, {1, -2, 0.5f}), as(DType::kBF16, f32({2}, {0, 0}))},
                   .reference = fixed(f64({3}, {1, -2, 0.5})),
                   .gradient = false});
  cases.push_back({.op = "BitCast",
                   .inputs = {f32({2}, {1, -2})},
                   .attributes = {{"to", code(DType::kI32)}},
                   .reference = fixed(f64({2}, {0x3F800000, -0x40000000}))});
  cases.push_back({.op = "BitCast",
                   .what = "to bool",
                   .inputs = {as(DType::kU8, f64({3}, {0, 1, 1}))},
                   .attributes = {{"to", code(DType::kBool)}},
                   .reference = fixed(booleans({3}, {false, true, true}))});
}

void add_moves_of_all_types(Cases& cases) {
  for (DType type : {DType::kF16, DType::kU16, DType::kU64, DType::kF8E5M2, DType::kI4}) {
    const Tensor x = as(type, f64({2, 3}, {1, 2, 3, 4, 5, 6}));
    const std::string what(name(type));
    cases.push_back(
        {.op = "Transpose", .what = what, .inputs = {x}, .reference = fixed(f64({3, 2}, {1, 4, 2, 5, 3, 6})), .gradient = false});
    cases.push_back({.op = "Concat",
                     .what = what,
                     .inputs = {x, x},
                     .attributes = {{"axis", int64_t{1}}},
                     .reference = fixed(f64({2, 6}, {1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6})),
                     .gradient = false});
    cases.push_back({.op = "Where",
                     .what = what,
                     .inputs = {booleans({3}, {true, false, true}), x, as(type, f64({1}, {7}))},
                     .reference = fixed(f64({2, 3}, {1, 7, 3, 4, 7, 6})),
                     .gradient = false});
  }
  for (DType type : {DType::kI16, DType::kU16, DType::kU32, DType::kU64}) {
    const Tensor a = as(type, f64({3}, {7, 2, 9})), b = as(type, f64({3}, {3, 2, 4}));
    const std::string what(name(type));
    cases.push_back({.op = "Add", .what = what, .inputs = {a, b}, .reference = fixed(f64({3}, {10, 4, 13}))});
    cases.push_back({.op = "Mul", .what = what, .inputs = {a, b}, .reference = fixed(f64({3}, {21, 4, 36}))});
    cases.push_back({.op = "Equal", .what = what, .inputs = {a, b}, .reference = fixed(booleans({3}, {false, true, false}))});
    cases.push_back({.op = "ReduceMax", .what = what, .inputs = {a}, .reference = fixed(f64({1}, {9}))});
  }
  cases.push_back({.op = "Mul",
                   .what = "u16 wraps",
                   .inputs = {scalar_of(DType::kU16, 65535), scalar_of(DType::kU16, 65535)},
                   .reference = fixed(f64({}, {1}))});
}

}  // namespace

void add_element_type_cases(Cases& cases) {
  add_casts_of_all_types(cases);
  add_moves_of_all_types(cases);
}

}  // namespace tandem::conformance
