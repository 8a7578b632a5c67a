#include "runtime/exec/state_store.h"

#include <utility>

namespace tandem {

StateStore::State* StateStore::lookup(std::string_view name) {
  const auto found = states_.find(name);
  return found == states_.end() ? nullptr : &found->second;
}

void StateStore::bring_to_host(State& state) {
  if (state.newer != Newer::kDevice) return;
  stream_->copy_to_host(state.host.view().data, state.device.data(), state.host.bytes());
  stream_->synchronize();
  state.newer = Newer::kBoth;
}

Tensor& StateStore::get_or_add(const std::string& name, const Tensor& initial) {
  State* state = lookup(name);
  if (!state) return states_.emplace(name, State{initial.clone(), {}}).first->second.host;
  require(state->host.dtype() == initial.dtype() && state->host.shape() == initial.shape(),
          "a state is there with another type or shape (name, has, expected)", name, to_string(state->host.shape()),
          to_string(initial.shape()));
  return state->host;
}

Tensor* StateStore::find(std::string_view name) {
  State* state = lookup(name);
  if (!state) return nullptr;
  bring_to_host(*state);
  state->newer = Newer::kHost;
  return &state->host;
}

const Tensor* StateStore::read(std::string_view name) {
  State* state = lookup(name);
  if (!state) return nullptr;
  bring_to_host(*state);
  return &state->host;
}

std::map<std::string, Tensor, std::less<>> StateStore::all() {
  std::map<std::string, Tensor, std::less<>> tensors;
  for (auto& [name, state] : states_) {
    bring_to_host(state);
    tensors.emplace(name, state.host);
  }
  return tensors;
}

std::byte* StateStore::on_device(std::string_view name, const std::shared_ptr<Device>& device) {
  ensure(!device_ || device_ == device, "the states of a job lie on one device");
  if (!device_) {
    device_ = device;
    stream_ = device->make_stream();
  }
  State* state = lookup(name);
  ensure(state != nullptr, "a plan has a state that its store lacks", name);
  if (state->host.bytes() > 0 && !state->device.data()) {
    state->device = device_->allocate(state->host.bytes(), "a state");
    state->newer = Newer::kHost;
  }
  if (state->newer == Newer::kHost) {
    stream_->copy_to_device(state->device.data(), std::as_const(state->host).view().data, state->host.bytes());
    stream_->synchronize();
    state->newer = Newer::kBoth;
  }
  return state->device.data();
}

void StateStore::replaced_on_device(std::string_view name) { lookup(name)->newer = Newer::kDevice; }

}  // namespace tandem
