// `tandem bench`: finds the benchmark that is named and runs it.
#include "cli/bench.h"

#include <fmt/format.h>

#include <string>
#include <vector>

#include "cli/command.h"
#include "runtime/graph/nearest_name.h"

namespace tandem::cli {
namespace {

constexpr Command kBenchmarks[] = {
    {"kernels", "how long single kernels take, beside what this machine can do", bench_kernels_command},
    {"machine", "what this machine can do at best: arithmetic and memory", bench_machine_command},
    {"model", "how long a model takes, beside what this machine can do", bench_model_command},
    {"roofline", "what a plan would cost on a GPU, launch by launch; needs none", bench_roofline_command},
    {"train", "how long a training step takes, of a config or of any ONNX file", bench_train_command},
};

int print_help() {
  fmt::print("usage: tandem bench WHAT [options]\n\n");
  for (const Command& benchmark : kBenchmarks) fmt::print("  {:<9} {}\n", benchmark.name, benchmark.summary);
  fmt::print("\n`tandem bench WHAT --help` explains each by example. bench/peers/inference.py and training.py run other runtimes beside this one.\n");
  return kOk;
}

}  // namespace

int bench_command(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  if (what == "--help" || what == "-h") return print_help();
  std::vector<std::string_view> known;
  for (const Command& benchmark : kBenchmarks) {
    if (benchmark.name == what) return benchmark.run(argc - 1, argv + 1);
    known.push_back(benchmark.name);
  }
  fail(ErrorCode::kInvalidArgument,
       what.empty() || what.starts_with("-") ? "name a benchmark: `tandem bench kernels`, `machine`, `model`, `roofline` or `train`"
                                             : fmt::format("unknown benchmark '{}'{}", what, did_you_mean(what, known)));
}

}  // namespace tandem::cli
