// Regions of elementwise nodes: outputs in the middle, broadcast operands, a last node that may not write over what it reads.
#include <cmath>

#include "runtime/ops/all_ops.h"
#include "tests/conformance/cases/cases.h"

namespace tandem::conformance {
namespace {

// product = x * row, size = |product|, y = Sum(size, column, x); returns y and the product.
Subgraph body_for(const Shape& x, const Shape& row, const Shape& column) {
  auto body = std::make_shared<Graph>();
  const ValueId a = body->add_input("x", DType::kF32, to_dims(x)), b = body->add_input("row", DType::kF32, to_dims(row)),
                c = body->add_input("column", DType::kF32, to_dims(column));
  const ValueId product = body->add_node(newest_op("Mul"), {a, b}, 1)[0], size = body->add_node(newest_op("Abs"), {product}, 1)[0];
  body->outputs = {body->add_node(newest_op("Sum"), {size, c, a}, 1)[0], product};
  return body;
}

std::vector<Tensor> reference(const std::vector<Tensor>& inputs) {
  const Shape& shape = inputs[0].shape();
  const int64_t rows = shape[1], columns = shape[2];
  std::vector<double> sums, products;
  for (int64_t i = 0; i < shape.elements(); ++i) {
    const auto at = [&](int input, int64_t element) { return static_cast<double>(inputs[static_cast<size_t>(input)].as<float>()[static_cast<size_t>(element)]); };
    const double product = at(0, i) * at(1, i % columns);
    products.push_back(product);
    sums.push_back(std::abs(product) + at(2, i / columns % rows) + at(0, i));
  }
  return {f64(shape, sums), f64(shape, products)};
}

}  // namespace

void add_region_cases(Cases& cases) {
  for (const Shape& x : {Shape{6, 70, 90}, Shape{2, 3, 5}, Shape{1, 2, 9001}, Shape{3, 0, 4}, Shape{1, 1, 1}}) {
    const Shape row = {x[2]}, column = {x[1], 1};
    cases.push_back({.op = "tandem.Region",
                     .what = to_string(x),
                     .inputs = {uniform(x), uniform(row, -2, 2, 5), uniform(column, -2, 2, 6)},
                     .attributes = {{"body", body_for(x, row, column)}},
                     .outputs = 2,
                     .reference = reference});
  }
}

}  // namespace tandem::conformance
