// What `tandem bench kernels` times: graphs of one op, as a network would have it, whose answers can be found another way.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "runtime/graph/graph.h"

namespace tandem::cli {

// From the op's definition, in doubles.
struct Expected {
  double value = 0, error = 0;  // an answer may be `error` away
};

// The nodes that are timed have this name, or one that begins with it.
inline constexpr char kTimedNode[] = "kernel";

struct KernelSubject {
  Graph graph;
  std::map<std::string, Tensor, std::less<>> feed;
  std::function<Expected(size_t output, int64_t element)> expected;
};

struct KernelCase {
  std::string name;  // op and sizes: "MatMul 512 x 512 x 512"
  std::string type;  // f32, bf16, int8; int4: weights alone
  double operations = 0;  // of products, additions counted; 0: the op is bound by memory
  double bytes = 0;       // inputs, weights and outputs once
  std::function<KernelSubject()> make;  // its tensors may be large
};

// Products of matrices, large and of few rows on weights that no cache holds; convolutions of ResNet-50 and MobileNetV2; attention of a
// prompt and of one more word; sums of rows of a table; normalization and functions on rows.
std::vector<KernelCase> kernel_cases();

}  // namespace tandem::cli
