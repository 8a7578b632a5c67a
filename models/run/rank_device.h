// Which GPU a rank of a training job computes on.
#pragma once

#include <memory>
#include <string>

#include "runtime/device/device.h"

namespace tandem {

// "cpu", "cuda", "cuda:N" or "auto", as open_device takes them and with its errors; of several ranks on "cuda" or "auto", rank r
// takes the GPU numbered r modulo their count. Null: the CPU.
std::shared_ptr<Device> open_rank_device(const std::string& text, int rank, int world);

}  // namespace tandem
