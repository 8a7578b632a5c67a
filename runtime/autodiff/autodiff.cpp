#include "runtime/autodiff/autodiff.h"

#include <set>

#include "runtime/graph/contexts.h"
#include "runtime/ops/all_ops.h"
#include "runtime/ops/gradient_context.h"

namespace tandem {
namespace {

class Differentiation {
 public:
  Differentiation(Graph& graph, ValueId loss, std::span<const ValueId> targets)
      : graph_(graph), loss_(loss), targets_(targets.begin(), targets.end()), forward_nodes_(graph.nodes.size()) {}

  std::vector<ValueId> run() {
    mark_dependents();
    mark_path_to_loss();
    refuse_ops_without_gradient();
    seed();
    for (size_t n = forward_nodes_; n-- > 0;)
      if (on_path_[n]) differentiate(n);
    std::vector<ValueId> grads;
    for (ValueId target : targets_) grads.push_back(depends_[static_cast<size_t>(target)] ? total(target) : kNoValue);
    return grads;
  }

 private:
  bool depends(ValueId id) const { return id != kNoValue && depends_[static_cast<size_t>(id)]; }
  bool is_differentiable(ValueId id) const { return is_float(graph_.value(id).type.dtype); }

  // Values that change when a target changes.
  void mark_dependents() {
    depends_.assign(graph_.values.size(), false);
    for (ValueId target : targets_) depends_[static_cast<size_t>(target)] = true;
    for (const Node& node : graph_.nodes) {
      bool any = false;
      for (ValueId id : node.inputs) any = any || depends(id);
      for (ValueId id : node.outputs)
        if (any && id != kNoValue && is_differentiable(id)) depends_[static_cast<size_t>(id)] = true;
    }
  }

  // Nodes between the targets and the loss.
  void mark_path_to_loss() {
    require(graph_.value(loss_).kind == ValueKind::kResult, "the loss must be computed by the graph", graph_.value(loss_).name);
    require(is_differentiable(loss_), "the loss must be of a floating type", graph_.value(loss_).name);
    std::vector<bool> needed(graph_.values.size(), false);
    needed[static_cast<size_t>(loss_)] = true;
    on_path_.assign(forward_nodes_, false);
    for (size_t n = forward_nodes_; n-- > 0;) {
      const Node& node = graph_.nodes[n];
      bool reaches = false;
      for (ValueId id : node.outputs) reaches = reaches || (depends(id) && needed[static_cast<size_t>(id)]);
      if (!reaches) continue;
      for (ValueId id : node.inputs) on_path_[n] = on_path_[n] || depends(id);  // not the node that makes a target
      for (ValueId id : node.inputs)
        if (id != kNoValue) needed[static_cast<size_t>(id)] = true;
    }
  }

  void refuse_ops_without_gradient() const {
    std::set<std::string> missing;
    for (size_t n = 0; n < forward_nodes_; ++n)
      if (on_path_[n] && graph_.nodes[n].def->gradient == nullptr) missing.insert(std::string(graph_.nodes[n].def->name));
    std::string names;
    for (const std::string& op : missing) names += (names.empty() ? "" : ", ") + op;
    require(missing.empty(), "no gradient is defined for these ops between the parameters and the loss", names);
  }

  void seed() {
    const DType dtype = graph_.value(loss_).type.dtype;
    const auto& dims = graph_.value(loss_).type.dims;
    require(dims && dims->size() <= 1 && (dims->empty() || (*dims)[0] == Dim(1)), "the loss must be a scalar",
            graph_.value(loss_).name);
    const Shape shape = *fixed_shape(*dims);
    const ValueId one =
        graph_.add_constant("loss.grad", visit_float(dtype, [&]<class T>() { return Tensor::of<T>(shape, {T{1}}); }));
    contributions_[loss_] = {one};
  }

  // The sum of what the consumers of `id` contributed, or kNoValue if none did.
  ValueId total(ValueId id) {
    const auto found = contributions_.find(id);
    if (found == contributions_.end()) return kNoValue;
    std::vector<ValueId>& parts = found->second;
    while (parts.size() > 1) {
      const ValueId sum = graph_.add_node(newest_op("Add"), {parts[0], parts[1]}, 1, {}, graph_.value(id).name + ".grad")[0];
      parts.erase(parts.begin());
      parts[0] = sum;
    }
    return parts[0];
  }

  void differentiate(size_t n) {
    const Node node = graph_.nodes[n];  // a copy: appending nodes moves the original
    std::vector<ValueId> output_grads;
    bool any = false;
    for (ValueId id : node.outputs) {
      output_grads.push_back(id == kNoValue ? kNoValue : total(id));
      any = any || output_grads.back() != kNoValue;
    }
    if (!any) return;
    std::vector<bool> wanted;
    for (ValueId id : node.inputs) wanted.push_back(depends(id));
    GradientContext context(graph_, node, std::move(output_grads), std::move(wanted));
    node.def->gradient(context);
    for (size_t i = 0; i < node.inputs.size(); ++i) {
      const ValueId grad = context.input_grads()[i];
      if (grad != kNoValue && depends(node.inputs[i])) contributions_[node.inputs[i]].push_back(grad);
    }
  }

  Graph& graph_;
  ValueId loss_;
  std::vector<ValueId> targets_;
  size_t forward_nodes_;
  std::vector<bool> depends_, on_path_;
  std::map<ValueId, std::vector<ValueId>> contributions_;
};

}  // namespace

std::vector<ValueId> append_gradients(Graph& graph, ValueId loss, std::span<const ValueId> with_respect_to) {
  return Differentiation(graph, loss, with_respect_to).run();
}

}  // namespace tandem
