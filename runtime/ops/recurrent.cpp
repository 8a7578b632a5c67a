// RNN, LSTM, GRU (ONNX 1, 7, 14, 22) and their gradients tandem.{RNN,LSTM,GRU}Grad(inputs..., dy?, dy_h?, dy_c?): output i is the
// gradient to the input whose number stands at i in the attribute `wanted`.
//
// Version 7 made activations per direction and dropped output_sequence (Y is computed if it is asked for), 14 added `layout`.
#include "kernels/api/recurrent.h"

#include <algorithm>
#include <cctype>

#include "runtime/ops/gradient_context.h"
#include "runtime/ops/symbolic.h"

namespace tandem {
namespace {

constexpr std::string_view kAttributes[] = {"activation_alpha", "activation_beta", "activations",  "clip",
                                            "direction",        "hidden_size",     "input_forget", "linear_before_reset",
                                            "layout",           "output_sequence"};
constexpr std::string_view kGradAttributes[] = {"activation_alpha", "activation_beta", "activations",  "clip",
                                                "direction",        "hidden_size",     "input_forget", "linear_before_reset",
                                                "layout",           "output_sequence", "wanted"};

enum Input { kX, kW, kR, kB, kLengths, kInitialH, kInitialC, kPeepholes, kInputs };
constexpr int kOutputGrads = 3;  // a gradient op has those of Y, Y_h, Y_c after its other inputs

struct NamedFunction {
  std::string_view name;
  GateFunction function;
  int parameters;  // how many of alpha and beta it takes from the lists
  double alpha, beta;
};
constexpr NamedFunction kFunctions[] = {
    {"relu", GateFunction::kRelu, 0, 0, 0},
    {"tanh", GateFunction::kTanh, 0, 0, 0},
    {"sigmoid", GateFunction::kSigmoid, 0, 0, 0},
    {"softsign", GateFunction::kSoftsign, 0, 0, 0},
    {"softplus", GateFunction::kSoftplus, 0, 0, 0},
    {"leakyrelu", GateFunction::kLeakyRelu, 1, 0.01, 0},
    {"elu", GateFunction::kElu, 1, 1, 0},
    {"thresholdedrelu", GateFunction::kThresholdedRelu, 1, 1, 0},
    {"affine", GateFunction::kAffine, 2, 1, 0},
    {"scaledtanh", GateFunction::kScaledTanh, 2, 1, 1},
    {"hardsigmoid", GateFunction::kHardSigmoid, 2, 0.2, 0.5},
};

const NamedFunction& function_of(const NodeContext& node, std::string name) {
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  for (const NamedFunction& one : kFunctions)
    if (one.name == name) return one;
  node.reject("unknown activation function of a recurrent op", name);
}

// The functions of all directions; alphas and betas go, in order, to those that take some.
void read_activations(const NodeContext& node, RecurrentOptions& options) {
  const size_t each = options.cell == RecurrentCell::kLstm ? 3 : options.cell == RecurrentCell::kGru ? 2 : 1;
  const size_t all = each * static_cast<size_t>(options.directions);
  std::vector<std::string> names = node.get_strings("activations");
  if (names.empty()) {
    const std::vector<std::string> defaults = {each == 1 ? "tanh" : "sigmoid", "tanh", "tanh"};
    for (size_t i = 0; i < all; ++i) names.push_back(defaults[i % each]);
  }
  if (names.size() == each) names.insert(names.end(), names.begin(), names.begin() + static_cast<int64_t>(all - each));
  node.require(names.size() == all, "wrong number of activations (has, wants)", names.size(), all);
  const std::vector<float> alphas = node.get_floats("activation_alpha"), betas = node.get_floats("activation_beta");
  size_t alpha = 0, beta = 0;
  for (size_t i = 0; i < all; ++i) {
    const NamedFunction& named = function_of(node, names[i]);
    GateActivation& gate = options.activations[i / each][i % each];
    gate = {named.function, named.alpha, named.beta};
    if (named.parameters > 0 && alpha < alphas.size()) gate.alpha = static_cast<double>(alphas[alpha++]);
    if (named.parameters > 1 && beta < betas.size()) gate.beta = static_cast<double>(betas[beta++]);
  }
}

// The cell is in the name: LSTM, LSTMGrad.
RecurrentCell cell_of(const NodeContext& node) {
  const std::string_view name = node.node().def->name;
  return name.starts_with("LSTM") ? RecurrentCell::kLstm : name.starts_with("GRU") ? RecurrentCell::kGru : RecurrentCell::kRnn;
}

RecurrentOptions options_of(const NodeContext& node) {
  RecurrentOptions options;
  options.cell = cell_of(node);
  const std::string direction = node.get_string("direction", "forward");
  node.require(direction == "forward" || direction == "reverse" || direction == "bidirectional",
               "direction must be forward, reverse or bidirectional", direction);
  options.directions = direction == "bidirectional" ? 2 : 1;
  options.reverse = direction == "reverse";
  options.batch_first = node.get_int("layout", 0) != 0;
  options.clip = static_cast<double>(node.get_float("clip", 0));
  options.input_forget = node.get_int("input_forget", 0) != 0;
  options.linear_before_reset = node.get_int("linear_before_reset", 0) != 0;
  node.require(options.clip >= 0, "clip must not be negative", options.clip);
  read_activations(node, options);
  return options;
}

void infer(InferenceContext& node) {
  const RecurrentOptions options = options_of(node);
  require_float(node, kX);
  for (int i = kW; i < node.inputs(); ++i) {
    if (!node.has_input(i)) continue;
    if (i == kLengths)
      node.require_dtype(i, DType::kI32);
    else
      node.require_same_dtype(kX, i);
  }
  Dim steps, batch, hidden;
  if (node.has_rank(kX)) {
    node.require(node.rank(kX) == 3, "X must have rank 3", to_string(node.dims(kX)));
    steps = node.dims(kX)[options.batch_first ? 1 : 0];
    batch = node.dims(kX)[options.batch_first ? 0 : 1];
  }
  if (node.has_rank(kR)) {
    node.require(node.rank(kR) == 3, "R must have rank 3", to_string(node.dims(kR)));
    hidden = node.dims(kR)[2];
  }
  if (const int64_t given = node.get_int("hidden_size", 0); given > 0) {
    node.require(!differ(hidden, Dim(given)), "hidden_size is not that of R (attribute, R)", given, hidden.size);
    hidden = Dim(given);
  }
  const Dim directions(options.directions);
  const DType dtype = node.dtype(kX);
  node.set_output(0, dtype,
                  options.batch_first ? Dims{batch, steps, directions, hidden} : Dims{steps, directions, batch, hidden});
  for (int i : {1, 2})
    node.set_output(i, dtype, options.batch_first ? Dims{batch, directions, hidden} : Dims{directions, batch, hidden});
}

void infer_grad(InferenceContext& node) {
  options_of(node);
  const std::vector<int64_t> wanted = node.get_ints("wanted");
  node.require(wanted.size() == static_cast<size_t>(node.outputs()), "`wanted` must name an input for each output",
               wanted.size());
  for (int o = 0; o < node.outputs(); ++o) {
    const int64_t input = wanted[static_cast<size_t>(o)];
    node.require(input >= 0 && input < kInputs && input != kLengths && node.has_input(static_cast<int>(input)),
                 "there is no gradient to this input", input);
    node.set_output_like(o, static_cast<int>(input));
  }
}

void gradient(GradientContext& node) {
  node.require(node.get_float("clip", 0) == 0, "there is no gradient where clip is used");
  std::vector<ValueId> inputs;
  for (int i = 0; i < kInputs; ++i) inputs.push_back(i < node.inputs() ? node.input(i) : kNoValue);
  for (int i = 0; i < kOutputGrads; ++i) inputs.push_back(node.has_output(i) ? node.output_grad(i) : kNoValue);
  Attributes attributes = node.node().attributes;
  std::vector<int64_t> wanted;
  for (int i = 0; i < node.inputs(); ++i)
    if (i != kLengths && node.wants(i)) wanted.push_back(i);
  attributes["wanted"] = wanted;
  const std::string name = std::string(node.node().def->name) + "Grad";
  const auto grads = node.emit_many(name, inputs, static_cast<int>(wanted.size()), attributes, "tandem");
  for (size_t i = 0; i < wanted.size(); ++i) node.set_input_grad(static_cast<int>(wanted[i]), grads[i]);
}

RecurrentInputs inputs_of(Inputs in) {
  const auto view = [&](size_t i) { return i < in.size() ? in[i] : ConstTensorView{}; };
  return {.x = in[kX],
          .w = in[kW],
          .r = in[kR],
          .b = view(kB),
          .lengths = view(kLengths),
          .initial_h = view(kInitialH),
          .initial_c = view(kInitialC),
          .peepholes = view(kPeepholes)};
}

RecurrentGeometry geometry_of(const BindContext& node, const RecurrentOptions& options) {
  return naming(node, [&] { return recurrent_geometry(options, node.shape(kX), node.shape(kW), node.shape(kR)); });
}

cpu::RecurrentWeights packed_weights(const BindContext& node, const RecurrentOptions& options) {
  const auto w = [&](ConstTensorView weights) { return cpu::pack_recurrent(options, weights, {}); };
  const auto r = [&](ConstTensorView weights) { return cpu::pack_recurrent(options, {}, weights); };
  cpu::RecurrentWeights packed;
  if (node.is_constant(kR))
    packed = node.packed<cpu::RecurrentWeights>(kR, std::string(node.node().def->name) + (options.linear_before_reset ? " R, linear" : " R"), r);
  if (node.is_constant(kW)) packed.w = node.packed<cpu::RecurrentWeights>(kW, "W", w).w;
  return packed;
}

uint32_t pack(const BindContext& node) {
  packed_weights(node, options_of(node));
  return (node.is_constant(kW) ? input_set(kW) : 0) | (node.is_constant(kR) ? input_set(kR) : 0);
}

BoundKernel bind(const BindContext& node) {
  const RecurrentOptions options = options_of(node);
  const cpu::RecurrentWeights packed = packed_weights(node, options);
  return {.run =
              [=](const KernelContext& context, Inputs in, Outputs out) {
                const auto view = [&](size_t i) { return i < out.size() ? out[i] : TensorView{}; };
                cpu::recurrent(context, options, packed, inputs_of(in), {view(0), view(1), view(2)});
              },
          .workspace = cpu::recurrent_workspace(node.dtype(kX), options, geometry_of(node, options), node.threads())};
}

BoundKernel bind_grad(const BindContext& node) {
  const RecurrentOptions options = options_of(node);
  const std::vector<int64_t> wanted = node.get_ints("wanted");
  return {.run =
              [=](const KernelContext& context, Inputs in, Outputs out) {
                const auto grad = [&](Input input) {
                  const auto at = static_cast<size_t>(std::ranges::find(wanted, static_cast<int64_t>(input)) - wanted.begin());
                  return at < out.size() ? out[at] : TensorView{};
                };
                const auto view = [&](size_t i) { return i < in.size() ? in[i] : ConstTensorView{}; };
                cpu::recurrent_grad(context, options, inputs_of(in), view(kInputs), view(kInputs + 1), view(kInputs + 2),
                                    {.dx = grad(kX),
                                     .dw = grad(kW),
                                     .dr = grad(kR),
                                     .db = grad(kB),
                                     .dinitial_h = grad(kInitialH),
                                     .dinitial_c = grad(kInitialC),
                                     .dpeepholes = grad(kPeepholes)});
              },
          .workspace = cpu::recurrent_grad_workspace(node.dtype(kX), options, geometry_of(node, options), node.threads())};
}

double flops(const BindContext& node) {
  const RecurrentGeometry of = geometry_of(node, options_of(node));
  return 2.0 * static_cast<double>(of.steps * of.batch * of.directions * of.gates) * static_cast<double>(of.hidden) *
         static_cast<double>(of.inputs + of.hidden);
}

constexpr OpDef cell(std::string_view name, int inputs, int outputs) {
  return {.name = name,
          .since = 1,
          .min_inputs = 3,
          .max_inputs = inputs,
          .max_outputs = outputs,
          .attributes = kAttributes,
          .infer = infer,
          .gradient = gradient,
          .cpu = bind,
          .pack = pack,
          .flops = flops};
}
constexpr OpDef cell_grad(std::string_view name) {
  return {.name = name,
          .domain = "tandem",
          .min_inputs = 3,
          .max_inputs = kInputs + kOutputGrads,
          .max_outputs = kInputs - 1,
          .attributes = kGradAttributes,
          .infer = infer_grad,
          .cpu = bind_grad};
}

constexpr OpDef rnn_op = cell("RNN", kInitialH + 1, 2);
constexpr OpDef lstm_op = cell("LSTM", kInputs, 3);
constexpr OpDef gru_op = cell("GRU", kInitialH + 1, 2);
constexpr OpDef rnn_grad_op = cell_grad("RNNGrad");
constexpr OpDef lstm_grad_op = cell_grad("LSTMGrad");
constexpr OpDef gru_grad_op = cell_grad("GRUGrad");

constexpr const OpDef* kOps[] = {&rnn_op, &lstm_op, &gru_op, &rnn_grad_op, &lstm_grad_op, &gru_grad_op};

}  // namespace

extern const OpFamily recurrent_ops;
constinit const OpFamily recurrent_ops = kOps;

}  // namespace tandem
