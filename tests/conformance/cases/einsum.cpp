// Einsum against a sum over every value of every index.
#include <map>

#include "tests/conformance/cases/cases.h"

namespace tandem::conformance {
namespace {

// Terms in letters, ellipses already written out; sizes of 1 stretch.
Reference sum_over_all(std::vector<std::string> terms, std::string output) {
  return [=](const std::vector<Tensor>& in) {
    std::map<char, int64_t> sizes;
    for (size_t t = 0; t < terms.size(); ++t)
      for (size_t a = 0; a < terms[t].size(); ++a) {
        int64_t& size = sizes.try_emplace(terms[t][a], 1).first->second;
        size = std::max(size, in[t].shape()[static_cast<int>(a)]);
        if (in[t].shape()[static_cast<int>(a)] == 0) size = 0;
      }
    int64_t all = 1;
    for (const auto& [letter, size] : sizes) all *= size;
    std::vector<int64_t> dims;
    for (const char c : output) dims.push_back(sizes[c]);
    const Shape shape{std::span<const int64_t>(dims)};
    std::vector<double> y(static_cast<size_t>(shape.elements()));
    std::vector<std::vector<double>> values;
    for (const Tensor& one : in) values.push_back(numbers(one));
    for (int64_t i = 0; i < all; ++i) {
      std::map<char, int64_t> at;
      int64_t left = i;
      for (const auto& [letter, size] : sizes) at[letter] = left % size, left /= size;
      double product = 1;
      for (size_t t = 0; t < terms.size(); ++t) {
        int64_t offset = 0;
        for (size_t a = 0; a < terms[t].size(); ++a) {
          const int64_t size = in[t].shape()[static_cast<int>(a)];
          offset = offset * size + (size == 1 ? 0 : at[terms[t][a]]);
        }
        product *= values[t][static_cast<size_t>(offset)];
      }
      int64_t to = 0;
      for (const char c : output) to = to * sizes[c] + at[c];
      y[static_cast<size_t>(to)] += product;
    }
    return std::vector{f64(shape, y)};
  };
}

}  // namespace

void add_einsum_cases(Cases& cases) {
  // The equation as it is written, and with its ellipses in letters.
  const auto add = [&](const std::string& equation, std::vector<Tensor> inputs, std::vector<std::string> terms,
                       const std::string& output) {
    int64_t elements = 0;
    for (const Tensor& one : inputs) elements += one.elements();
    cases.push_back({.op = "Einsum",
                     .what = equation,
                     .inputs = std::move(inputs),
                     .attributes = {{"equation", equation}},
                     .reference = sum_over_all(std::move(terms), output),
                     .atol = 1e-5,
                     .gradient = elements < 300});
  };
  const Tensor a = uniform({3, 4}), b = uniform({4, 5}, -2, 2, 2), square = uniform({4, 4}, -2, 2, 3);
  const Tensor c = uniform({2, 3, 4}, -2, 2, 4), d = uniform({2, 4, 5}, -2, 2, 5);
  add("ij->ji", {a}, {"ij"}, "ji");
  add("ij->i", {a}, {"ij"}, "i");
  add("ij", {a}, {"ij"}, "ij");
  add("ba", {a}, {"ba"}, "ab");
  add("ij->", {a}, {"ij"}, "");
  add("ii->i", {square}, {"ii"}, "i");
  add("ii", {square}, {"ii"}, "");
  add("ij,jk->ik", {a, b}, {"ij", "jk"}, "ik");
  add("ij,jk", {a, b}, {"ij", "jk"}, "ik");
  add("ij,jk->ki", {a, b}, {"ij", "jk"}, "ki");
  add("ij,kj->ik", {a, uniform({5, 4}, -2, 2, 6)}, {"ij", "kj"}, "ik");
  add("i,j->ij", {uniform({3}), uniform({5}, -2, 2, 7)}, {"i", "j"}, "ij");
  add("i,i", {uniform({5}), uniform({5}, -2, 2, 7)}, {"i", "i"}, "");
  add("bij, bjk -> bik", {c, d}, {"bij", "bjk"}, "bik");
  add("...ij,...jk->...ik", {c, d}, {"bij", "bjk"}, "bik");
  add("...ij,jk->...ik", {c, b}, {"bij", "jk"}, "bik");
  add("...ii->...i", {uniform({3, 4, 4})}, {"bii"}, "bi");
  add("i...->...", {c}, {"iab"}, "ab");
  add("bhqd,bhkd->bhqk", {uniform({2, 3, 4, 2}), uniform({2, 3, 5, 2}, -2, 2, 8)}, {"bhqd", "bhkd"}, "bhqk");
  add("bhqk,bkhd->bqhd", {uniform({2, 3, 4, 5}), uniform({2, 5, 3, 2}, -2, 2, 8)}, {"bhqk", "bkhd"}, "bqhd");
  add("ij,jk,kl->il", {a, b, uniform({5, 2}, -2, 2, 9)}, {"ij", "jk", "kl"}, "il");
  add("ijk,ab->kb", {c, a}, {"ijk", "ab"}, "kb");
  add("ij,ij,ij->ij", {a, uniform({3, 4}, -2, 2, 6), uniform({3, 4}, -2, 2, 7)}, {"ij", "ij", "ij"}, "ij");
  add("iij,jk->ik", {uniform({3, 3, 4}), b}, {"iij", "jk"}, "ik");
  add("ij,jk->ik", {uniform({3, 1}), b}, {"ij", "jk"}, "ik");
  add("...i,...i->...", {uniform({2, 1, 4}), uniform({1, 3, 4}, -2, 2, 3)}, {"abi", "abi"}, "ab");
  add(",i->i", {uniform({}), uniform({5})}, {"", "i"}, "i");
  add("Ab,bA", {a, uniform({4, 3}, -2, 2, 6)}, {"Ab", "bA"}, "");
  add("ij,jk->ik", {uniform({3, 0}), uniform({0, 2})}, {"ij", "jk"}, "ik");
  add("bnij,bnjk->bnik", {uniform({2, 4, 40, 30}, -1, 1), uniform({2, 4, 30, 50}, -1, 1, 2)}, {"bnij", "bnjk"}, "bnik");
  for (const DType dtype : {DType::kI32, DType::kI64}) {
    const Tensor left = as(dtype, uniform({3, 4}, -9, 9)), right = as(dtype, uniform({4, 5}, -9, 9, 2));
    add("ij,jk->ki", {left, right}, {"ij", "jk"}, "ki");
  }
}

}  // namespace tandem::conformance
