// Why a program died of SIGSEGV, where the emulator knows: one line before the signal takes its course. With sanitizers they report.
#include <csignal>
#include <cstdio>
#include <cstring>
#include <memory>
#include <unistd.h>

#include "block.h"
#include "machine.h"

namespace tandem::emulator {

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)

void watch_faults() {}

#else

namespace {

// Reads without the lock: the program is ending, and the thread that holds it may be the one that died.
bool describe_memory(const void* address, char* text, size_t bytes) {
  const auto at = reinterpret_cast<uintptr_t>(address);
  const Machine& m = machine();
  for (const auto& [begin, one] : m.memory) {
    const auto pages = reinterpret_cast<uintptr_t>(one.pages);
    if (one.pinned || at < pages || at >= pages + one.mapped) continue;
    std::snprintf(text, bytes, "%s touched byte %td of %zu bytes of device memory", m.open ? "a kernel" : "host code",
                  static_cast<ptrdiff_t>(at - begin), one.bytes);
    return true;
  }
  return false;
}

void report(int, siginfo_t* info, void*) {
  char text[300] = "cuda emulator: ";
  const size_t begin = std::strlen(text), room = sizeof text - begin - 1;
  if (!describe_overflow(info->si_addr, text + begin, room) && !describe_memory(info->si_addr, text + begin, room)) return;
  std::strcat(text, "\n");
  static_cast<void>(!write(STDERR_FILENO, text, std::strlen(text)));
}  // back to the same instruction, now without a handler

// A thread that has used up its stack needs another one to say so.
struct SignalStack {
  std::unique_ptr<char[]> memory{new char[64 * 1024]};
  SignalStack() {
    const stack_t stack{.ss_sp = memory.get(), .ss_flags = 0, .ss_size = 64 * 1024};
    sigaltstack(&stack, nullptr);
  }
  ~SignalStack() {
    const stack_t none{.ss_sp = nullptr, .ss_flags = SS_DISABLE, .ss_size = 0};
    sigaltstack(&none, nullptr);
  }
};

bool install() {
  struct sigaction action {};
  action.sa_sigaction = report;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK | static_cast<int>(SA_RESETHAND);
  return sigaction(SIGSEGV, &action, nullptr) == 0;
}

}  // namespace

void watch_faults() {
  static thread_local const SignalStack stack;
  static const bool installed = install();
  static_cast<void>(stack);
  static_cast<void>(installed);
}

#endif

}  // namespace tandem::emulator
