// RNN, LSTM and GRU against loops over single numbers in double.
#include <algorithm>
#include <cmath>
#include <functional>

#include "tests/conformance/cases/cases.h"
#include "tests/conformance/cases/differences.h"

namespace tandem::conformance {
namespace {

using Function = std::function<double(double)>;

double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

// The three functions of a cell by name, with the alphas and betas that the case gives.
Function function_of(const std::string& name, double alpha, double beta) {
  if (name == "Sigmoid") return sigmoid;
  if (name == "Relu") return [](double x) { return std::max(x, 0.0); };
  if (name == "Affine") return [=](double x) { return alpha * x + beta; };
  if (name == "LeakyRelu") return [=](double x) { return x < 0 ? alpha * x : x; };
  if (name == "ThresholdedRelu") return [=](double x) { return x >= alpha ? x : 0; };
  if (name == "ScaledTanh") return [=](double x) { return alpha * std::tanh(beta * x); };
  if (name == "HardSigmoid") return [=](double x) { return std::min(1.0, std::max(0.0, alpha * x + beta)); };
  if (name == "Elu") return [=](double x) { return x < 0 ? alpha * (std::exp(x) - 1) : x; };
  if (name == "Softsign") return [](double x) { return x / (1 + std::fabs(x)); };
  if (name == "Softplus") return [](double x) { return std::log(1 + std::exp(x)); };
  return [](double x) { return std::tanh(x); };
}

struct Cell {
  std::string op;
  int64_t steps = 4, batch = 3, inputs = 5, hidden = 4;
  std::string direction = "forward";
  bool batch_first = false, input_forget = false, late_reset = false;
  double clip = 0;
  std::vector<Function> functions = {};  // of one direction

  int64_t gates() const { return op == "LSTM" ? 4 : op == "GRU" ? 3 : 1; }
  int64_t directions() const { return direction == "bidirectional" ? 2 : 1; }
};

// One step of one sequence. `x` and `h` are what the two products give each gate, biases included.
struct Step {
  std::vector<double> h, c;
};

class Loops {
 public:
  Loops(const Cell& cell, const std::vector<Tensor>& in) : cell_(cell) {
    for (size_t i = 0; i < 8; ++i) in_.push_back(in.size() > i && in[i] ? numbers(in[i]) : std::vector<double>());
  }

  // Y, Y_h, Y_c
  std::vector<Tensor> run() {
    const int64_t directions = cell_.directions(), n = cell_.hidden, rows = cell_.steps * cell_.batch;
    y_.assign(static_cast<size_t>(rows * directions * n), 0);
    y_h_.assign(static_cast<size_t>(cell_.batch * directions * n), 0);
    y_c_ = y_h_;
    for (d_ = 0; d_ < directions; ++d_)
      for (int64_t b = 0; b < cell_.batch; ++b) sequence(b);
    const bool first = cell_.batch_first;
    const Shape states = first ? Shape{cell_.batch, directions, n} : Shape{directions, cell_.batch, n};
    const Shape all = first ? Shape{cell_.batch, cell_.steps, directions, n} : Shape{cell_.steps, directions, cell_.batch, n};
    return {f64(all, y_), f64(states, y_h_), f64(states, y_c_)};
  }

 private:
  double at(size_t input, int64_t i) const { return in_[input].empty() ? 0 : in_[input][static_cast<size_t>(i)]; }
  double clipped(double x) const { return cell_.clip > 0 ? std::min(cell_.clip, std::max(-cell_.clip, x)) : x; }
  double f(size_t which, double x) const { return cell_.functions[which](clipped(x)); }
  int64_t state_at(int64_t b) const {
    return (cell_.batch_first ? b * cell_.directions() + d_ : d_ * cell_.batch + b) * cell_.hidden;
  }

  void sequence(int64_t b) {
    const int64_t n = cell_.hidden, length = in_[4].empty() ? cell_.steps : static_cast<int64_t>(in_[4][static_cast<size_t>(b)]);
    Step state;
    for (int64_t i = 0; i < n; ++i) state.h.push_back(at(5, state_at(b) + i)), state.c.push_back(at(6, state_at(b) + i));
    const bool backward = cell_.direction == "reverse" || d_ == 1;
    for (int64_t s = 0; s < length; ++s) {
      const int64_t t = backward ? length - 1 - s : s;
      state = next(state, cell_.batch_first ? b * cell_.steps + t : t * cell_.batch + b);
      const int64_t to =
          cell_.batch_first ? (b * cell_.steps + t) * cell_.directions() + d_ : (t * cell_.directions() + d_) * cell_.batch + b;
      std::copy(state.h.begin(), state.h.end(), y_.begin() + to * n);
    }
    std::copy(state.h.begin(), state.h.end(), y_h_.begin() + state_at(b));
    std::copy(state.c.begin(), state.c.end(), y_c_.begin() + state_at(b));
  }

