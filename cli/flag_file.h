// Flags from a file, one a line as `name = value` (a switch also by its name alone), '#' before comments: what a service is run with.
#pragma once

#include <boost/program_options.hpp>
#include <string>
#include <vector>

namespace tandem::cli {

// The words of the command line, argv[0] included, with the flags of the file that `--config FILE` names behind them. A flag of the command line
// goes before that of the file. Words that cannot be parsed are left as they are: whoever parses them says so. Throws InvalidArgument naming file and line
// for a line that is no flag of `options`, NotFound or Unavailable for a file that cannot be read.
std::vector<std::string> with_flag_file(int argc, char** argv, const boost::program_options::options_description& options, const std::string& positional);

}  // namespace tandem::cli
