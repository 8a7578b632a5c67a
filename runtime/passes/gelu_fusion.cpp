// Activations that exporters write as several nodes: x times a gate made of x.
//
//   x * (1 + erf(x / sqrt 2)) / 2                                    ->  Gelu                  PyTorch, TensorFlow, JAX
//   x * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 x^3))) / 2            ->  Gelu approximate=tanh  GPT-2, ALBERT
//   x * sigmoid(a * x)                                               ->  Swish alpha=a          SiLU, QuickGelu (a = 1.702)
//   x * clip(x + 3, 0, 6) / 6, x * clip(x / 6 + 1/2, 0, 1), x * HardSigmoid(x)  ->  HardSwish
//   x * tanh(softplus(x))                                            ->  Mish
//
// The anchor is the outermost Mul or Div. Its product is taken apart, so that numbers and factors may come in any order and association; the
// factor that is a gate names x. Anchors are tried in running order: the smallest product that is whole wins.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "runtime/graph/contexts.h"
#include "runtime/ops/all_ops.h"
#include "runtime/passes/pass.h"
#include "runtime/passes/pattern.h"

namespace tandem {
namespace {

constexpr double kSqrtHalf = std::numbers::sqrt2 / 2;
constexpr double kCubic = 0.044715;
const double kTanhScale = std::sqrt(2 / std::numbers::pi);

// A gate: with what number x * gate(x) is the activation.
struct Gate {
  ValueId x = kNoValue;
  double number = 1;
  std::string_view op;
  Attributes attributes;
};

class Fusion {
 public:
  Fusion(Graph& graph, PassNotes& notes) : pattern_(graph), notes_(notes) {}

  int run() {
    int changes = 0;
    const size_t nodes = pattern_.graph().nodes.size();
    for (size_t n = 0; n < nodes; ++n) changes += fuse(n);
    pattern_.finish();
    return changes;
  }

 private:
  DType dtype(ValueId id) const { return pattern_.type(id).dtype; }

  bool fuse(size_t n) {
    const Node& anchor = pattern_.graph().nodes[n];
    if (!PatternGraph::is(anchor, "Mul") && !PatternGraph::is(anchor, "Div")) return false;
    if (!is_float(dtype(anchor.outputs[0]))) return false;
    const ValueId y = anchor.outputs[0];
    for (ValueId factor : pattern_.product(y, kNoValue).factors)
      for (const Gate& gate : gates(factor)) {
        const Product whole = pattern_.product(y, gate.x);
        if (!is_x_times(whole, gate.x, factor) || !is_close(whole.number, gate.number, dtype(gate.x))) continue;
        return put(n, gate);
      }
    return false;
  }

  static bool is_x_times(const Product& product, ValueId x, ValueId gate) {
    const auto& f = product.factors;
    return f.size() == 2 && ((f[0] == x && f[1] == gate) || (f[1] == x && f[0] == gate));
  }

  bool put(size_t n, const Gate& gate) {
    const Cut cut = pattern_.cut(n, {gate.x});
    const auto miss = [&](std::string why) {
      notes_.near_miss(pattern_.graph(), pattern_.graph().nodes[n], std::string(gate.op) + ": " + std::move(why));
      return false;
    };
    if (!cut) return miss(cut.obstacle);
    if (!pattern_.keep_shape_of(gate.x, n, cut)) return miss("a constant has more axes than " + pattern_.graph().value(gate.x).name);
    pattern_.replace(n, cut, {.def = &newest_op(gate.op), .name = "", .inputs = {gate.x}, .outputs = {}, .attributes = gate.attributes});
    return true;
  }

  // What `id` may be a gate of.
  std::vector<Gate> gates(ValueId id) const {
    const Node* node = pattern_.maker(id);
    if (!node || !node->def->domain.empty()) return {};
    const std::string_view op = node->def->name;
    if (op == "Add") return of_add(id);
    if (op == "Sigmoid") return of_sigmoid(node->inputs[0]);
    if (op == "HardSigmoid") return of_hard_sigmoid(*node);
    if (op == "Clip" || op == "Min" || op == "Max") return of_bounds(id);
    if (op != "Tanh") return {};
    const Node* softplus = pattern_.maker(node->inputs[0], "Softplus");
    return softplus ? std::vector<Gate>{{softplus->inputs[0], 1, "Mish", {}}} : std::vector<Gate>();
  }

