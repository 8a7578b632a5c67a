// Slice: starts, ends and axes are attributes in ONNX 1 and inputs, with steps, from 10 on.
//
// Gradient: tandem.SliceGrad(dy, shape of x, starts, ends, axes?, steps?), which puts dy where it was taken from, into zeros.
#include "kernels/api/movement.h"
#include "runtime/ops/dim_algebra.h"
#include "runtime/ops/element_types.h"
#include "runtime/ops/gradient_context.h"
#include "runtime/ops/gradient_shapes.h"
#include "runtime/ops/index_list.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"starts", "ends", "axes"};

// One axis of a slice on a dimension of known size: ONNX clamps both ends to what the step can reach.
struct Range {
  int64_t start, step, length;
  Range(int64_t size, int64_t first, int64_t end, int64_t by) : start(first), step(by) {
    require(by != 0, "[Slice] a step is 0");
    const int64_t low = by > 0 ? 0 : -1, high = by > 0 ? size : size - 1;
    const auto clamped = [&](int64_t i, int64_t least) { return std::clamp(i < 0 ? i + size : i, least, std::max(least, high)); };
    start = clamped(first, 0);
    const int64_t stop = clamped(end, low), distance = by > 0 ? stop - start : start - stop;
    const uint64_t stride = by > 0 ? static_cast<uint64_t>(by) : 0 - static_cast<uint64_t>(by);
    length = size == 0 || distance <= 0 ? 0 : static_cast<int64_t>((static_cast<uint64_t>(distance) - 1) / stride) + 1;
    if (length <= 1) step = 1;  // a huge step must not overflow an address
  }
};

struct SliceLists {
  IndexList starts, ends, axes, steps;  // axes: one a start; steps: likewise
};

SliceLists complete(const NodeContext& node, IndexList starts, IndexList ends, IndexList axes, bool has_axes, IndexList steps,
                    bool has_steps, int rank) {
  SliceLists lists{starts, ends, axes, steps};
  const size_t n = starts.size();
  for (size_t i = 0; i < n; ++i) {
    if (!has_axes) lists.axes.push_back(static_cast<int64_t>(i));
    if (!has_steps) lists.steps.push_back(1);
  }
  node.require(ends.size() == n && lists.axes.size() == n && lists.steps.size() == n,
               "starts, ends, axes and steps differ in length", n, ends.size(), lists.axes.size(), lists.steps.size());
  for (size_t i = 0; i < n; ++i) lists.axes[i] = node.normalized_axis(lists.axes[i], rank);
  return lists;
}

SliceLists lists_of_attributes(const NodeContext& node, int rank) {
  return complete(node, IndexList(node.get_ints("starts")), IndexList(node.get_ints("ends")), IndexList(node.get_ints("axes")),
                  node.has_attribute("axes"), {}, false, rank);
}

// The lists as a run sees them; `first` is the input that holds the starts.
SliceLists lists_of_inputs(const NodeContext& node, Inputs in, size_t first, int rank) {
  const bool has_axes = first + 2 < in.size() && in[first + 2], has_steps = first + 3 < in.size() && in[first + 3];
  return complete(node, IndexList(in[first]), IndexList(in[first + 1]), has_axes ? IndexList(in[first + 2]) : IndexList(),
                  has_axes, has_steps ? IndexList(in[first + 3]) : IndexList(), has_steps, rank);
}

// How much of a dimension lies between start and end; of one that is no number, with steps forward.
Dim sliced(const Dim& dim, const Dim& start, const Dim& end, int64_t step) {
  const bool numbers = start.symbol.empty() && end.symbol.empty();
  if (dim.known() && numbers) return Dim(Range(dim.size, start.size, end.size, step).length);
  if (step == 1 && numbers && start.size == 0 && end.size >= std::numeric_limits<int32_t>::max()) return dim;
  if (step < 1) return Dim();
  return ceil_quotient(clamped(difference(slice_end(dim, end), slice_end(dim, start))), step);
}

std::optional<Dims> list_content(const InferenceContext& node, int input, std::string_view attribute) {
  if (node.has_input(input)) {
    // Symbols may stand in starts and ends; an entry that is not known at all makes the list useless.
    if (const auto numbers = known_indices(node, input)) {
      Dims dims;
      for (int64_t value : *numbers) dims.push_back(Dim(value));
      return dims;
    }
    const auto content = node.content(input);
    return content && std::ranges::find(*content, Dim()) == content->end() ? content : std::nullopt;
  }
  Dims dims;
  for (int64_t value : node.get_ints(attribute)) dims.push_back(Dim(value));
  return dims;
}

IndexList numbers_of(const Dims& dims) {
  IndexList list;
  for (const Dim& dim : dims) list.push_back(dim.size);
  return list;
}

void propagate_content(InferenceContext& node, const SliceLists& lists) {
  const auto content = node.content(0);
  if (!content || node.rank(0) != 1 || lists.starts.size() != 1) return;
  const Range range(static_cast<int64_t>(content->size()), lists.starts[0], lists.ends[0], lists.steps[0]);
  Dims taken;
  for (int64_t i = 0; i < range.length; ++i) taken.push_back((*content)[static_cast<size_t>(range.start + i * range.step)]);
  node.set_content(0, std::move(taken));
}

