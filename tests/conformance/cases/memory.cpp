// The internal ops on flat memory: Pack, View, Assign.
#include "tests/conformance/cases/cases.h"

namespace tandem::conformance {

void add_memory_cases(Cases& cases) {
  cases.push_back({.op = "tandem.Pack",
                   .inputs = {f32({2, 1}, {1, 2}), f32({}, {3}), f32({2}, {4, 5})},
                   .reference = fixed(f32({5}, {1, 2, 3, 4, 5}))});
  cases.push_back({.op = "tandem.View",
                   .inputs = {f32({5}, {1, 2, 3, 4, 5})},
                   .attributes = {{"offset", int64_t{1}}, {"shape", std::vector<int64_t>{2, 2}}},
                   .reference = fixed(f32({2, 2}, {2, 3, 4, 5}))});
  cases.push_back({.op = "tandem.Assign", .inputs = {f32({2}, {1, 2}), f32({2}, {3, 4})}, .reference = fixed(f32({2}, {3, 4}))});
  for (const char* op : {"tandem.CopyToDevice", "tandem.CopyToHost"})
    cases.push_back({.op = op, .inputs = {f32({2, 2}, {1, 2, 3, 4})}, .reference = each([](double x) { return x; })});
}

}  // namespace tandem::conformance
