// What the QDQ passes ask of DequantizeLinear and QuantizeLinear: which integers a value stands for, and by which numbers.
#pragma once

#include <optional>
#include <string>

#include "runtime/passes/pattern.h"

namespace tandem {

// value = (integers - zero) * scale. Scale and zero are constants: one number, or one a position of `axis`.
struct QuantizedForm {
  ValueId integers = kNoValue, scale = kNoValue, zero = kNoValue;  // zero: kNoValue means 0
  int axis = -1;                                                   // -1: one number
  bool per_tensor() const { return axis < 0; }
};

// What a DequantizeLinear of 8-bit integers says of its result in f32: not in blocks, by positive scales. i32 if `is_bias`.
std::optional<QuantizedForm> dequantized_form(const Graph& graph, const Node& node, bool is_bias = false);
// The form of the result of a QuantizeLinear from f32 to 8 bits by one scale.
std::optional<QuantizedForm> quantized_form(const Graph& graph, const Node& node);

// Whether both mean the same integers by the same numbers, of one type; per tensor.
bool same_numbers(const Graph& graph, const QuantizedForm& a, const QuantizedForm& b);

// The zero point, as a constant: the form's own, or a new 0 of the integers' type.
ValueId zero_or_new(PatternGraph& pattern, const QuantizedForm& form);
int64_t zero_number(const Graph& graph, const QuantizedForm& form);  // of a form per tensor

}  // namespace tandem
