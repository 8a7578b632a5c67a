// Matrix products: Gemm and MatMul, their fused and internal forms, with fed and with constant (packed) weights.
#include <cmath>

#include "runtime/ops/activation.h"
#include "tests/conformance/cases/cases.h"
#include "tests/kernels/activations.h"

namespace tandem::conformance {
namespace {

// The last two axes swapped.
Tensor transposed(const Tensor& x) {
  const int rank = x.shape().rank();
  const int64_t rows = x.shape()[rank - 2], columns = x.shape()[rank - 1];
  Shape shape = x.shape();
  shape.set(rank - 2, columns);
  shape.set(rank - 1, rows);
  const std::vector<double> from = numbers(x);
  std::vector<double> to(from.size());
  for (int64_t i = 0; i < x.elements(); ++i) {
    const int64_t matrix = i / (rows * columns), r = i / columns % rows, c = i % columns;
    to[static_cast<size_t>((matrix * columns + c) * rows + r)] = from[static_cast<size_t>(i)];
  }
  return f64(shape, to);
}

// NumPy's matmul by three loops.
Tensor matmul(Tensor a, Tensor b) {
  const bool row = a.shape().rank() == 1, column = b.shape().rank() == 1;
  if (row) a = a.reshaped({1, a.shape()[0]});
  if (column) b = b.reshaped({b.shape()[0], 1});
  const int ra = a.shape().rank(), rb = b.shape().rank();
  const int64_t m = a.shape()[ra - 2], k = a.shape()[ra - 1], n = b.shape()[rb - 1];
  const Shape lead_a(a.shape().dims().first(static_cast<size_t>(ra - 2))),
      lead_b(b.shape().dims().first(static_cast<size_t>(rb - 2)));
  // Which matrix of each operand belongs to each product: by broadcasting their numbers.
  const auto numbered = [](const Shape& lead) {
    std::vector<double> count;
    for (int64_t i = 0; i < lead.elements(); ++i) count.push_back(static_cast<double>(i));
    return f64(lead, count);
  };
  const Tensor of_a = pairs([](double x, double) { return x; })({numbered(lead_a), numbered(lead_b)})[0];
  const Tensor of_b = pairs([](double, double y) { return y; })({numbered(lead_a), numbered(lead_b)})[0];
  const std::vector<double> left = numbers(a), right = numbers(b);
  std::vector<double> y;
  for (int64_t p = 0; p < of_a.elements(); ++p) {
    const auto pa = static_cast<int64_t>(numbers(of_a)[static_cast<size_t>(p)]),
               pb = static_cast<int64_t>(numbers(of_b)[static_cast<size_t>(p)]);
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j) {
        double sum = 0;
        for (int64_t l = 0; l < k; ++l)
          sum += left[static_cast<size_t>((pa * m + i) * k + l)] * right[static_cast<size_t>((pb * k + l) * n + j)];
        y.push_back(sum);
      }
  }
  Shape shape = of_a.shape();
  if (!row) shape.push_back(m);
  if (!column) shape.push_back(n);
  return f64(shape, y);
}

bool flag(const Attributes& attributes, const std::string& name) {
  const auto found = attributes.find(name);
  return found != attributes.end() && std::get<int64_t>(found->second) != 0;
}
double factor(const Attributes& attributes, const std::string& name) {
  const auto found = attributes.find(name);
  return found == attributes.end() ? 1 : static_cast<double>(std::get<float>(found->second));
}
std::string text(const Attributes& attributes, const std::string& name) {
  const auto found = attributes.find(name);
  return found == attributes.end() ? "" : std::get<std::string>(found->second);
}

Activation activation_in(const Attributes& attributes) {
  const auto parameter = [&](const std::string& name) { return attributes.contains(name) ? std::get<float>(attributes.at(name)) : 0; };
  for (const auto& [name, function] : kFusableActivations)
    if (name == text(attributes, "activation")) return {function, {parameter("activation_alpha"), parameter("activation_beta")}};
  return {};
}

// activation(alpha * op(a) * op(b) + beta * c + residual), c broadcast.
Reference product(const Attributes& attributes) {
  return [attributes](const std::vector<Tensor>& in) {
    Tensor y =
        matmul(flag(attributes, "transA") ? transposed(in[0]) : in[0], flag(attributes, "transB") ? transposed(in[1]) : in[1]);
    const double alpha = factor(attributes, "alpha"), beta = factor(attributes, "beta");
    if (in.size() > 2 && in[2])
      y = pairs([=](double p, double c) { return alpha * p + beta * c; })({y, in[2]})[0];
    else
      y = each([=](double p) { return alpha * p; })({y})[0];
    if (in.size() > 3) y = pairs([](double p, double r) { return p + r; })({y, in[3]})[0];
    return each([activation = activation_in(attributes)](double x) { return test::activated(activation, x); })({y});
  };
}

void add(Cases& cases, const std::string& op, const std::string& what, std::vector<Tensor> inputs, Attributes attributes = {}) {
  const Case fed = {
      .op = op, .what = what, .inputs = std::move(inputs), .attributes = attributes, .reference = product(attributes)};
  Case packed = fed;
  packed.what += " packed";
  packed.constants = {1};
  packed.gradient = false;
  cases.push_back(fed);
  cases.push_back(packed);
}

void add_epilogues(Cases& cases) {
  for (const auto& [name, function] : kFusableActivations) {
    const bool is_clip = function == UnaryOp::kClip;
    const Attributes attributes = {{"transB", int64_t{1}},
                                   {"activation", std::string(name)},
                                   {"activation_alpha", is_clip ? -1.0f : 0.25f},
                                   {"activation_beta", is_clip ? 2.0f : 0.5f}};
    const std::vector<Tensor> gemm = {uniform({3, 4}), uniform({5, 4}, -2, 2, 5), uniform({5}, -2, 2, 6)},
                              matmul = {uniform({2, 3, 4}), gemm[1], gemm[2]};
    add(cases, "tandem.FusedGemm", std::string(name), gemm, attributes);
    add(cases, "tandem.FusedMatMul", std::string(name), matmul, attributes);
  }
  for (const bool bias : {false, true})
    for (const std::string activation : {"", "Tanh"}) {
      const Attributes attributes = {{"activation", activation}};
      const Tensor c = bias ? uniform({5}, -2, 2, 6) : Tensor();
      const std::string what = std::string("residual") + (bias ? " and bias " : " ") + activation;
      add(cases, "tandem.FusedGemm", what, {uniform({3, 4}), uniform({4, 5}, -2, 2, 5), c, uniform({3, 5}, -2, 2, 7)}, attributes);
      add(cases, "tandem.FusedMatMul", what, {uniform({2, 3, 4}), uniform({4, 5}, -2, 2, 5), c, uniform({2, 3, 5}, -2, 2, 7)}, attributes);
    }
  add(cases, "tandem.FusedMatMul", "residual of a batch",
      {uniform({2, 3, 4}), uniform({2, 4, 5}, -2, 2, 5), Tensor(), uniform({2, 3, 5}, -2, 2, 7)});
}

void add_gemm(Cases& cases) {
  for (int64_t ta : {0, 1})
    for (int64_t tb : {0, 1}) {
      const Shape a = ta ? Shape{4, 3} : Shape{3, 4}, b = tb ? Shape{5, 4} : Shape{4, 5};
      add(cases, "Gemm", "transposed", {uniform(a), uniform(b, -2, 2, 5)}, {{"transA", ta}, {"transB", tb}});
      add(cases, "Gemm", "scaled", {uniform(a), uniform(b, -2, 2, 5), uniform({3, 5}, -2, 2, 6)},
          {{"transA", ta}, {"transB", tb}, {"alpha", 0.5f}, {"beta", -1.5f}});
    }
  // Every way in which C broadcasts, with beta 1 and another.
  for (const Shape& c : {Shape{}, Shape{1}, Shape{5}, Shape{1, 5}, Shape{3, 1}, Shape{1, 1}, Shape{3, 5}})
    for (float beta : {1.0f, 0.25f})
      add(cases, "Gemm", "C " + to_string(c), {uniform({3, 4}), uniform({4, 5}, -2, 2, 5), uniform(c, -2, 2, 6)},
          {{"beta", beta}});
  add(cases, "Gemm", "one row", {uniform({1, 30}), uniform({30, 2}, -2, 2, 5), uniform({2}, -2, 2, 6)});
  Case large = {.op = "Gemm",
                .what = "large",
                .inputs = {uniform({129, 300}, -1, 1), uniform({300, 67}, -1, 1, 5), uniform({67}, -1, 1, 6)},
                .reference = product({}),
                .atol = 1e-4,
                .gradient = false};
  cases.push_back(large);
  add_epilogues(cases);
}

void add_matmul(Cases& cases) {
  const std::pair<Shape, Shape> shapes[] = {
      {{3, 4}, {4, 5}},
      {{4}, {4}},
      {{4}, {4, 5}},
      {{3, 4}, {4}},
      {{2, 3, 4}, {4, 5}},
      {{2, 3, 4}, {2, 4, 5}},
      {{2, 1, 3, 4}, {3, 4, 2}},
      {{3, 4}, {2, 4, 5}},
      {{2, 3, 4}, {4}},
      {{4}, {2, 4, 3}},
      {{1, 1}, {1, 1}},
  };
  for (const auto& [a, b] : shapes) add(cases, "MatMul", to_string(a) + to_string(b), {uniform(a), uniform(b, -2, 2, 5)});
  cases.push_back({.op = "MatMul",
                   .what = "nothing to sum",
                   .inputs = {uniform({3, 0}), uniform({0, 2})},
                   .reference = product({}),
                   .gradient = false});
  for (int64_t ta : {0, 1})
    for (int64_t tb : {0, 1}) {
      const Attributes attributes = {{"transA", ta}, {"transB", tb}};
      add(cases, "tandem.MatMul", "transposed",
          {uniform(ta ? Shape{2, 4, 3} : Shape{2, 3, 4}), uniform(tb ? Shape{5, 4} : Shape{4, 5}, -2, 2, 5)}, attributes);
      add(cases, "tandem.MatMul", "transposed batch",
          {uniform(ta ? Shape{2, 4, 3} : Shape{2, 3, 4}), uniform(tb ? Shape{2, 5, 4} : Shape{2, 4, 5}, -2, 2, 5)}, attributes);
    }
}

// How the activation passes a gradient on, from what it saved.
double slope(const std::string& name, double saved) {
  const double c = std::sqrt(2 / M_PI), t = std::tanh(c * (saved + 0.044715 * saved * saved * saved));
  if (name == "Relu") return saved > 0;
  if (name == "Sigmoid") return saved * (1 - saved);
  if (name == "Tanh") return 1 - saved * saved;
  if (name == "Gelu")
    return 0.5 * std::erfc(-saved / std::sqrt(2.0)) + saved * std::exp(-0.5 * saved * saved) / std::sqrt(2 * M_PI);
  if (name == "GeluTanh") return 0.5 * (1 + t) + 0.5 * saved * (1 - t * t) * c * (1 + 3 * 0.044715 * saved * saved);
  return 1;
}

// The columns' sums of a matrix.
Tensor summed(const Tensor& matrix) {
  const int64_t rows = matrix.shape()[0], columns = matrix.shape()[1];
  const std::vector<double> from = numbers(matrix);
  std::vector<double> sums(static_cast<size_t>(columns));
  for (int64_t i = 0; i < rows * columns; ++i) sums[static_cast<size_t>(i % columns)] += from[static_cast<size_t>(i)];
  return f64({columns}, sums);
}

void add_gemm_grad(Cases& cases, const std::string& what, std::vector<Tensor> inputs, Attributes attributes) {
  const std::string sums = text(attributes, "sums");
  const Reference reference = [attributes, sums](const std::vector<Tensor>& in) {
    Attributes plain = attributes;
    plain.erase("slope");
    std::vector<Tensor> out = product(plain)({in[0], in[1]});
    if (in.size() > 2)
      out =
          pairs([name = text(attributes, "slope")](double dy, double saved) { return dy * slope(name, saved); })({out[0], in[2]});
    if (sums == "A") out.push_back(summed(flag(attributes, "transA") ? in[0] : transposed(in[0])));
    if (sums == "B") out.push_back(summed(flag(attributes, "transB") ? transposed(in[1]) : in[1]));
    return out;
  };
  cases.push_back({.op = "tandem.GemmGrad",
                   .what = what,
                   .inputs = std::move(inputs),
                   .attributes = attributes,
                   .outputs = sums.empty() ? 1 : 2,
                   .reference = reference,
                   .atol = 1e-4,
                   .gradient = false});
}

void add_gemm_grads(Cases& cases) {
  for (int64_t ta : {0, 1})
    for (int64_t tb : {0, 1}) {
      const std::vector<Tensor> operands = {uniform(ta ? Shape{4, 3} : Shape{3, 4}),
                                            uniform(tb ? Shape{5, 4} : Shape{4, 5}, -2, 2, 5)};
      std::vector<Tensor> with_saved = operands;
      with_saved.push_back(uniform({3, 5}, -2, 2, 6));
      const Attributes form = {{"transA", ta}, {"transB", tb}, {"alpha", 0.5f}};
      add_gemm_grad(cases, "plain", operands, form);
      for (const std::string name : {"Relu", "Sigmoid", "Tanh", "Gelu", "GeluTanh"}) {
        Attributes attributes = form;
        attributes["slope"] = name;
        add_gemm_grad(cases, name, with_saved, attributes);
      }
      for (const std::string sums : {"A", "B"}) {
        Attributes attributes = form;
        attributes["sums"] = sums;
        add_gemm_grad(cases, "sums " + sums, operands, attributes);
        attributes["slope"] = std::string("Relu");
        add_gemm_grad(cases, "Relu, sums " + sums, with_saved, attributes);
      }
    }
  add_gemm_grad(cases, "leading axes", {uniform({2, 3, 4}), uniform({4, 5}, -2, 2, 5), uniform({2, 3, 5}, -2, 2, 6)},
                {{"slope", std::string("Gelu")}});
  add_gemm_grad(cases, "large", {uniform({300, 70}, -1, 1), uniform({300, 129}, -1, 1, 5)},
                {{"transA", int64_t{1}}, {"sums", std::string("A")}});
  add_gemm_grad(cases, "nothing to sum", {uniform({0, 3}), uniform({0, 2})},
                {{"transA", int64_t{1}}, {"sums", std::string("B")}});
}

// By Laplace's expansion along the first row.
double laplace(const std::vector<double>& m, size_t n) {
  if (n == 0) return 1;
  double total = 0;
  for (size_t k = 0; k < n; ++k) {
    std::vector<double> minor;
    for (size_t r = 1; r < n; ++r)
      for (size_t c = 0; c < n; ++c)
        if (c != k) minor.push_back(m[r * n + c]);
    total += (k % 2 ? -1 : 1) * m[k] * laplace(minor, n - 1);
  }
  return total;
}

void add_determinants(Cases& cases) {
  const auto determinants = [](const std::vector<Tensor>& in) {
    const Shape& shape = in[0].shape();
    const int64_t n = shape[shape.rank() - 1], count = shape.product(0, shape.rank() - 2);
    const std::vector<double> x = numbers(in[0]);
    std::vector<double> y;
    for (int64_t i = 0; i < count; ++i)
      y.push_back(laplace({x.begin() + i * n * n, x.begin() + (i + 1) * n * n}, static_cast<size_t>(n)));
    Shape out;
    for (int a = 0; a + 2 < shape.rank(); ++a) out.push_back(shape[a]);
    return std::vector{f64(out, y)};
  };
  for (const Shape& shape : {Shape{3, 3}, Shape{2, 3, 5, 5}, Shape{4, 1, 1}, Shape{3000, 4, 4}, Shape{0, 2, 2}, Shape{2, 0, 0}})
    cases.push_back({.op = "Det",
                     .what = to_string(shape),
                     .inputs = {uniform(shape)},
                     .reference = determinants,
                     .gradient = shape.elements() < 1000});
  cases.push_back({.op = "Det",
                   .what = "singular",
                   .inputs = {f32({3, 3}, {0, 2, 3, 0, 5, 6, 0, 8, 9})},
                   .reference = determinants,
                   .gradient = false});
}

// By Cramer's rule.
void add_inverses(Cases& cases) {
  const auto inverses = [](const std::vector<Tensor>& in) {
    const Shape& shape = in[0].shape();
    const auto n = static_cast<size_t>(shape[shape.rank() - 1]), size = n * n;
    const std::vector<double> x = numbers(in[0]);
    std::vector<double> y;
    for (size_t at = 0; at < x.size(); ++at) {
      const std::vector<double> m(x.begin() + static_cast<ptrdiff_t>(at - at % size),
                                  x.begin() + static_cast<ptrdiff_t>(at - at % size + size));
      const size_t row = at % size / n, column = at % size % n;
      std::vector<double> minor;
      for (size_t r = 0; r < n; ++r)
        for (size_t c = 0; c < n; ++c)
          if (r != column && c != row) minor.push_back(m[r * n + c]);
      y.push_back(((row + column) % 2 ? -1 : 1) * laplace(minor, n - 1) / laplace(m, n));
    }
    return std::vector{f64(shape, y)};
  };
  for (const Shape& shape : {Shape{4, 4}, Shape{2, 3, 2, 2}, Shape{2, 1, 1}, Shape{0, 3, 3}, Shape{2, 0, 0}, Shape{2000, 3, 3}}) {
    Tensor x = uniform(shape);
    const auto n = static_cast<size_t>(shape[shape.rank() - 1]);
    for (size_t i = 0; i < static_cast<size_t>(x.elements()); ++i)  // far from singular
      if (i % (n * n) % (n + 1) == 0) x.as<float>()[i] += 9;
    cases.push_back({.op = "com.microsoft.Inverse",
                     .what = to_string(shape),
                     .inputs = {x},
                     .reference = inverses,
                     .gradient = shape.elements() < 1000,
                     .round_trip = false});
  }
  Tensor pivots = f32({2, 2}, {0, 1, 2, 0});
  cases.push_back(
      {.op = "com.microsoft.Inverse", .what = "rows exchanged", .inputs = {pivots}, .reference = inverses, .round_trip = false});
}

void add_integers(Cases& cases) {
  for (const DType dtype : {DType::kI32, DType::kI64}) {
    const auto integers = [&](const Shape& shape, uint64_t seed) { return as(dtype, uniform(shape, -50, 50, seed)); };
    const auto add_one = [&](const std::string& op, std::vector<Tensor> inputs, const Attributes& attributes) {
      cases.push_back({.op = op,
                       .what = std::string(name(dtype)),
                       .inputs = std::move(inputs),
                       .attributes = attributes,
                       .reference = product(attributes)});
    };
    add_one("MatMul", {integers({2, 1, 3, 4}, 1), integers({3, 4, 2}, 2)}, {});
    add_one("MatMul", {integers({4}, 1), integers({4, 50}, 2)}, {});
    add_one("MatMul", {integers({70, 40}, 1), integers({40, 33}, 2)}, {});
    for (int64_t transposed : {0, 1})
      add_one("Gemm",
              {integers(transposed ? Shape{4, 3} : Shape{3, 4}, 1), integers(transposed ? Shape{5, 4} : Shape{4, 5}, 2),
               integers({3, 1}, 3)},
              {{"transA", transposed}, {"transB", transposed}, {"beta", 2.0f}});
    add_one("Gemm", {integers({3, 4}, 1), integers({4, 5}, 2), integers({5}, 3)}, {{"alpha", 3.0f}});
  }
}

}  // namespace

void add_linear_cases(Cases& cases) {
  add_integers(cases);
  add_gemm(cases);
  add_matmul(cases);
  add_gemm_grads(cases);
  add_determinants(cases);
  add_inverses(cases);
}

}  // namespace tandem::conformance