void infer(InferenceContext& node) {
  if (!node.has_rank(0)) return node.set_output(0, node.dtype(0), std::nullopt);
  for (int i = 1; i < node.inputs(); ++i)
    if (node.has_input(i)) require_index(node, i);
  const auto starts = list_content(node, 1, "starts"), ends = list_content(node, 2, "ends");
  const auto axes = list_content(node, 3, "axes"), steps = list_content(node, 4, "");
  if (!axes) return node.set_output(0, node.dtype(0), Dims(node.dims(0).size()));
  Dims dims = node.dims(0);
  if (!starts || !ends || !steps) {  // the sizes along the axes are open
    for (const Dim& axis : *axes) dims[static_cast<size_t>(node.normalized_axis(axis.size, node.rank(0)))] = Dim();
    if (axes->empty()) dims = Dims(dims.size());
    return node.set_output(0, node.dtype(0), std::move(dims));
  }
  const bool has_axes = node.has_input(3) || node.has_attribute("axes");
  const SliceLists lists = complete(node, numbers_of(*starts), numbers_of(*ends), numbers_of(*axes), has_axes, numbers_of(*steps),
                                    node.has_input(4), node.rank(0));
  axis_mask(node, lists.axes.first(lists.axes.size()), node.rank(0));
  for (size_t i = 0; i < starts->size(); ++i) {
    Dim& dim = dims[static_cast<size_t>(lists.axes[i])];
    dim = sliced(dim, (*starts)[i], (*ends)[i], lists.steps[i]);
  }
  node.set_output(0, node.dtype(0), std::move(dims));
  const auto is_number = [](const Dim& dim) { return dim.symbol.empty(); };
  if (std::ranges::all_of(*starts, is_number) && std::ranges::all_of(*ends, is_number)) propagate_content(node, lists);
}

// One start and one step for every axis of `whole`.
struct Box {
  IndexList starts, steps;
  Box(const Shape& whole, const SliceLists& lists) {
    for (int a = 0; a < whole.rank(); ++a) {
      starts.push_back(0);
      steps.push_back(1);
    }
    for (size_t i = 0; i < lists.starts.size(); ++i) {
      const auto axis = static_cast<size_t>(lists.axes[i]);
      const Range range(whole[static_cast<int>(axis)], lists.starts[i], lists.ends[i], lists.steps[i]);
      starts[axis] = range.length ? range.start : 0;
      steps[axis] = range.step;
    }
  }
};

template <auto kernel>
BoundKernel bind_attributes(const BindContext& node) {
  return {.run = [lists = lists_of_attributes(node, node.rank(0))](const KernelContext& context, Inputs in, Outputs out) {
    const Box box(in[0].shape, lists);
    kernel(context, in[0], box.starts, box.steps, out[0]);
  }};
}
template <auto kernel>
BoundKernel bind(const BindContext& node) {
  return {.run = [own = Node(node.node())](const KernelContext& context, Inputs in, Outputs out) {
    const Box box(in[0].shape, lists_of_inputs(NodeContext(own), in, 1, in[0].shape.rank()));
    kernel(context, in[0], box.starts, box.steps, out[0]);
  }};
}

void gradient(GradientContext& node) {
  if (!node.wants(0)) return;
  std::vector<ValueId> inputs = {node.output_grad(), shape_of(node, node.input(0))};
  if (node.has_attribute("starts")) {
    inputs.push_back(node.ints(node.get_ints("starts")));
    inputs.push_back(node.ints(node.get_ints("ends")));
    if (node.has_attribute("axes")) inputs.push_back(node.ints(node.get_ints("axes")));
  } else {
    for (int i = 1; i < node.inputs(); ++i) inputs.push_back(node.has_input(i) ? node.input(i) : kNoValue);
  }
  node.set_input_grad(0, node.emit_internal("SliceGrad", std::move(inputs)));
}

void infer_grad(InferenceContext& node) { node.set_output(0, node.dtype(0), node.content(1)); }

template <auto kernel>
BoundKernel bind_grad(const BindContext& node) {
  return {.run = [own = Node(node.node())](const KernelContext& context, Inputs in, Outputs out) {
    const Box box(out[0].shape, lists_of_inputs(NodeContext(own), in, 2, out[0].shape.rank()));
    kernel(context, in[0], box.starts, box.steps, out[0]);
  }};
}

constexpr OpDef slice_op_1 = {.name = "Slice",
                              .until = 10,
                              .attributes = kAttributes,
                              .infer = infer,
                              .gradient = gradient,
                              .cpu = bind_attributes<cpu::slice>,
                              .cuda = on_cuda(bind_attributes<cuda::slice>),
                              .elements = Elements::kMoved};
constexpr OpDef slice_op_10 = {.name = "Slice",
                               .since = 10,
                               .min_inputs = 3,
                               .max_inputs = 5,
                               .infer = infer,
                               .gradient = gradient,
                               .cpu = bind<cpu::slice>,
                               .cuda = on_cuda(bind<cuda::slice>),
                               .host_inputs = input_set(1, 2, 3, 4),
                               .elements = Elements::kMoved};
constexpr OpDef slice_grad_op = {.name = "SliceGrad",
                                 .domain = "tandem",
                                 .min_inputs = 4,
                                 .max_inputs = 6,
                                 .infer = infer_grad,
                                 .cpu = bind_grad<cpu::slice_backward>,
                                 .cuda = on_cuda(bind_grad<cuda::slice_backward>),
                                 .host_inputs = input_set(2, 3, 4, 5),
                                 .shape_inputs = input_set(1),
                                 .elements = Elements::kMoved};

constexpr const OpDef* kOps[] = {&slice_op_1, &slice_op_10, &slice_grad_op};

}  // namespace

extern const OpFamily slice_ops;
constinit const OpFamily slice_ops = kOps;

}  // namespace tandem
