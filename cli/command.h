// A subcommand: parsing, calls into the libraries, printing; nothing else. main.cpp has the table of all of them.
#pragma once

#include <string_view>

#include "kernels/base/error.h"

namespace tandem::cli {

// Exit codes of every subcommand; also printed by `tandem --help`.
enum ExitCode : int {
  kOk = 0,
  kInternalError = 1,  // a defect of Tandem
  kUsage = 2,          // wrong flags, config, data, model or checkpoint: mend the input
  kResources = 3,      // memory or a stated limit
  kEnvironment = 4,    // a file, port or device could not be used
  kRankFailed = 5,     // a rank died or missed its deadline; `--resume` goes on
  kInterrupted = 130,  // Ctrl-C or SIGTERM; `train` has written a checkpoint
};
ExitCode exit_code(ErrorCode code);

// Largest --threads of any subcommand.
inline constexpr int kMostThreads = 1024;

struct Command {
  std::string_view name;
  std::string_view summary;           // one line
  int (*run)(int argc, char** argv);  // argv[0] is the subcommand's name; throws Error
};

int bench_command(int argc, char** argv);
int check_command(int argc, char** argv);
int compare_command(int argc, char** argv);
int compile_command(int argc, char** argv);
int conformance_command(int argc, char** argv);
int devices_command(int argc, char** argv);
int eval_command(int argc, char** argv);
int export_command(int argc, char** argv);
int inspect_command(int argc, char** argv);
int load_command(int argc, char** argv);
int run_command(int argc, char** argv);
int serve_command(int argc, char** argv);
int train_command(int argc, char** argv);

}  // namespace tandem::cli
