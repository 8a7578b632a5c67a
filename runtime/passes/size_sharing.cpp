// Sizes that exporters compute again and again, each from the tensor at hand, are read where they were computed first:
//
//   Gather(Shape(Transpose(q)), 2), Gather(Shape(scores), 3)  ->  the first value that is "length" for certain
//   Where(Equal(Concat(batch, -1, length), -1), 1, Concat(batch, -1, length))  ->  Concat(batch, 1, length)     PyTorch's expand
//
// Which value holds what is the shape rules' knowledge (InferenceContext::KnownContents). What is gained is seldom the arithmetic: a tensor
// whose shape nobody asks for any more can be fused, moved or viewed, and a shape without a Where is known to those behind it.
#include <algorithm>
#include <unordered_map>

#include "runtime/graph/contexts.h"
#include "runtime/graph/rewrite.h"
#include "runtime/ops/dim_algebra.h"
#include "runtime/passes/pass.h"

namespace tandem {
namespace {

bool is(const Node& node, std::string_view op) { return node.def->domain.empty() && node.def->name == op; }

class Sharing {
 public:
  explicit Sharing(Graph& graph)
      : graph_(graph), replacement_(graph), producers_(graph.producers()), contents_(graph.values.size()), node_count_(graph.nodes.size()) {}

  int run() {
    int changes = 0;
    for (size_t n = 0; n < node_count_; ++n) {
      for (ValueId& id : graph_.nodes[n].inputs) id = replacement_.current(id);
      if (is(graph_.nodes[n], "Where")) changes += choose(n);
      infer_types(graph_, graph_.nodes[n], &contents_);
      for (ValueId id : graph_.nodes[n].outputs) changes += share(id);
    }
    replacement_.apply();
    if (changes > 0) dead_code_pass.apply(graph_);
    return changes;
  }

 private:
  const Value& value(ValueId id) const { return graph_.value(id); }
  const std::optional<Dims>& content(ValueId id) const {
    static const std::optional<Dims> kNone;
    return static_cast<size_t>(id) < contents_.size() ? contents_[static_cast<size_t>(id)] : kNone;
  }

  // Sizes under their text: what is the same for certain has the same text. Numbers are constants by now.
  bool share(ValueId id) {
    if (id == kNoValue || value(id).type.dtype != DType::kI64 || !content(id) || !value(id).type.dims) return false;
    const Dims& sizes = *content(id);
    const bool computed = std::ranges::any_of(sizes, [](const Dim& size) { return !size.known(); });
    if (!computed || !std::ranges::all_of(sizes, never_negative)) return false;
    const auto [first, is_new] = first_.try_emplace(to_string(*value(id).type.dims) + to_string(sizes), id);
    return !is_new && replacement_.replace(id, first->second);
  }

  const Node* maker(ValueId id, std::string_view op) const {
    const int n = producers_[static_cast<size_t>(id)];
    return n >= 0 && is(graph_.nodes[static_cast<size_t>(n)], op) ? &graph_.nodes[static_cast<size_t>(n)] : nullptr;
  }

  std::optional<std::vector<int64_t>> numbers(ValueId id) const {
    if (value(id).kind != ValueKind::kConstant || value(id).type.dtype != DType::kI64 || value(id).data.shape().rank() != 1) return std::nullopt;
    return std::vector<int64_t>(value(id).data.as<int64_t>().begin(), value(id).data.as<int64_t>().end());
  }

  // One value, or both joined of the same: exporters write such a list anew for each reader.
  bool same_list(ValueId a, ValueId b) const {
    const Node *one = a == b ? nullptr : maker(a, "Concat"), *two = one ? maker(b, "Concat") : nullptr;
    return a == b || (two && std::ranges::equal(one->inputs, two->inputs, [&](ValueId x, ValueId y) {
                        return x == y || (numbers(x) && numbers(x) == numbers(y));
                      }));
  }

  // A Reshape of a list to a list changes nothing, as long as it has that many elements.
  ValueId list_behind(ValueId id) const {
    for (const Node* reshape = maker(id, "Reshape"); reshape; reshape = maker(id, "Reshape")) {
      const auto &from = value(reshape->inputs[0]).type.dims, &to = value(id).type.dims;
      if (!from || !to || from->size() != 1 || to->size() != 1 || !(*from)[0].known() || *from != *to) break;
      id = reshape->inputs[0];
    }
    return id;
  }

  // Where(list == wanted, instead, list) for a list that is joined of constants and sizes: decided part by part.
  bool choose(size_t n) {
    const Node node = graph_.nodes[n];
    const ValueId list = list_behind(node.inputs[2]);
    const Node *equal = maker(node.inputs[0], "Equal"), *concat = maker(list, "Concat");
    if (!equal || !concat) return false;
    const bool list_first = same_list(list_behind(equal->inputs[0]), list);
    if (!list_first && !same_list(list_behind(equal->inputs[1]), list)) return false;
    const auto wanted = numbers(equal->inputs[list_first]), instead = numbers(node.inputs[1]);
    if (!wanted || !instead || wanted->size() != instead->size()) return false;
    std::vector<std::pair<ValueId, std::vector<int64_t>>> parts;  // a value, or numbers
    size_t at = 0;
    for (ValueId id : concat->inputs) {
      parts.emplace_back(id, std::vector<int64_t>());
      const auto fixed = numbers(id);
      const size_t count = fixed ? fixed->size() : content(id) ? content(id)->size() : 0;
      if (count == 0 || at + count > wanted->size()) return false;
      for (size_t i = 0; i < count; ++i, ++at) {
        if (fixed) parts.back().second.push_back((*fixed)[i] == (*wanted)[at] ? (*instead)[at] : (*fixed)[i]);
        else if (!never_negative((*content(id))[i]) || (*wanted)[at] >= 0) return false;
      }
    }
    if (at != wanted->size()) return false;
    rewrite(n, *concat->def, parts);
    return true;
  }

  void rewrite(size_t n, const OpDef& concat, const std::vector<std::pair<ValueId, std::vector<int64_t>>>& parts) {
    std::vector<ValueId> inputs;
    for (const auto& [id, fixed] : parts)
      inputs.push_back(fixed.empty() ? id
                                     : graph_.add_constant("sizes", Tensor::of<int64_t>({static_cast<int64_t>(fixed.size())}, fixed)));
    producers_.resize(graph_.values.size(), -1);
    Node& node = graph_.nodes[n];
    node.def = &concat;
    node.inputs = std::move(inputs);
    node.attributes = {{"axis", int64_t{0}}};
  }

  Graph& graph_;
  ValueReplacement replacement_;
  std::vector<int> producers_;
  InferenceContext::KnownContents contents_;
  std::unordered_map<std::string, ValueId> first_;
  size_t node_count_;
};

int apply(Graph& graph, PassNotes&) { return Sharing(graph).run(); }

}  // namespace

const Pass size_sharing_pass = {"size_sharing", "read sizes where they were computed first", apply};

}  // namespace tandem
