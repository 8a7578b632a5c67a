#include "runtime/device/device_text.h"

namespace tandem {

std::string device_id(const Device* device) { return device ? "cuda:" + std::to_string(device->info().ordinal) : "cpu"; }

std::string device_text(const Device* device) { return device ? device_id(device) + " (" + device->info().name + ")" : "cpu"; }

std::string cuda_version_text(int version) { return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10); }

}  // namespace tandem
