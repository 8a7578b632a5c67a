// Arithmetic on dimensions that may be symbols. What comes out is a symbol again, whose text is the expression in one order:
// "past + seq", "6*batch", "floor((w - 1)/2) + 1", "max(0, seq - 3)". So equal expressions are equal text, whoever compares
// dimensions need not know of them, and a plan never asks for a bound of one: bounds are of the inputs' symbols, all else is
// inferred from numbers.
//
// Each function gives the unknown dimension if an operand is unknown, if the result is a negative number, or if its text would be
// long. product() and quotient() are declared in symbolic.h.
#pragma once

#include "runtime/graph/graph.h"

namespace tandem {

Dim sum(const Dim& a, const Dim& b);
Dim difference(const Dim& a, const Dim& b);
// a + by, where `by` may be negative.
Dim shifted(const Dim& a, int64_t by);
// The largest number that is not above a / by. REQUIRES by > 0.
Dim floor_quotient(const Dim& a, int64_t by);
inline Dim ceil_quotient(const Dim& a, int64_t by) { return floor_quotient(shifted(a, by - 1), by); }
// max(0, a)
Dim clamped(const Dim& a);
// Whether it is 0 or more for all sizes that the symbols may have; false if nobody can tell.
bool never_negative(const Dim& a);

// Where `at`, which may count from the end as Python's slices do, lies in [0, size]: a number (any i64) or a symbol.
Dim slice_end(const Dim& size, const Dim& at);

}  // namespace tandem
