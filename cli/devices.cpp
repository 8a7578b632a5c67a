// `tandem devices`: what there is to compute on.
#include <fmt/format.h>

#include <iostream>
#include <nlohmann/json.hpp>

#include "cli/command.h"
#include "cli/json_line.h"
#include "cli/options.h"
#include "kernels/api/isa.h"
#include "runtime/device/cuda_report.h"
#include "runtime/device/device_text.h"
#include "runtime/device/topology.h"

namespace po = boost::program_options;

namespace tandem::cli {
namespace {

const Usage kUsageText = {
    "tandem devices",
    "Lists the GPUs that --device may name, the versions of driver and CUDA, the libraries that were found and start, and what\n"
    "it costs that others do not. Where no GPU can be used it says why. The exit code is 0 in both cases.",
    "  tandem devices\n"
    "  tandem devices --json\n",
};

double gib(int64_t bytes) { return static_cast<double>(bytes) / (1 << 30); }

void print_text(const CudaReport& report) {
  const CudaProbe& probe = report.probe;
  fmt::print("{:<8} {} threads, {}\n", "cpu", allowed_cpus().threads, name(cpu::chosen_isa()));
  for (const DeviceInfo& device : probe.devices)
    fmt::print("{:<8} {}, compute capability {}.{}, {:.1f} GiB, {} multiprocessors\n", fmt::format("cuda:{}", device.ordinal),
               device.name, device.major, device.minor, gib(device.memory_bytes), device.multiprocessors);
  fmt::print("\n");
  if (probe.driver_version > 0) fmt::print("driver   knows CUDA {}\n", cuda_version_text(probe.driver_version));
  if (probe.runtime_version > 0)
    fmt::print("runtime  CUDA {}, kernels for compute capability {} and newer\n", cuda_version_text(probe.runtime_version),
               report.architectures);
  for (const CudaLibrary& library : report.libraries) {
    fmt::print("{:<8} ", library.name);
    if (!library.path.empty()) fmt::print("{} ({}){}", library.version, library.path, library.problem.empty() ? "" : " ");
    if (!library.problem.empty()) fmt::print("not used: {}; {}", library.problem, library.without);
    fmt::print("\n");
  }
  if (probe.devices.empty()) fmt::print("No GPU can be used: {}.\n", probe.problem);
}

nlohmann::json json_of(const CudaReport& report) {
  nlohmann::json devices = nlohmann::json::array(), libraries = nlohmann::json::array();
  for (const DeviceInfo& device : report.probe.devices)
    devices.push_back({{"device", fmt::format("cuda:{}", device.ordinal)},
                       {"name", device.name},
                       {"compute_capability", fmt::format("{}.{}", device.major, device.minor)},
                       {"memory_bytes", device.memory_bytes},
                       {"multiprocessors", device.multiprocessors}});
  for (const CudaLibrary& library : report.libraries)
    libraries.push_back({{"name", library.name},
                         {"path", library.path},
                         {"version", library.version},
                         {"problem", library.problem},
                         {"without", library.without}});
  const auto version = [](int v) { return v > 0 ? nlohmann::json(cuda_version_text(v)) : nlohmann::json(); };
  return {{"cpu", {{"threads", allowed_cpus().threads}, {"isa", name(cpu::chosen_isa())}}},
          {"gpus", devices},
          {"problem", report.probe.problem},
          {"driver", version(report.probe.driver_version)},
          {"runtime", version(report.probe.runtime_version)},
          {"architectures", report.architectures},
          {"libraries", libraries}};
}

}  // namespace

int devices_command(int argc, char** argv) {
  po::options_description options("options");
  po::variables_map values;
  if (!parse_options(argc, argv, kUsageText, options, "", values)) return kOk;
  const CudaReport report = cuda_report();
  if (values.contains("json"))
    std::cout << json_line(json_of(report)) << "\n";
  else
    print_text(report);
  return kOk;
}

}  // namespace tandem::cli
