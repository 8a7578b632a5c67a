// The bounds of what clients may send: a flag each, and the table of `tandem serve --limits`.
#pragma once

#include <boost/program_options.hpp>

#include "runtime/graph/limits.h"

namespace tandem::cli {

// One flag a bound, with the value it has now as the default.
void add_limit_flags(boost::program_options::options_description& options, Limits& limits);
// Throws InvalidArgument naming the flag for a bound that makes no sense.
void check_limits(const Limits& limits);
// Bounds that are no Limits.
struct SizeLimits {
  int64_t batch = 0, dimension = 0;
};
// Names, values and flags.
void print_limits(const Limits& limits, const SizeLimits& sizes, bool json);

}  // namespace tandem::cli
