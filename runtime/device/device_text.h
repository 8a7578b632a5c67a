// A device in words, for the terminal, run folders and servers.
#pragma once

#include <string>
#include <string_view>

#include "runtime/device/device.h"

namespace tandem {

// "cuda:0"; null: "cpu". What --device takes.
std::string device_id(const Device* device);

// "cuda:0 (NVIDIA H200)"; null: "cpu".
std::string device_text(const Device* device);

// Throws unless `device` is a GPU, where `strict` asks for one: InvalidArgument if `asked` (as for --device) names the CPU,
// Unavailable if "auto" found none.
void check_strict_device(bool strict, const Device* device, std::string_view asked);

// "13.0" of 13000.
std::string cuda_version_text(int version);

}  // namespace tandem
