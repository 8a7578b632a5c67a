// What a symbolic dimension is for given sizes of its symbols: an evaluator of its text, independent of the code that wrote it.
#pragma once

#include <algorithm>
#include <functional>
#include <stdexcept>
#include <string>
#include <string_view>

namespace tandem::testing {

class DimValue {
 public:
  using SizeOf = std::function<int64_t(const std::string& symbol)>;
  DimValue(std::string_view text, SizeOf size_of) : text_(text), size_of_(std::move(size_of)) {}

  // Throws std::runtime_error for text that is no expression.
  int64_t value() {
    const int64_t result = sum();
    if (at_ != text_.size()) throw std::runtime_error("stray text in " + std::string(text_));
    return result;
  }

 private:
  bool take(std::string_view token) {
    if (!text_.substr(at_).starts_with(token)) return false;
    at_ += token.size();
    return true;
  }
  void expect(std::string_view token) {
    if (!take(token)) throw std::runtime_error("no '" + std::string(token) + "' in " + std::string(text_));
  }
  int64_t sum() {
    int64_t total = take("-") ? -product() : product();
    while (true) {
      if (take(" + "))
        total += product();
      else if (take(" - "))
        total -= product();
      else
        return total;
    }
  }
  int64_t product() {
    int64_t result = atom();
    while (take("*")) result *= atom();
    return result;
  }
  int64_t atom() {
    if (take("max(0, ")) {
      const int64_t inner = sum();
      expect(")");
      return std::max<int64_t>(0, inner);
    }
    if (take("broadcast(")) {
      const int64_t a = sum();
      expect(", ");
      const int64_t b = sum();
      expect(")");
      return a == 1 ? b : a;
    }
    if (take("floor(")) {
      const bool wrapped = take("(");
      const int64_t inner = sum();
      if (wrapped) expect(")");
      expect("/");
      const int64_t by = atom();
      expect(")");
      return inner / by - (inner % by < 0);
    }
    const size_t end = std::min(text_.find_first_of(" *),/", at_), text_.size());
    const std::string name(text_.substr(at_, end - at_));
    at_ = end;
    return std::isdigit(static_cast<unsigned char>(name.at(0))) ? std::stoll(name) : size_of_(name);
  }

  std::string_view text_;
  SizeOf size_of_;
  size_t at_ = 0;
};

}  // namespace tandem::testing
