// What a server was told of GPUs, and what became of it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "kernels/base/dtype.h"
#include "runtime/device/device.h"

namespace tandem {

class Tuning;

// Where models are to be served from.
struct ServingDevice {
  std::shared_ptr<Device> device = {};  // null: the CPU
  std::string problem = {};             // why there is none though one was asked for: models then begin as fallen back
  bool strict = false;                  // a model that cannot be served from the device is refused
  bool fast_math = false;
  std::shared_ptr<Tuning> tuning = {};  // as in PlanOptions
  DType precision = DType::kF32;        // of products on the CPU: f32 or bf16
  std::function<void(const std::string& line)> log = {};  // called from any thread
};

// `text` as for --device. What cannot be opened becomes `problem`; with `strict` it is thrown: Unavailable or NotFound. Throws
// InvalidArgument for a text that names no device.
ServingDevice open_serving_device(const std::string& text, bool strict);

// Where one model is served from now.
struct ModelDevice {
  std::string asked;  // "cuda:0 (NVIDIA H200)", "" if no GPU was asked for
  bool on_device = false;
  std::string problem;  // why the CPU answers though a GPU was asked for
  int64_t errors = 0;   // of the device, met by this model
  int64_t captured_graphs = 0;  // held now: a few for each lane and each set of shapes
  std::string not_captured = {};  // why a capture failed, after which kernels are launched one by one; "" if none did
};

}  // namespace tandem