  double from_x(int64_t row, int64_t gate) const {
    const int64_t rows = cell_.gates() * cell_.hidden;
    double sum = at(3, d_ * 2 * rows + gate);
    for (int64_t i = 0; i < cell_.inputs; ++i)
      sum += at(0, row * cell_.inputs + i) * at(1, (d_ * rows + gate) * cell_.inputs + i);
    return sum;
  }
  double from_h(const std::vector<double>& h, int64_t gate) const {
    const int64_t rows = cell_.gates() * cell_.hidden;
    double sum = at(3, (d_ * 2 + 1) * rows + gate);
    for (int64_t i = 0; i < cell_.hidden; ++i) sum += h[static_cast<size_t>(i)] * at(2, (d_ * rows + gate) * cell_.hidden + i);
    return sum;
  }
  double peephole(int64_t which, int64_t i) const { return at(7, (d_ * 3 + which) * cell_.hidden + i); }

  Step next(const Step& old, int64_t row) const {
    const int64_t n = cell_.hidden;
    Step now = old;
    std::vector<double> reset_h;
    for (int64_t i = 0; i < n && cell_.op == "GRU"; ++i)
      reset_h.push_back(f(0, from_x(row, n + i) + from_h(old.h, n + i)) * old.h[static_cast<size_t>(i)]);
    for (int64_t i = 0; i < n; ++i) {
      const auto k = static_cast<size_t>(i);
      const auto both = [&](int64_t gate) { return from_x(row, gate * n + i) + from_h(old.h, gate * n + i); };
      if (cell_.op == "RNN") {
        now.h[k] = f(0, both(0));
      } else if (cell_.op == "GRU") {
        const double z = f(0, both(0)), r = f(0, both(1));
        const double h = cell_.late_reset ? r * from_h(old.h, 2 * n + i) : from_h(reset_h, 2 * n + i);
        now.h[k] = (1 - z) * f(1, from_x(row, 2 * n + i) + h) + z * old.h[k];
      } else {
        const double input = f(0, both(0) + peephole(0, i) * old.c[k]);
        const double forget = cell_.input_forget ? 1 - input : f(0, both(2) + peephole(2, i) * old.c[k]);
        now.c[k] = forget * old.c[k] + input * f(1, both(3));
        now.h[k] = f(0, both(1) + peephole(1, i) * now.c[k]) * cell_.functions[2](now.c[k]);
      }
    }
    return now;
  }

