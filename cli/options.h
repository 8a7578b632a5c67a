// What all subcommands share of their parsing: --help with examples, unknown flags with the nearest one, missing values.
#pragma once

#include <boost/program_options.hpp>
#include <string>

namespace tandem::cli {

struct Usage {
  std::string line;      // "tandem run FILE --input x=rows.npy"
  std::string about;     // a few sentences
  std::string examples;  // commands, one a line
};

// Parses argv[1..] and adds --help and --json. Returns false if help was asked for and printed. Throws Error(InvalidArgument) for what cannot be
// parsed. `positional` is the name of the option that words without a flag go to, or "".
bool parse_options(int argc, char** argv, const Usage& usage, boost::program_options::options_description& options, const std::string& positional,
                   boost::program_options::variables_map& values);

}  // namespace tandem::cli
