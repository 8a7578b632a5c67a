// The window through which an OpDef writes its gradient.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "runtime/graph/contexts.h"

namespace tandem {

// Emits the nodes of a gradient into the same graph (autodiff appends them after the forward nodes).
class GradientContext : public NodeContext {
 public:
  GradientContext(Graph& graph, Node node, std::vector<ValueId> output_grads, std::vector<bool> wanted)
      : NodeContext(owned_),
        graph_(graph),
        owned_(std::move(node)),
        output_grads_(std::move(output_grads)),
        wanted_(std::move(wanted)),
        input_grads_(owned_.inputs.size(), kNoValue) {}

  Graph& graph() { return graph_; }
  ValueId input(int i) const { return owned_.inputs[static_cast<size_t>(i)]; }
  ValueId output(int i) const { return owned_.outputs[static_cast<size_t>(i)]; }
  const TensorType& type(ValueId id) const { return graph_.value(id).type; }
  // Gradient of the loss with respect to output i; kNoValue if the loss does not depend on it.
  ValueId output_grad(int i = 0) const { return output_grads_[static_cast<size_t>(i)]; }
  bool wants(int i) const { return has_input(i) && wanted_[static_cast<size_t>(i)]; }  // is the gradient of input i asked for?

  ValueId emit(std::string_view op, std::vector<ValueId> inputs, Attributes attributes = {}, std::string_view domain = "");
  std::vector<ValueId> emit_many(std::string_view op, std::vector<ValueId> inputs, int outputs, Attributes attributes = {},
                                 std::string_view domain = "");
  ValueId emit_internal(std::string_view op, std::vector<ValueId> inputs, Attributes attributes = {}) {
    return emit(op, std::move(inputs), std::move(attributes), "tandem");
  }
  ValueId constant(Tensor content);
  ValueId scalar(double value, DType dtype);  // a rank-0 constant
  ValueId ints(std::vector<int64_t> values);  // a 1-D i64 constant
  // Sums `grad` over the axes along which `like` was broadcast; `grad` itself if the types show that there are none.
  ValueId reduce_to(ValueId grad, ValueId like);

  void set_input_grad(int i, ValueId grad) { input_grads_[static_cast<size_t>(i)] = grad; }
  const std::vector<ValueId>& input_grads() const { return input_grads_; }

 private:
  Graph& graph_;
  Node owned_;
  std::vector<ValueId> output_grads_;
  std::vector<bool> wanted_;
  std::vector<ValueId> input_grads_;
};

}  // namespace tandem
