#include "cli/flag_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <sstream>

#include "kernels/base/error.h"
#include "runtime/graph/nearest_name.h"
#include "runtime/io/file.h"

namespace po = boost::program_options;

namespace tandem::cli {
namespace {

constexpr int64_t kMostBytes = 1 << 20;

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(" \t\r"), end = text.find_last_not_of(" \t\r");
  return begin == std::string::npos ? "" : text.substr(begin, end - begin + 1);
}

// Flags that were given already, and the file.
struct Given {
  std::set<std::string> names;
  std::string file;
};

Given given_by(int argc, char** argv, const po::options_description& options, const std::string& positional) {
  Given given;
  po::positional_options_description words;
  words.add(positional.c_str(), -1);
  try {
    namespace style = po::command_line_style;
    const po::parsed_options parsed =
        po::command_line_parser(argc, argv).options(options).positional(words).style(style::unix_style & ~style::allow_guessing).allow_unregistered().run();
    for (const po::option& option : parsed.options) {
      given.names.insert(option.string_key);
      if (option.string_key == "config" && !option.value.empty()) given.file = option.value.front();
    }
  } catch (const po::error&) {
  }
  return given;
}

// The word that a line stands for; "" for a switch that is off.
std::string word_of(const std::string& name, const std::string& value, bool has_value, const po::option_description& option) {
  if (option.semantic()->max_tokens() > 0) {
    require(has_value, fmt::format("flag '{}' wants a value: {} = ...", name, name));
    return fmt::format("--{}={}", name, value);
  }
  require(!has_value || value == "true" || value == "false", fmt::format("flag '{}' is true or false", name), value);
  return value == "false" ? "" : "--" + name;
}

}  // namespace

std::vector<std::string> with_flag_file(int argc, char** argv, const po::options_description& options, const std::string& positional) {
  std::vector<std::string> words(argv, argv + argc);
  const Given given = given_by(argc, argv, options, positional);
  if (given.file.empty()) return words;
  std::vector<std::string> names;
  for (const auto& option : options.options()) names.push_back(option->long_name());
  std::istringstream text(read_file(given.file, kMostBytes));
  std::string line;
  for (int number = 1; std::getline(text, line); ++number) try {
      line = trimmed(line.substr(0, line.find('#')));
      if (line.empty()) continue;
      const size_t equals = line.find('=');
      const bool has_value = equals != std::string::npos;
      const std::string name = trimmed(line.substr(0, equals)), value = has_value ? trimmed(line.substr(equals + 1)) : "";
      const po::option_description* option = options.find_nothrow(name, false);
      require(option != nullptr && name != "config",
              fmt::format("no flag is called '{}'{}", name, did_you_mean(name, std::vector<std::string_view>(names.begin(), names.end()))));
      if (given.names.contains(name)) continue;
      if (std::string word = word_of(name, value, has_value, *option); !word.empty()) words.push_back(std::move(word));
    } catch (const Error& error) {
      throw Error(error.code(), fmt::format("{}, line {}: {}", given.file, number, error.what()));
    }
  return words;
}

}  // namespace tandem::cli
