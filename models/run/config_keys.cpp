#include "models/run/config_keys.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "kernels/base/error.h"
#include "runtime/graph/nearest_name.h"

namespace tandem {
namespace {

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  if (trimmed(text).empty()) return parts;
  for (size_t start = 0; start <= text.size();) {
    const size_t end = std::min(text.find(',', start), text.size());
    parts.push_back(trimmed(text.substr(start, end - start)));
    start = end + 1;
  }
  return parts;
}

template <class T>
T parse(std::string_view text, const std::string& key, std::string_view kind, T least, T most) {
  text = trimmed(text);
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size())
    fail(ErrorCode::kInvalidArgument, fmt::format("{} takes {}, not '{}'", key, kind, text));
  if (!(value >= least && value <= most))
    fail(ErrorCode::kInvalidArgument, fmt::format("{} must lie in [{}, {}], not {}", key, least, most, text));
  return value;
}

}  // namespace

ConfigKey text_key(std::string name, std::string help, std::string& value) {
  return {std::move(name), std::move(help), [&value](std::string_view text) { value = trimmed(text); },
          [&value] { return value; }};
}

ConfigKey choice_key(std::string name, std::string help, std::string& value, std::vector<std::string> choices) {
  auto set = [&value, name, choices](std::string_view text) {
    text = trimmed(text);
    if (std::ranges::find(choices, text) == choices.end())
      fail(ErrorCode::kInvalidArgument, fmt::format("{} takes one of {}, not '{}'", name, fmt::join(choices, ", "), text));
    value = text;
  };
  return {name, std::move(help), std::move(set), [&value] { return value; }};
}

ConfigKey list_key(std::string name, std::string help, std::vector<std::string>& value) {
  return {std::move(name), std::move(help),
          [&value](std::string_view text) {
            const auto parts = split(text);
            value.assign(parts.begin(), parts.end());
          },
          [&value] { return fmt::format("{}", fmt::join(value, ",")); }};
}

ConfigKey integer_key(std::string name, std::string help, int64_t& value, int64_t least, int64_t most) {
  return {name, std::move(help),
          [&value, name, least, most](std::string_view text) { value = parse(text, name, "a whole number", least, most); },
          [&value] { return std::to_string(value); }};
}

ConfigKey integers_key(std::string name, std::string help, std::vector<int64_t>& value, int64_t least) {
  auto set = [&value, name, least](std::string_view text) {
    std::vector<int64_t> parsed;
    for (std::string_view part : split(text)) parsed.push_back(parse(part, name, "whole numbers", least, INT64_MAX));
    value = std::move(parsed);
  };
  return {name, std::move(help), std::move(set), [&value] { return fmt::format("{}", fmt::join(value, ",")); }};
}

ConfigKey float_key(std::string name, std::string help, float& value, float least, float most) {
  return {name, std::move(help),
          [&value, name, least, most](std::string_view text) { value = parse(text, name, "a number", least, most); },
          [&value] { return fmt::format("{}", value); }};
}

ConfigKey flag_key(std::string name, std::string help, bool& value) {
  auto set = [&value, name](std::string_view text) {
    text = trimmed(text);
    if (text != "true" && text != "false")
      fail(ErrorCode::kInvalidArgument, fmt::format("{} takes true or false, not '{}'", name, text));
    value = text == "true";
  };
  return {name, std::move(help), std::move(set), [&value] { return std::string(value ? "true" : "false"); }};
}

void set_key(const std::vector<ConfigKey>& keys, std::string_view name, std::string_view value) {
  const auto found = std::ranges::find(keys, name, &ConfigKey::name);
  if (found != keys.end()) return found->set(value);
  std::vector<std::string_view> known;
  for (const ConfigKey& key : keys) known.push_back(key.name);
  fail(ErrorCode::kInvalidArgument, fmt::format("unknown configuration key '{}'{}", name, did_you_mean(name, known)));
}

void read_config(const std::vector<ConfigKey>& keys, std::string_view text, std::string_view source) {
  std::string section;
  int64_t line_number = 0;
  for (size_t start = 0; start < text.size();) {
    const size_t end = std::min(text.find('\n', start), text.size());
    std::string_view line = trimmed(text.substr(start, end - start));
    start = end + 1;
    ++line_number;
    if (line.empty() || line.front() == '#' || line.front() == ';') continue;
    const auto where = fmt::format("{}:{}", source, line_number);
    if (line.front() == '[') {
      require(line.back() == ']' && line.size() > 2, where + ": a section is written [name]", line);
      section = trimmed(line.substr(1, line.size() - 2));
      continue;
    }
    const size_t equals = line.find('=');
    require(equals != std::string_view::npos, where + ": expected 'key = value' or '[section]'", line);
    const std::string_view key = trimmed(line.substr(0, equals));
    try {
      set_key(keys, section.empty() ? std::string(key) : fmt::format("{}.{}", section, key), trimmed(line.substr(equals + 1)));
    } catch (const Error& error) {
      throw Error(error.code(), where + ": " + error.what());
    }
  }
}

std::string write_config(const std::vector<ConfigKey>& keys) {
  std::string text, section;
  for (const ConfigKey& key : keys) {
    const size_t dot = key.name.find('.');
    if (const std::string its_section = key.name.substr(0, dot); its_section != section) {
      section = its_section;
      text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", section);
    }
    text += fmt::format("{} = {}\n", key.name.substr(dot + 1), key.get());
  }
  return text;
}

}  // namespace tandem
