// Ctrl-C and SIGTERM as a flag; a second one ends the process at once.
#pragma once

#include <atomic>

namespace tandem::cli {

// Installs the handlers (and ignores SIGPIPE and SIGXFSZ) at the first call. The flag becomes true at the first signal.
const std::atomic<bool>& stop_flag();

}  // namespace tandem::cli
