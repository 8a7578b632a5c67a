// Whether the system gives a process the threads and file descriptors that a server needs, asked before anything is started: gRPC, which
// starts threads of its own, hangs without a word where it gets none.
#pragma once

#include <cstdint>

namespace tandem {

// Starts that many threads for a moment and counts the descriptors left. Fails with what to raise (kUnavailable).
void check_room_for(int64_t threads, int64_t descriptors);

}  // namespace tandem
