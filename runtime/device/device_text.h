// A device in words, for the terminal, run folders and servers.
#pragma once

#include <string>

#include "runtime/device/device.h"

namespace tandem {

// "cuda:0"; null: "cpu". What --device takes.
std::string device_id(const Device* device);

// "cuda:0 (NVIDIA H200)"; null: "cpu".
std::string device_text(const Device* device);

// "13.0" of 13000.
std::string cuda_version_text(int version);

}  // namespace tandem
