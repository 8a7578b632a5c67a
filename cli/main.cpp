// The `tandem` program: finds the subcommand, runs it, turns what it throws into one line and an exit code.
#include <fmt/format.h>

#include <cstring>
#include <exception>
#include <new>
#include <system_error>
#include <vector>

#include "cli/command.h"
#include "runtime/graph/nearest_name.h"

namespace tandem::cli {
namespace {

constexpr Command kCommands[] = {
    {"train", "train a model on real data: config in, run folder out", train_command},
    {"bench", "measure this machine, or a model on it; what a plan would cost on a GPU", bench_command},
    {"check", "say what would keep the models of a folder from being served, and what to write instead", check_command},
    {"compare", "find the first tensor in which two models, or two runtimes, differ", compare_command},
    {"compile", "keep a model after its passes, in a form that opens at once", compile_command},
    {"conformance", "run ONNX test cases and tell by op which pass", conformance_command},
    {"devices", "the GPUs and CUDA libraries of this machine", devices_command},
    {"eval", "measure a trained model on data", eval_command},
    {"export", "write a model as plain ONNX", export_command},
    {"inspect", "what is in a model: signature, ops, parameters, memory plan", inspect_command},
    {"load", "put load on a server and measure how it bears it", load_command},
    {"run", "run a model on rows of data", run_command},
    {"serve", "serve models over the Open Inference Protocol v2", serve_command},
};

int print_help() {
  fmt::print("tandem: train, compress and serve the same model graph\n\nusage: tandem COMMAND [options]\n\n");
  for (const Command& command : kCommands) fmt::print("  {:<11} {}\n", command.name, command.summary);
  fmt::print(
      "\n`tandem COMMAND --help` explains a command by example.\n"
      "Exit codes: 0 done, 1 defect of Tandem, 2 wrong input, 3 memory or limit, 4 file, port or device, 5 a rank failed, 130 interrupted.\n");
  return kOk;
}

int unknown(std::string_view name) {
  std::vector<std::string_view> known;
  for (const Command& command : kCommands) known.push_back(command.name);
  fmt::print(stderr, "tandem: unknown command '{}'{}; see `tandem --help`\n", name, did_you_mean(name, known));
  return kUsage;
}

bool wants_json(int argc, char** argv) {
  for (int i = 1; i < argc; ++i)
    if (!std::strcmp(argv[i], "--json")) return true;
  return false;
}

// JSON needs quotes, backslashes and control characters escaped.
std::string escaped(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) out += fmt::format("\\u{:04x}", c);
    else out += c;
  }
  return out;
}

int report(const Command& command, bool json, ErrorCode code, std::string_view message) {
  if (json) fmt::print("{{\"error\": \"{}\", \"code\": \"{}\"}}\n", escaped(message), name(code));
  fmt::print(stderr, "tandem {}: {}\n", command.name, message);
  return exit_code(code);
}

int run(const Command& command, int argc, char** argv) {
  const bool json = wants_json(argc, argv);
  try {
    return command.run(argc, argv);
  } catch (const Error& error) {
    return report(command, json, error.code(), error.what());
  } catch (const std::bad_alloc&) {
    return report(command, json, ErrorCode::kOutOfMemory, "out of memory");
  } catch (const std::system_error& error) {  // no thread, no descriptor ...
    return report(command, json, ErrorCode::kUnavailable, fmt::format("the system refuses what is needed: {}", error.what()));
  } catch (const std::exception& error) {
    return report(command, json, ErrorCode::kInternal, error.what());
  }
}

}  // namespace

ExitCode exit_code(ErrorCode code) {
  switch (code) {
    case ErrorCode::kInvalidArgument: case ErrorCode::kNotFound: case ErrorCode::kAlreadyExists: return kUsage;
    case ErrorCode::kOutOfMemory: return kResources;
    case ErrorCode::kDevice: case ErrorCode::kUnavailable: return kEnvironment;
    case ErrorCode::kDeadlineExceeded: return kRankFailed;
    case ErrorCode::kCancelled: return kInterrupted;
    case ErrorCode::kInternal: return kInternalError;
  }
  return kInternalError;
}

}  // namespace tandem::cli

int main(int argc, char** argv) {
  using namespace tandem::cli;
  if (argc < 2 || !std::strcmp(argv[1], "--help") || !std::strcmp(argv[1], "-h") || !std::strcmp(argv[1], "help")) {
    print_help();
    return argc < 2 ? kUsage : kOk;
  }
  for (const Command& command : kCommands)
    if (command.name == argv[1]) return run(command, argc - 1, argv + 1);
  return unknown(argv[1]);
}
