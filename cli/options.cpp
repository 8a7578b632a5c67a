#include "cli/options.h"

#include <fmt/format.h>

#include <sstream>
#include <vector>

#include "kernels/base/error.h"
#include "runtime/graph/nearest_name.h"

namespace po = boost::program_options;

namespace tandem::cli {
namespace {

void print_help(const Usage& usage, const po::options_description& options) {
  std::ostringstream table;
  table << options;
  fmt::print("usage: {}\n\n{}\n\n{}\nexamples:\n{}\n", usage.line, usage.about, table.str(), usage.examples);
}

std::string suggestion(const po::options_description& options, std::string word) {
  word.erase(0, word.find_first_not_of('-'));
  std::vector<std::string> names;
  for (const auto& option : options.options()) names.push_back(option->long_name());
  return did_you_mean(word, std::vector<std::string_view>(names.begin(), names.end()));
}

}  // namespace

bool parse_options(int argc, char** argv, const Usage& usage, po::options_description& options, const std::string& positional,
                   po::variables_map& values) {
  options.add_options()("json", "machine-readable output: JSON, one object a line")("help,h", "this text");
  po::positional_options_description words;
  if (!positional.empty()) words.add(positional.c_str(), -1);
  try {
    namespace style = po::command_line_style;
    po::store(po::command_line_parser(argc, argv).options(options).positional(words).style(style::unix_style & ~style::allow_guessing).run(), values);
    if (values.contains("help")) {
      print_help(usage, options);
      return false;
    }
    po::notify(values);
  } catch (const po::unknown_option& error) {
    fail(ErrorCode::kInvalidArgument, fmt::format("unknown flag '{}'{}", error.get_option_name(), suggestion(options, error.get_option_name())));
  } catch (const po::too_many_positional_options_error&) {
    fail(ErrorCode::kInvalidArgument, fmt::format("too many words; usage: {}", usage.line));
  } catch (const po::error& error) {
    fail(ErrorCode::kInvalidArgument, fmt::format("{}; usage: {}", error.what(), usage.line));
  }
  return true;
}

}  // namespace tandem::cli
