#include "cli/signals.h"

#include <unistd.h>

#include <csignal>

#include "cli/command.h"

namespace tandem::cli {
namespace {

std::atomic<bool> stop{false};  // the one thing a signal handler may write

void on_signal(int) {
  if (stop.exchange(true)) _exit(kInterrupted);
}

}  // namespace

const std::atomic<bool>& stop_flag() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);  // a write past the file size limit then fails as one on a full disk does
  return stop;
}

}  // namespace tandem::cli
