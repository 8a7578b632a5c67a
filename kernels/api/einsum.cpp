#include "kernels/api/einsum.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>

namespace tandem {
namespace {

constexpr std::string_view kEllipsis = "...";

// One term in letters: those before and after the ellipsis, if there is one.
struct Written {
  std::string before, after;
  bool ellipsis = false;
  int letters() const { return static_cast<int>(before.size() + after.size()); }
};

Written read_term(const std::string& text) {
  Written term;
  const size_t dots = text.find(kEllipsis);
  term.ellipsis = dots != std::string::npos;
  term.before = text.substr(0, dots);
  if (term.ellipsis) term.after = text.substr(dots + kEllipsis.size());
  for (const std::string* part : {&term.before, &term.after})
    for (const char c : *part)
      require(std::isalpha(static_cast<unsigned char>(c)) != 0, "a term of an equation has letters and one ellipsis", text);
  return term;
}

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts(1);
  for (const char c : text)
    if (c == separator)
      parts.emplace_back();
    else
      parts.back() += c;
  return parts;
}

// Numbers letters, and the axes of ellipses, in the order in which they are first seen.
class Numbering {
 public:
  explicit Numbering(int ellipsis_rank) : ellipsis_(static_cast<size_t>(ellipsis_rank), -1) { letters_.fill(-1); }

  EinsumTerm term(const Written& written, int ellipsis_rank) {
    EinsumTerm term;
    for (const char c : written.before) term.push_back(letter(c));
    for (int i = ellipsis_rank; i > 0; --i) term.push_back(number(ellipsis_[ellipsis_.size() - static_cast<size_t>(i)]));
    for (const char c : written.after) term.push_back(letter(c));
    return term;
  }
  bool knows(char c) const { return letters_[static_cast<unsigned char>(c)] >= 0; }
  int letter(char c) { return number(letters_[static_cast<unsigned char>(c)]); }
  int count() const { return count_; }

 private:
  int number(int& slot) {
    if (slot < 0) slot = count_++;
    return slot;
  }
  std::array<int, 256> letters_{};
  std::vector<int> ellipsis_;
  int count_ = 0;
};

// Without "->": the ellipsis, then the letters that appear once, in ASCII order.
Written implicit_output(const std::vector<Written>& inputs) {
  std::array<int, 128> seen{};
  Written output;
  for (const Written& term : inputs) {
    for (const char c : term.before + term.after) ++seen[static_cast<size_t>(c)];
    output.ellipsis |= term.ellipsis;
  }
  for (size_t c = 0; c < seen.size(); ++c)
    if (seen[c] == 1) output.after += static_cast<char>(c);
  return output;
}

}  // namespace

EinsumEquation parse_einsum(std::string_view equation, std::span<const int> ranks) {
  std::string text(equation);
  std::erase(text, ' ');
  const size_t arrow = text.find("->");
  std::vector<Written> inputs;
  for (const std::string& term : split(text.substr(0, arrow), ',')) inputs.push_back(read_term(term));
  require(inputs.size() == ranks.size(),
          "the equation has another number of terms than there are inputs (equation, terms, inputs)", std::string(equation),
          inputs.size(), ranks.size());
  const Written output = arrow == std::string::npos ? implicit_output(inputs) : read_term(text.substr(arrow + 2));
  std::vector<int> hidden;  // axes of each ellipsis
  int widest = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    hidden.push_back(ranks[i] - inputs[i].letters());
    require(inputs[i].ellipsis ? hidden[i] >= 0 : hidden[i] == 0,
            "a term does not fit the rank of its input (equation, input, rank)", std::string(equation), i, ranks[i]);
    widest = std::max(widest, hidden[i]);
  }
  Numbering numbers(widest);
  EinsumEquation result;
  for (size_t i = 0; i < inputs.size(); ++i) result.inputs.push_back(numbers.term(inputs[i], hidden[i]));
  for (const char c : output.before + output.after)
    require(numbers.knows(c), "the output has an index that no input has (equation, index)", std::string(equation),
            std::string(1, c));
  result.output = numbers.term(output, output.ellipsis ? widest : 0);
  result.indices = numbers.count();
  EinsumTerm sorted = result.output;
  std::ranges::sort(sorted);
  require(std::ranges::adjacent_find(sorted) == sorted.end(), "the output repeats an index", std::string(equation));
  require(result.indices <= EinsumEquation::kMostIndices && sorted.size() <= Shape::kMaxRank, "the equation has too many indices",
          std::string(equation));
  return result;
}

std::string to_string(const EinsumEquation& equation) {
  const auto written = [](const EinsumTerm& term) {
    std::string text;
    for (const int index : term) text += static_cast<char>(index < 26 ? 'a' + index : 'A' + index - 26);
    return text;
  };
  std::string text;
  for (const EinsumTerm& term : equation.inputs) text += (&term == equation.inputs.data() ? "" : ",") + written(term);
  return text + "->" + written(equation.output);
}

EinsumSizes einsum_sizes(const EinsumEquation& equation, std::span<const ConstTensorView> inputs) {
  EinsumSizes sizes;
  sizes.fill(1);
  for (size_t i = 0; i < inputs.size(); ++i)
    for (size_t a = 0; a < equation.inputs[i].size(); ++a) {
      const int64_t size = inputs[i].shape[static_cast<int>(a)];
      int64_t& known = sizes[static_cast<size_t>(equation.inputs[i][a])];
      require(size == 1 || known == 1 || size == known, "an index has two sizes (equation, input, axis, size, size elsewhere)",
              to_string(equation), i, a, size, known);
      if (size != 1) known = size;
    }
  return sizes;
}

}  // namespace tandem
