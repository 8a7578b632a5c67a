#include "runtime/onnx/older_attention.h"

#include <cmath>
#include <limits>
#include <utility>

#include "runtime/onnx/node_writer.h"

namespace tandem {
namespace {

enum Input { kQ, kK, kV, kMask, kPastKey, kPastValue, kValid };

class OlderAttention : private NodeWriter {
 public:
  OlderAttention(Graph& graph, const Node& node, int opset) : NodeWriter(graph, node, opset) {
    const bool ranked = dims(input(kQ)) && dims(input(kK)) && dims(input(kV)) && (!has_input(kMask) || dims(input(kMask)));
    const bool plain = ranked && dims(input(kQ))->size() == dims(input(kK))->size() && dims(input(kK))->size() == dims(input(kV))->size() &&
                       !has_output(3) && !has_input(kValid) && get_int("left_window_size", -1) < 0 &&
                       get_int("right_window_size", -1) < 0;
    require(plain && opset_ >= 13, "this attention has no form in this opset (node, opset)", node.name, opset_);
    flat_ = dims(input(kQ))->size() == 3;
  }

  void run() {
    const ValueId q = scaled(heads_of(kQ, "q_num_heads"));
    const ValueId key = joined(kPastKey, heads_of(kK, "kv_num_heads"), 1), value = joined(kPastValue, heads_of(kV, "kv_num_heads"), 2);
    const ValueId k = repeated(key, q), v = repeated(value, q);
    ValueId scores = emit("MatMul", {q, emit("Transpose", {k}, {{"perm", std::vector<int64_t>{0, 1, 3, 2}}})});
    if (const float cap = get_float("softcap", 0); cap != 0)
      scores = times(emit("Tanh", {times(scores, 1 / static_cast<double>(cap))}), static_cast<double>(cap));
    if (get_int("is_causal", 0) != 0) scores = hidden_unless(seen(q, k), scores);
    if (has_input(kMask)) scores = masked(scores, k);
    ValueId p = emit("Softmax", {scores}, {{"axis", int64_t{-1}}});
    if (has_input(kMask)) p = emit("Where", {emit("IsNaN", {p}), number(0, p), p});  // a row of which all is hidden is 0
    const ValueId y = emit("MatMul", {p, v});
    if (flat_) emit("Reshape", {swapped(y), ints({0, 0, -1})});
    finish_one(0);
  }

 private:
  ValueId input(int i) const { return node().inputs[static_cast<size_t>(i)]; }
  const std::optional<Dims>& dims(ValueId id) const { return graph_.value(id).type.dims; }
  ValueId times(ValueId x, double factor) { return factor == 1 ? x : emit("Mul", {x, number(factor, x)}); }
  ValueId size(ValueId x, int64_t axis) { return emit("Gather", {emit("Shape", {x}), ints({axis})}); }  // i64[1]
  ValueId swapped(ValueId x) { return emit("Transpose", {x}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}}); }
  ValueId ints(std::vector<int64_t> list) {
    return graph_.add_constant(node().name + ".ints", Tensor::of<int64_t>(Shape({static_cast<int64_t>(list.size())}), list));
  }

  // The last node written makes this output.
  void finish_one(size_t output) { graph_.nodes.back().outputs = {node().outputs[output]}; }

  // [batch, heads, rows, size], from [batch, rows, heads * size] perhaps.
  ValueId heads_of(int i, std::string_view count) {
    if (!flat_) return input(i);
    const int64_t heads = get_int(count, 0);
    const Dims& x = *dims(input(i));
    return swapped(emit("Reshape", {input(i), ints({0, 0, heads, x[2].known() ? x[2].size / heads : -1})}));
  }

  ValueId scaled(ValueId q) {
    if (has_attribute("scale") && get_float("scale", 0) != 0) return times(q, static_cast<double>(get_float("scale", 0)));
    const auto& known = dims(q);
    if (known && known->back().known()) return times(q, 1 / std::sqrt(static_cast<double>(known->back().size)));
    const ValueId width = emit("Cast", {size(q, 3)}, {{"to", static_cast<int64_t>(graph_.value(q).type.dtype)}});
    return emit("Div", {q, emit("Sqrt", {width})});
  }

