#include <algorithm>

#include "runtime/graph/contexts.h"
#include "runtime/ops/all_ops.h"
#include "runtime/ops/gradient_context.h"

namespace tandem {

std::vector<ValueId> GradientContext::emit_many(std::string_view op, std::vector<ValueId> inputs, int outputs,
                                                Attributes attributes, std::string_view domain) {
  return graph_.add_node(newest_op(op, domain), std::move(inputs), outputs, std::move(attributes),
                         owned_.name + ".grad." + std::string(op));
}

ValueId GradientContext::emit(std::string_view op, std::vector<ValueId> inputs, Attributes attributes, std::string_view domain) {
  return emit_many(op, std::move(inputs), 1, std::move(attributes), domain)[0];
}

ValueId GradientContext::constant(Tensor content) {
  return graph_.add_constant(owned_.name + ".grad.constant", std::move(content));
}

ValueId GradientContext::scalar(double value, DType dtype) {
  if (dtype == DType::kF16) return constant(Tensor::scalar(to_f16(static_cast<float>(value))));
  if (dtype == DType::kBF16) return constant(Tensor::scalar(to_bf16(static_cast<float>(value))));
  return visit_number(dtype, [&]<class T>() { return constant(Tensor::scalar<T>(static_cast<T>(value))); });
}

ValueId GradientContext::ints(std::vector<int64_t> values) {
  return constant(Tensor::of<int64_t>({static_cast<int64_t>(values.size())}, values));
}

ValueId GradientContext::reduce_to(ValueId grad, ValueId like) {
  const auto &from = type(grad).dims, &to = type(like).dims;
  const bool same =
      from && to && *from == *to && std::ranges::all_of(*to, [](const Dim& d) { return d.known() || !d.symbol.empty(); });
  return same ? grad : emit_internal("ReduceToShape", {grad, like});
}

}  // namespace tandem
