#include "runtime/conformance/compare_traces.h"

#include <fmt/format.h>

namespace tandem {
namespace {

std::string type_of(const RunValue& value) {
  if (!value.present) return "an empty optional";
  if (value.is_sequence()) return fmt::format("a sequence of {}", value.sequence.size());
  return fmt::format("{}{}", name(value.tensor.dtype()), to_string(value.tensor.shape()));
}

}  // namespace

TraceComparison compare_traces(const std::vector<TracedValue>& got, const FindValue& expected, const Tolerance& tolerance) {
  TraceComparison comparison;
  for (const TracedValue& traced : got) {
    const RunValue* other = expected(traced.name);
    if (!other) continue;
    ComparedValue compared{traced.name, traced.node, traced.op, type_of(traced.value),
                           difference(traced.value, *other, tolerance)};
    if (difference_of_type(traced.value, *other).empty()) {
      compared.largest = largest_error(traced.value, *other);
      compared.l2 = relative_l2(traced.value, *other);
    }
    if (!compared.difference.empty()) {
      if (comparison.diverging++ == 0) comparison.first = static_cast<int64_t>(comparison.values.size());
    }
    comparison.values.push_back(std::move(compared));
  }
  return comparison;
}

}  // namespace tandem
