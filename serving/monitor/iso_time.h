// The time of a line in a log: ISO 8601, UTC, milliseconds.
#pragma once

#include <string>

namespace tandem {

// "2026-11-21T09:30:00.123Z"
std::string iso_time_now();

}  // namespace tandem
