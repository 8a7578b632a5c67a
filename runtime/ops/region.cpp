// tandem.Region: elementwise nodes, its body, in one sweep over memory (runtime/passes/elementwise_regions.cpp makes them when a plan is
// made). The kernels of the nodes run on a tile, one after the other, before the next tile begins: kernels/api/tile_program.h.
//
// Inputs and outputs are those of the body. Every result has the outputs' shape, the broadcast of the inputs'; the first output is
// made last.
#include "kernels/api/tile_program.h"
#include "runtime/ops/body.h"
#include "runtime/ops/elementwise_nodes.h"

namespace tandem {
namespace {

constexpr std::string_view kBody[] = {"body"};
// For the first ones; a region with more inputs has others to take over as well.
constexpr Alias kInPlace[] = {{.input = 0, .output = 0}, {.input = 1, .output = 0}, {.input = 2, .output = 0}, {.input = 3, .output = 0},
                              {.input = 4, .output = 0}, {.input = 5, .output = 0}, {.input = 6, .output = 0}, {.input = 7, .output = 0}};

void infer(InferenceContext& node) {
  const Graph& body = body_of(node, "body");
  node.require(body.inputs.size() == node.node().inputs.size() && body.outputs.size() == node.node().outputs.size(),
               "the body has other inputs or outputs than the node (inputs, outputs)", body.inputs.size(), body.outputs.size());
  std::optional<Dims> dims = Dims{};
  for (int i = 0; i < node.inputs(); ++i)
    dims = node.broadcast_dims(dims, node.has_rank(i) ? std::optional(node.dims(i)) : std::nullopt);
  for (int o = 0; o < node.outputs(); ++o) node.set_output(o, output_type(body, o).dtype, dims);
}

uint32_t operands_in_place(const OpDef& def) {
  uint32_t operands = 0;
  for (const Alias& alias : def.aliases)
    if (alias.kind == AliasKind::kMay && alias.output == 0) operands |= uint32_t{1} << alias.input;
  return operands;
}

class ProgramBuilder {
 public:
  explicit ProgramBuilder(const BindContext& node)
      : node_(node), body_(body_of(node, "body")), shapes_(body_.values.size(), node.output_shape(0)), operands_(body_.values.size()) {}

  TileProgram run() {
    for (size_t i = 0; i < body_.inputs.size(); ++i) {
      operand(body_.inputs[i]) = {TileOperand::Kind::kInput, static_cast<int>(i)};
      shapes_[static_cast<size_t>(body_.inputs[i])] = node_.shape(static_cast<int>(i));
    }
    for (const Node& inner : body_.nodes) add(inner);
    for (ValueId id : body_.outputs) program_.outputs.push_back(operand(id).index);
    return std::move(program_);
  }

 private:
  TileOperand& operand(ValueId id) { return operands_[static_cast<size_t>(id)]; }

  void add(const Node& inner) {
    node_.require(is_elementwise(*inner.def), "the body holds a node that is not elementwise (op)", inner.def->name);
    BoundKernel kernel = inner.def->cpu(BindContext(body_, inner, shapes_, 1));
    ensure(kernel.workspace == 0, "an elementwise kernel wants a workspace", inner.def->name);
    TileInstruction instruction = {std::move(kernel.run), body_.value(inner.outputs[0]).type.dtype, {}, operands_in_place(*inner.def)};
    for (ValueId id : inner.inputs) instruction.operands.push_back(id == kNoValue ? TileOperand{} : operand(id));
    operand(inner.outputs[0]) = {TileOperand::Kind::kResult, static_cast<int>(program_.instructions.size())};
    program_.instructions.push_back(std::move(instruction));
  }

  const BindContext& node_;
  const Graph& body_;
  std::vector<Shape> shapes_;          // by the body's ValueId
  std::vector<TileOperand> operands_;  // likewise
  TileProgram program_;
};

BoundKernel bind(const BindContext& node) {
  std::vector<TileInput> inputs;
  for (int i = 0; i < node.inputs(); ++i) inputs.push_back({node.dtype(i), node.shape(i)});
  cpu::TileRunner runner(ProgramBuilder(node).run(), inputs, node.output_shape(0), node.threads());
  const size_t workspace = runner.workspace();
  return {.run = [runner = std::move(runner)](const KernelContext& context, Inputs in, Outputs out) { runner.run(context, in, out); },
          .workspace = workspace};
}

double flops(const BindContext& node) {
  return static_cast<double>(body_of(node, "body").nodes.size()) * static_cast<double>(node.output_shape(0).elements());
}

constexpr OpDef region_op = {.name = "Region",
                             .domain = "tandem",
                             .max_inputs = kVariadic,
                             .max_outputs = kVariadic,
                             .attributes = kBody,
                             .infer = infer,
                             .cpu = bind,
                             .elements = Elements::kConverted,  // casts between types are among its nodes
                             .aliases = kInPlace,
                             .flops = flops};

constexpr const OpDef* kOps[] = {&region_op};

}  // namespace

extern const OpFamily region_ops;
constinit const OpFamily region_ops = kOps;

}  // namespace tandem
