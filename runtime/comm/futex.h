// Sleeping on a 32-bit word that may lie in memory shared between processes (std::atomic::wait knows only one process and no
// timeout).
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace tandem {

// Sleeps while `word` is `expected`, until woken, for at most `timeout`, or for no reason: the caller looks again.
void futex_wait(const std::atomic<uint32_t>& word, uint32_t expected, std::chrono::nanoseconds timeout);
void futex_wake_all(const std::atomic<uint32_t>& word);

}  // namespace tandem
