// The values of one run against those of another, name by name: where they part first.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "runtime/conformance/compare.h"
#include "runtime/conformance/trace.h"

namespace tandem {

struct ComparedValue {
  std::string name, node, op, type;  // type: "f32[2, 3]"
  std::string difference;            // as difference() says it; "" if there is none
  double largest = 0, l2 = 0;        // the largest absolute error, and relative_l2; 0 where types differ
};

struct TraceComparison {
  std::vector<ComparedValue> values;  // those that both have, in the order in which `got` makes them
  int64_t diverging = 0;              // how many differ
  int64_t first = -1;                 // the first that does, as an index; -1: none
};

// The value that `name` has in the other run; null if there is none.
using FindValue = std::function<const RunValue*(const std::string& name)>;

TraceComparison compare_traces(const std::vector<TracedValue>& got, const FindValue& expected, const Tolerance& tolerance);

}  // namespace tandem
