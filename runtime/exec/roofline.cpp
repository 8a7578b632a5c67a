#include "runtime/exec/roofline.h"

#include <algorithm>
#include <charconv>
#include <vector>

namespace tandem {
namespace {

constexpr int64_t kWarp = 32;
constexpr int64_t kRegisterUnit = 256;   // registers are given to warps in units of this
constexpr int64_t kSystemShared = 1024;  // bytes of each block that CUDA keeps, since compute capability 8.0
constexpr size_t kColumns = 4;           // kernel, arch, registers, shared; what follows is not needed here

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find(separator, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

int64_t number(std::string_view text) {
  int64_t value = -1;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  require(error == std::errc() && end == text.data() + text.size() && value >= 0, "not a number in the table of kernel resources",
          text);
  return value;
}

int64_t round_up_to(int64_t value, int64_t unit) { return (value + unit - 1) / unit * unit; }

// Operations a second that this step may use.
double rate(const StepCost& cost, cuda::Math math, const DeviceSpec& spec) {
  if (!cost.is_product) return spec.f32;
  if (cost.dtype == DType::kF16 || cost.dtype == DType::kBF16) return spec.half;
  return math == cuda::Math::kFast && cost.dtype == DType::kF32 ? spec.tf32 : spec.f32;
}

}  // namespace

ResourceTable::ResourceTable(std::string_view tsv, std::string_view architecture) {
  for (std::string_view line : split(tsv, '\n')) {
    if (line.empty() || line.front() == '#' || line.starts_with("kernel\t")) continue;
    const auto fields = split(line, '\t');
    require(fields.size() >= kColumns, "a row of the table of kernel resources has too few columns", line);
    if (fields[1] != architecture) continue;
    std::string_view kernel = fields[0];
    if (const size_t file = kernel.find(": "); file != std::string_view::npos) kernel.remove_prefix(file + 2);
    const KernelResources row{.registers = static_cast<int>(number(fields[2])), .shared = number(fields[3])};
    exact_[std::string(kernel)] = row;
    KernelResources& largest = by_template_[std::string(kernel.substr(0, kernel.find('<')))];
    largest = {std::max(largest.registers, row.registers), std::max(largest.shared, row.shared)};
  }
}

std::string short_kernel_name(std::string_view kernel) {
  std::string name(kernel);
  for (const std::string_view scope : {"{anonymous}::", "(anonymous namespace)::", "<unnamed>::", "tandem::cuda::", "tandem::"})
    for (size_t at = name.find(scope); at != std::string::npos; at = name.find(scope, at)) name.erase(at, scope.size());
  return name;
}

const KernelResources* ResourceTable::find(const std::string& recorded) const {
  const std::string kernel = short_kernel_name(recorded);
  if (const auto found = exact_.find(kernel); found != exact_.end()) return &found->second;
  const auto found = by_template_.find(std::string_view(kernel).substr(0, kernel.find('<')));
  return found == by_template_.end() ? nullptr : &found->second;
}

LaunchEstimate estimate(const cuda::LaunchRecord& launch, const ResourceTable& resources, const DeviceSpec& spec) {
  LaunchEstimate result;
  result.of_library = launch.kernel.starts_with("cublas") || launch.kernel.starts_with("cudnn");
  if (result.of_library) return result;
  const KernelResources* known = resources.find(launch.kernel);
  result.assumed = known == nullptr;
  const KernelResources used = known ? *known : kAssumedResources;
  const int64_t warps = (launch.threads + kWarp - 1) / kWarp;
  const int64_t shared = used.shared + launch.shared;
  int64_t resident = std::min<int64_t>(spec.blocks, spec.threads / (warps * kWarp));
  resident =
      std::min(resident, spec.registers / std::max<int64_t>(1, round_up_to(used.registers * kWarp, kRegisterUnit) * warps));
  resident = std::min(resident, spec.shared_bytes / (shared + kSystemShared));
  if (shared > spec.block_shared_bytes) resident = 0;
  result.occupancy = static_cast<double>(resident * warps * kWarp) / spec.threads;
  if (resident > 0) result.waves = static_cast<double>(launch.blocks) / static_cast<double>(resident * spec.multiprocessors);
  result.few_blocks = launch.blocks < spec.multiprocessors;
  result.low_occupancy = result.occupancy < kLowOccupancy;
  return result;
}

StepEstimate estimate(const StepCost& cost, cuda::Math math, const DeviceSpec& spec) {
  const auto bytes = static_cast<double>(cost.bytes_read + cost.bytes_written);
  const double moving = bytes / spec.bytes_per_second, computing = cost.flops / rate(cost, math, spec);
  StepEstimate result;
  result.seconds = std::max(moving, computing);
  result.intensity = bytes > 0 ? cost.flops / bytes : 0;
  result.memory_bound = moving >= computing;
  result.launch_bound = !cost.launches.empty() && result.seconds < kLaunchSeconds * static_cast<double>(cost.launches.size());
  return result;
}

}  // namespace tandem
