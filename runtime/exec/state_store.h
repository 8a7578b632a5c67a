// The tensors that live from run to run, shared by the plans of one training job (by name), in host memory and, where a plan on a GPU uses
// them, on that GPU. The store knows which side is newer and copies when the other side is wanted.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <string_view>

#include "runtime/device/device.h"
#include "runtime/graph/tensor.h"

namespace tandem {

class StateStore {
 public:
  // The state of that name; made as a copy of `initial` if there is none yet. Throws InvalidArgument if it is there with another
  // type or shape.
  Tensor& get_or_add(const std::string& name, const Tensor& initial);
  // Null if there is none. What is written there reaches the GPU before the next run.
  Tensor* find(std::string_view name);
  // The same for reading alone: the GPU's copy stays good.
  const Tensor* read(std::string_view name);
  // All states for reading, by name; handles of the store's own memory.
  std::map<std::string, Tensor, std::less<>> all();

  bool uses_device() const { return device_ != nullptr; }

  // For executors. The state's memory on the device, with its newest content; one device for all of a store's life.
  std::byte* on_device(std::string_view name, const std::shared_ptr<Device>& device);
  // The run that just ended, and was waited for, has replaced it there.
  void replaced_on_device(std::string_view name);

 private:
  enum class Newer : uint8_t { kBoth, kHost, kDevice };
  struct State {
    Tensor host;
    Buffer device;
    Newer newer = Newer::kHost;
  };
  State* lookup(std::string_view name);
  void bring_to_host(State& state);

  std::map<std::string, State, std::less<>> states_;
  std::shared_ptr<Device> device_;  // outlives the buffers and the stream
  std::unique_ptr<Stream> stream_;
};

}  // namespace tandem
