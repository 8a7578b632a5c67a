// --device, --strict-device, --math, --precision and --tune: where and how a command computes, said in the same way everywhere.
#pragma once

#include <boost/program_options.hpp>
#include <memory>
#include <string>

#include "runtime/exec/executor.h"
#include "runtime/plan/plan.h"
#include "runtime/plan/tuning.h"

namespace tandem::cli {

struct DeviceFlags {
  std::string device = "cpu", math = "strict", precision = "f32";
  bool strict = false, tune = false;
};

void add_device_flags(boost::program_options::options_description& options, DeviceFlags& flags);
// Of commands that run a model as it is.
void add_tune_flag(boost::program_options::options_description& options, bool& tune);

// --math as it was given: whether a GPU may use TF32 for f32 products, and a CPU Winograd's convolutions. Throws InvalidArgument.
bool is_fast_math(const std::string& text);
// --precision as it was given. Throws InvalidArgument.
DType precision_of(const std::string& text);

// What keeps the answers, and says on standard error what it measures; null if it was not asked for. Throws as Tuning does.
std::shared_ptr<Tuning> tuning_of(bool asked);

// The device that was asked for, and what plans and executors for it need.
class ChosenDevice {
 public:
  // Throws InvalidArgument for flags that mean nothing, Unavailable or NotFound if the device is not there.
  explicit ChosenDevice(const DeviceFlags& flags);

  PlanOptions plan(PlanOptions options) const;
  ExecutorOptions executor(ExecutorOptions options = {}) const;
  // "cpu" or "cuda:0 (NVIDIA H200)".
  std::string text() const;

 private:
  DeviceFlags flags_;
  bool fast_;
  std::shared_ptr<Device> device_;
  std::shared_ptr<Tuning> tuning_;
};

}  // namespace tandem::cli
