#include "runtime/conformance/known_cases.h"

#include <charconv>
#include <sstream>

#include "kernels/base/error.h"

namespace tandem {
namespace {

double tolerance_of(std::string_view text, int line) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  require(error == std::errc{} && end == text.data() + text.size() && value >= 0, "a tolerance is a number from 0 (line, has)", line, text);
  return value;
}

KnownCase known_case(std::string_view verdict, int line) {
  if (verdict == "fails") return {.fails = true};
  if (verdict == "random") return {.random = true};
  if (verdict.starts_with("atol=")) return {.absolute = tolerance_of(verdict.substr(5), line)};
  if (verdict.starts_with("rtol=")) return {.relative = tolerance_of(verdict.substr(5), line)};
  fail(ErrorCode::kInvalidArgument, "a listed case is 'fails', 'random', 'atol=NUMBER' or 'rtol=NUMBER' (line, has)", {line, verdict});
}

}  // namespace

KnownCases parse_known_cases(std::string_view text) {
  KnownCases known;
  std::istringstream lines{std::string(text)};
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    std::istringstream words(line);
    std::string name, verdict, reason;
    if (!(words >> name) || name.starts_with('#')) continue;
    words >> verdict >> std::ws;
    std::getline(words, reason);
    KnownCase entry = known_case(verdict, number);
    require(!reason.empty(), "a listed case needs a reason (line, case)", number, name);
    entry.reason = reason;
    require(known.emplace(name, std::move(entry)).second, "a case is listed twice (line, case)", number, name);
  }
  return known;
}

}  // namespace tandem
