// From NVIDIA's data sheets (SXM or the largest version) and the table of compute capabilities in the CUDA programming guide.
#include "runtime/exec/device_spec.h"

#include <algorithm>
#include <string>

namespace tandem {
namespace {

constexpr double kTera = 1e12;
constexpr int64_t kKiB = 1024;

constexpr DeviceSpec kSpecs[] = {
    // name, architecture, SMs, bytes/s, f32, TF32, half, threads, blocks, shared, shared of a block
    {"h200", "sm_90", 132, 4.8 * kTera, 67 * kTera, 494.5 * kTera, 989 * kTera, 2048, 32, 228 * kKiB, 227 * kKiB},
    {"h100", "sm_90", 132, 3.35 * kTera, 67 * kTera, 494.5 * kTera, 989 * kTera, 2048, 32, 228 * kKiB, 227 * kKiB},
    {"a100", "sm_80", 108, 2.039 * kTera, 19.5 * kTera, 156 * kTera, 312 * kTera, 2048, 32, 164 * kKiB, 163 * kKiB},
    {"l40s", "sm_89", 142, 0.864 * kTera, 91.6 * kTera, 183 * kTera, 362 * kTera, 1536, 24, 100 * kKiB, 99 * kKiB},
    {"l4", "sm_89", 58, 0.3 * kTera, 30.3 * kTera, 60 * kTera, 121 * kTera, 1536, 24, 100 * kKiB, 99 * kKiB},
};

}  // namespace

std::span<const DeviceSpec> device_specs() { return kSpecs; }

const DeviceSpec& find_device_spec(std::string_view name) {
  const auto found = std::ranges::find(kSpecs, name, &DeviceSpec::name);
  if (found != std::end(kSpecs)) return *found;
  std::string names;
  for (const DeviceSpec& spec : kSpecs) names += (names.empty() ? "" : ", ") + std::string(spec.name);
  fail(ErrorCode::kNotFound, "the limits of this GPU are not in the table (asked for, there are)", {name, names});
}

}  // namespace tandem