  std::vector<Gate> of_add(ValueId id) const {
    const auto value = pattern_.plus(id, 1);
    const Node* function = value ? pattern_.maker(*value) : nullptr;
    if (!function) return {};
    if (PatternGraph::is(*function, "Erf")) {
      const auto scaled = pattern_.times_number(function->inputs[0]);
      if (scaled && is_close(scaled->factor, kSqrtHalf, dtype(scaled->value))) return {{scaled->value, 0.5, "Gelu", {}}};
    } else if (PatternGraph::is(*function, "Tanh")) {
      const ValueId x = x_of_angle(function->inputs[0]);
      if (x != kNoValue) return {{x, 0.5, "Gelu", {{"approximate", std::string("tanh")}}}};
    }
    return {};
  }

  // x of sqrt(2 / pi) * (x + c x^3), or of sqrt(2 / pi) * x * (1 + c x^2).
  ValueId x_of_angle(ValueId angle) const {
    for (ValueId factor : pattern_.product(angle, kNoValue).factors) {
      const Node* sum = pattern_.maker(factor, "Add");
      if (!sum) continue;
      const Product whole = pattern_.product(angle, factor);
      for (size_t i = 0; i < 2 && whole.factors.size() == 1 && is_close(whole.number, kTanhScale, dtype(angle)); ++i)
        if (is_power(sum->inputs[1 - i], sum->inputs[i], 3)) return sum->inputs[i];
      const auto square = pattern_.plus(factor, 1);
      if (!square) continue;
      for (ValueId x : whole.factors)
        if (x != factor && is_x_times(pattern_.product(angle, x), x, factor) && is_close(pattern_.product(angle, x).number, kTanhScale, dtype(angle)) &&
            is_power(*square, x, 2))
          return x;
    }
    return kNoValue;
  }

  // Whether `id` is c x^power.
  bool is_power(ValueId id, ValueId x, int power) const {
    const Product product = pattern_.product(id, x);
    int found = 0;
    for (ValueId factor : product.factors) {
      const Node* pow = factor == x ? nullptr : pattern_.maker(factor, "Pow");
      const auto exponent = pow && pow->inputs[0] == x ? pattern_.number(pow->inputs[1]) : std::nullopt;
      if (factor != x && !(exponent && (*exponent == 2 || *exponent == 3))) return false;
      found += factor == x ? 1 : static_cast<int>(*exponent);
    }
    return found == power && is_close(product.number, kCubic, dtype(x));
  }

  std::vector<Gate> of_sigmoid(ValueId angle) const {
    std::vector<Gate> found = {{angle, 1, "Swish", {{"alpha", 1.0f}}}};
    if (const auto scaled = pattern_.times_number(angle))
      found.push_back({scaled->value, 1, "Swish", {{"alpha", static_cast<float>(scaled->factor)}}});
    return found;
  }

  std::vector<Gate> of_hard_sigmoid(const Node& node) const {
    const NodeContext context(node);
    const bool fits = is_close(static_cast<double>(context.get_float("alpha", 0.2f)), 1.0 / 6, DType::kF32) && context.get_float("beta", 0.5f) == 0.5f;
    return fits ? std::vector<Gate>{{node.inputs[0], 1, "HardSwish", {}}} : std::vector<Gate>();
  }

  std::vector<Gate> of_bounds(ValueId id) const {
    const auto bounded = pattern_.bounded(id);
    if (!bounded || bounded->low != 0) return {};
    if (bounded->high == 6)
      if (const auto x = pattern_.plus(bounded->value, 3)) return {{*x, 1.0 / 6, "HardSwish", {}}};
    if (bounded->high == 1)
      if (const auto sixth = pattern_.plus(bounded->value, 0.5))
        if (const auto scaled = pattern_.times_number(*sixth); scaled && is_close(scaled->factor, 1.0 / 6, dtype(scaled->value)))
          return {{scaled->value, 1, "HardSwish", {}}};
    return {};
  }

  PatternGraph pattern_;
  PassNotes& notes_;
};

int apply(Graph& graph, PassNotes& notes) { return Fusion(graph, notes).run(); }

}  // namespace

const Pass gelu_fusion_pass = {"gelu_fusion", "make one node of activations written as several: Gelu, Swish, HardSwish, Mish", apply};

}  // namespace tandem