  Cell cell_;
  std::vector<std::vector<double>> in_;
  int64_t d_ = 0;
  std::vector<double> y_, y_h_, y_c_;
};

struct Names {
  std::vector<std::string> names;  // empty: the defaults
  double alpha = 0, beta = 0;
};

Reference loops(Cell cell, const Names& given = {}) {
  std::vector<std::string> names = given.names;
  if (names.empty())
    names = cell.op == "RNN" ? std::vector<std::string>{"Tanh"} : std::vector<std::string>{"Sigmoid", "Tanh", "Tanh"};
  for (const std::string& name : names) cell.functions.push_back(function_of(name, given.alpha, given.beta));
  return [cell](const std::vector<Tensor>& in) {
    std::vector<Tensor> outputs = Loops(cell, in).run();
    if (cell.op != "LSTM") outputs.pop_back();
    return outputs;
  };
}

// All inputs that the op has; a case leaves out what it does not want.
std::vector<Tensor> inputs_of(const Cell& cell) {
  const int64_t d = cell.directions(), rows = cell.gates() * cell.hidden;
  const Shape x = cell.batch_first ? Shape{cell.batch, cell.steps, cell.inputs} : Shape{cell.steps, cell.batch, cell.inputs};
  const Shape state = cell.batch_first ? Shape{cell.batch, d, cell.hidden} : Shape{d, cell.batch, cell.hidden};
  std::vector<Tensor> in = {uniform(x),
                            uniform({d, rows, cell.inputs}, -1, 1, 2),
                            uniform({d, rows, cell.hidden}, -1, 1, 3),
                            uniform({d, 2 * rows}, -1, 1, 4),
                            Tensor(),
                            uniform(state, -1, 1, 5)};
  if (cell.op == "LSTM") in.insert(in.end(), {uniform(state, -1, 1, 6), uniform({d, 3 * cell.hidden}, -1, 1, 7)});
  return in;
}

Attributes attributes_of(const Cell& cell, const Names& names = {}) {
  Attributes all = {{"hidden_size", cell.hidden}, {"direction", cell.direction}};
  if (cell.batch_first) all["layout"] = int64_t{1};
  if (cell.input_forget) all["input_forget"] = int64_t{1};
  if (cell.late_reset) all["linear_before_reset"] = int64_t{1};
  if (cell.clip > 0) all["clip"] = static_cast<float>(cell.clip);
  if (names.names.empty()) return all;
  std::vector<std::string> each;
  for (int64_t d = 0; d < cell.directions(); ++d) each.insert(each.end(), names.names.begin(), names.names.end());
  all["activations"] = each;
  all["activation_alpha"] = std::vector<float>(each.size(), static_cast<float>(names.alpha));
  all["activation_beta"] = std::vector<float>(each.size(), static_cast<float>(names.beta));
  return all;
}

void add(Cases& cases, const std::string& what, const Cell& cell, const std::vector<Tensor>& inputs, const Names& names = {},
         std::vector<int> constants = {}) {
  const bool jumps = std::ranges::find(names.names, "ThresholdedRelu") != names.names.end();
  cases.push_back({.op = cell.op,
                   .what = what,
                   .inputs = inputs,
                   .attributes = attributes_of(cell, names),
                   .outputs = cell.op == "LSTM" ? 3 : 2,
                   .constants = constants,
                   .reference = loops(cell, names),
                   .gradient = cell.clip == 0 && constants.empty() && cell.hidden < 8 && !jumps,
                   .no_gradient_for = {4}});
}

Tensor lengths(std::vector<int64_t> values) { return as(DType::kI32, i64(std::move(values))); }

void add_cell(Cases& cases, Cell cell) {
  for (const std::string direction : {"forward", "reverse", "bidirectional"}) {
    cell.direction = direction;
    std::vector<Tensor> inputs = inputs_of(cell);
    add(cases, direction, cell, inputs);
    add(cases, direction + ", few inputs", cell, {inputs[0], inputs[1], inputs[2]});
    add(cases, direction + ", packed", cell, inputs, {}, {1, 2});
    inputs[4] = lengths({2, 4, 0});
    add(cases, direction + ", lengths", cell, inputs);
    cell.batch_first = true;
    inputs = inputs_of(cell);
    inputs[4] = lengths({3, 1, 4});
    add(cases, direction + ", batch first", cell, inputs);
    cell.batch_first = false;
  }
  cell.direction = "bidirectional";
  cell.clip = 0.4;
  add(cases, "clipped", cell, inputs_of(cell));
  cell.clip = 0;
  Cell large = cell;
  large.batch = 9, large.hidden = 70, large.inputs = 40;
  std::vector<Tensor> inputs = inputs_of(large);
  for (size_t i : {1, 2}) inputs[i] = uniform(inputs[i].shape(), -0.2, 0.2, 8);
  add(cases, "large", large, inputs);
  add(cases, "large, packed", large, inputs, {}, {1, 2});
  if (cell.op != "LSTM") return;
  inputs.pop_back();
  add(cases, "large, without peepholes", large, inputs);
}

void add_functions(Cases& cases) {
  const Names all[] = {{{"Relu", "Softsign", "Affine"}, 0.5, 0.1},
                       {{"HardSigmoid", "ScaledTanh", "Elu"}, 0.3, 0.4},
                       {{"Sigmoid", "LeakyRelu", "Softplus"}, 0.2, 0},
                       {{"Softplus", "Elu", "Tanh"}, 0.7, 0},
                       {{"ThresholdedRelu", "Tanh", "Softsign"}, 0.2, 0}};
  for (Names names : all) {
    Cell cell{.op = "LSTM"};
    cell.direction = "bidirectional";
    std::vector<std::string> three = names.names;
    // Alphas and betas go to the functions that take them, in order; here all get the same.
    add(cases, three[0], cell, inputs_of(cell), names);
    cell.op = "GRU";
    names.names = {three[0], three[1]};
    add(cases, three[0], cell, inputs_of(cell), names);
    cell.op = "RNN";
    names.names = {three[1]};
    add(cases, three[1], cell, inputs_of(cell), names);
  }
}

// The gradient ops by themselves, against differences of the loops.
void add_gradients(Cases& cases) {
  for (const std::string op : {"RNN", "LSTM", "GRU"}) {
    const Cell cell{.op = op, .steps = 2, .batch = 2, .inputs = 2, .hidden = 3};
    std::vector<Tensor> inputs = inputs_of(cell);
    const Tensor dy = uniform({2, 1, 2, 3}, -1, 1, 9);
    std::vector<Tensor> grad_inputs = inputs;
    grad_inputs.resize(8);
    grad_inputs.push_back(dy);
    Attributes attributes = attributes_of(cell);
    attributes["wanted"] = std::vector<int64_t>{0, 1, 2, 3, 5};
    cases.push_back({.op = "tandem." + op + "Grad",
                     .inputs = grad_inputs,
                     .attributes = attributes,
                     .outputs = 5,
                     .reference =
                         [=](const std::vector<Tensor>& in) {
                           std::vector<Tensor> grads;
                           for (size_t i : {0, 1, 2, 3, 5}) grads.push_back(differences(loops(cell), inputs, i, in[8]));
                           return grads;
                         },
                     .rtol = 1e-4,
                     .atol = 1e-5});
  }
}

}  // namespace

void add_recurrent_cases(Cases& cases) {
  for (const std::string op : {"RNN", "LSTM", "GRU"}) add_cell(cases, {.op = op});
  add_cell(cases, {.op = "LSTM", .input_forget = true});
  add_cell(cases, {.op = "GRU", .late_reset = true});
  add_functions(cases);
  add_gradients(cases);
}

}  // namespace tandem::conformance
