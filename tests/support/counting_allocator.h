// Replaces the program's operator new by one that counts, so that a test can show that a steady-state run allocates nothing.
#pragma once

#include <cstdint>

namespace tandem::testing {

// Calls of operator new so far, in all threads.
int64_t allocations();

}  // namespace tandem::testing