  // Behind what came before; the whole may be an output of the node.
  ValueId joined(int past, ValueId fresh, int output) {
    const bool wanted = has_output(output);
    if (!has_input(past) && !wanted) return fresh;
    const ValueId whole = has_input(past) ? emit("Concat", {input(past), fresh}, {{"axis", int64_t{2}}}) : emit("Identity", {fresh});
    if (!wanted) return whole;
    finish_one(static_cast<size_t>(output));
    return node().outputs[static_cast<size_t>(output)];
  }

  // Each head of keys for all heads of queries that share it.
  ValueId repeated(ValueId x, ValueId q) {
    const auto heads_of = [&](ValueId id) { return dims(id) ? (*dims(id))[1] : Dim(); };
    const Dim own = heads_of(x), wanted = heads_of(q);
    if (own.known() && wanted.known() && (own.size == wanted.size || own.size == 1)) return x;
    const ValueId shape = emit("Shape", {x}), heads = size(q, 1), copies = emit("Div", {heads, size(x, 1)});
    const ValueId one = ints({1}), rest = emit("Gather", {shape, ints({2, 3})}), first = emit("Gather", {shape, ints({0})});
    const ValueId groups = emit("Concat", {emit("Gather", {shape, ints({0, 1})}), one, rest}, {{"axis", int64_t{0}}});
    const ValueId each = emit("Concat", {one, one, copies, one, one}, {{"axis", int64_t{0}}});
    const ValueId stretched = emit("Expand", {emit("Reshape", {x, groups}), each});
    return emit("Reshape", {stretched, emit("Concat", {first, heads, rest}, {{"axis", int64_t{0}}})});
  }

  // Which key each query sees: those up to its own place, which is behind the past.
  ValueId seen(ValueId q, ValueId k) {
    const auto scalar = [&](ValueId one) { return emit("Reshape", {one, graph_.add_constant(node().name + ".scalar", Tensor::of<int64_t>({0}, {}))}); };
    const ValueId zero = graph_.add_constant(node().name + ".zero", Tensor::scalar<int64_t>(0)),
                  step = graph_.add_constant(node().name + ".step", Tensor::scalar<int64_t>(1));
    ValueId rows = emit("Range", {zero, scalar(size(q, 2)), step});
    if (has_input(kPastKey)) rows = emit("Add", {rows, size(input(kPastKey), 2)});
    return emit("GreaterOrEqual", {emit("Reshape", {rows, ints({-1, 1})}), emit("Range", {zero, scalar(size(k, 2)), step})});
  }

  ValueId hidden_unless(ValueId seen, ValueId scores) {
    return emit("Where", {seen, scores, number(-std::numeric_limits<double>::infinity(), scores)});
  }

  // A mask of fewer columns hides the keys beyond them.
  ValueId masked(ValueId scores, ValueId k) {
    ValueId mask = input(kMask);
    const bool is_bool = graph_.value(mask).type.dtype == DType::kBool;
    const size_t rank = dims(mask)->size();
    const Dim columns = rank > 0 ? dims(mask)->back() : Dim(1), keys = dims(k) ? (*dims(k))[2] : Dim();
    const bool named = columns.known() || !columns.symbol.empty();
    if (!(named && columns == keys) && !(columns.known() && columns.size == 1)) {
      std::vector<int64_t> before(2 * rank - 1);
      const ValueId missing = emit("Sub", {size(k, 2), size(mask, static_cast<int64_t>(rank) - 1)});
      const ValueId pads = emit("Concat", {ints(before), missing}, {{"axis", int64_t{0}}});
      const ValueId filler = is_bool ? graph_.add_constant(node().name + ".hidden", Tensor::scalar(false)) : number(-std::numeric_limits<double>::infinity(), mask);
      mask = emit("Pad", {mask, pads, filler});
    }
    return is_bool ? hidden_unless(mask, scores) : emit("Add", {scores, mask});
  }

  bool flat_ = false;
};

}  // namespace

void append_older_attention(Graph& graph, const Node& node, int opset) { OlderAttention(graph, node, opset).run(); }

}  // namespace tandem
