// Appends nodes under one name prefix: what graph fragments are written with.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/graph/graph.h"
#include "runtime/graph/op_def.h"
#include "runtime/ops/all_ops.h"

namespace tandem {

class Emitter {
 public:
  Emitter(Graph& graph, std::string prefix) : graph_(graph), prefix_(std::move(prefix)) {}

  ValueId op(std::string_view name, std::vector<ValueId> inputs, Attributes attributes = {}) {
    return many(name, "", std::move(inputs), 1, std::move(attributes))[0];
  }
  ValueId internal(std::string_view name, std::vector<ValueId> inputs, Attributes attributes = {}) {
    return many(name, "tandem", std::move(inputs), 1, std::move(attributes))[0];
  }
  std::vector<ValueId> many(std::string_view name, std::string_view domain, std::vector<ValueId> inputs, int outputs,
                            Attributes attributes = {}) {
    return graph_.add_node(newest_op(name, domain), std::move(inputs), outputs, std::move(attributes),
                           prefix_ + "." + std::string(name));
  }
  ValueId scalar(float value) { return graph_.add_constant(prefix_ + ".scalar", Tensor::scalar<float>(value)); }
  ValueId scalar(int64_t value) { return graph_.add_constant(prefix_ + ".scalar", Tensor::scalar<int64_t>(value)); }

 private:
  Graph& graph_;
  std::string prefix_;
};

}  // namespace tandem
