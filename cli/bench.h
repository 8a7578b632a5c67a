// The benchmarks of `tandem bench`, each a command of its own.
#pragma once

namespace tandem::cli {

int bench_kernels_command(int argc, char** argv);
int bench_machine_command(int argc, char** argv);
int bench_model_command(int argc, char** argv);
int bench_roofline_command(int argc, char** argv);
int bench_train_command(int argc, char** argv);

}  // namespace tandem::cli
