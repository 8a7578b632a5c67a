#include "cli/device_options.h"

#include <fmt/format.h>

#include "runtime/device/device_text.h"

namespace po = boost::program_options;

namespace tandem::cli {

void add_device_flags(po::options_description& options, DeviceFlags& flags) {
  options.add_options()("device", po::value(&flags.device)->default_value(flags.device),
                        "cpu, cuda (the first GPU), cuda:N, or auto: a GPU if there is one")(
      "strict-device", po::bool_switch(&flags.strict), "refuse what would leave the GPU for the CPU, naming the ops")(
      "math", po::value(&flags.math)->default_value(flags.math),
      "strict: f32 products are f32; fast: a GPU may use TF32 for them, a CPU Winograd's convolutions")(
      "precision", po::value(&flags.precision)->default_value(flags.precision),
      "of products on the CPU: f32, or bf16 with sums in f32");
}

void add_tune_flag(po::options_description& options, bool& tune) {
  options.add_options()("tune", po::bool_switch(&tune),
                        "on the CPU: where several kernels would do, run them and take the fastest; answers are kept in ~/.cache/tandem/tuning.json");
}

bool is_fast_math(const std::string& text) {
  require(text == "strict" || text == "fast", "--math takes strict or fast", text);
  return text == "fast";
}

DType precision_of(const std::string& text) {
  require(text == "f32" || text == "bf16", "--precision takes f32 or bf16; a file of 8-bit products is computed in these", text);
  return text == "bf16" ? DType::kBF16 : DType::kF32;
}

std::shared_ptr<Tuning> tuning_of(bool asked) {
  if (!asked) return {};
  auto tuning = std::make_shared<Tuning>(Tuning::default_file());
  tuning->on_search = [](const std::string& work) { fmt::print(stderr, "tuning {}\n", work); };
  tuning->on_problem = [](const std::string& problem) { fmt::print(stderr, "answers of --tune are not kept: {}\n", problem); };
  return tuning;
}

ChosenDevice::ChosenDevice(const DeviceFlags& flags)
    : flags_(flags), fast_(is_fast_math(flags.math)), device_(open_device(flags.device)), tuning_(tuning_of(flags.tune)) {
  check_strict_device(flags.strict, device_.get(), flags.device);
}

PlanOptions ChosenDevice::plan(PlanOptions options) const {
  options.fast_math = fast_;
  options.precision = precision_of(flags_.precision);
  options.tuning = tuning_;
  if (!device_) return options;
  options.target = Space::kDevice;
  options.strict_device = flags_.strict;
  options.device_memory_limit = device_->free_bytes();
  return options;
}

ExecutorOptions ChosenDevice::executor(ExecutorOptions options) const {
  options.device = device_;
  options.fast_math = fast_;
  return options;
}

std::string ChosenDevice::text() const { return device_text(device_.get()); }

}  // namespace tandem::cli
