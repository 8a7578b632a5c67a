#include "runtime/exec/device_lane.h"

#include <algorithm>
#include <cstring>

#include "kernels/base/checked.h"

namespace tandem {
namespace {

constexpr int64_t kAlignment = 256;  // of cudaMalloc

size_t positive(int64_t bytes) { return static_cast<size_t>(bytes); }

}  // namespace

DeviceConstants::DeviceConstants(const Plan& plan, Device& device) : offsets_(plan.graph.values.size()) {
  std::vector<ValueId> found;
  int64_t bytes = 0;
  for (size_t i = 0; i < plan.graph.values.size(); ++i) {
    const Value& value = plan.graph.values[i];
    if (value.kind != ValueKind::kConstant || plan.placement.values[i] != Space::kDevice) continue;
    offsets_[i] = bytes;
    bytes += round_up(static_cast<int64_t>(value.data.bytes()), kAlignment);
    found.push_back(static_cast<ValueId>(i));
  }
  buffer_ = device.allocate(positive(bytes), "constants");
  const auto stream = device.make_stream();
  for (ValueId id : found) {
    const Tensor& data = plan.graph.value(id).data;
    if (data.bytes()) stream->copy_to_device(address(id), data.view().data, data.bytes());
  }
  stream->synchronize();
}

DeviceLane::DeviceLane(const Plan& plan, std::shared_ptr<Device> device, std::shared_ptr<const DeviceConstants> constants,
                       cuda::Math math)
    : device_(std::move(device)),
      constants_(constants ? std::move(constants) : std::make_shared<DeviceConstants>(plan, *device_)),
      host_arena_(device_->allocate_pinned(positive(plan.host.arena), "activations on the host")),
      arena_(device_->allocate(positive(plan.device.arena), "activations")),
      workspace_(device_->allocate(positive(plan.device.workspace), "workspace")),
      compute_(device_->make_stream()),
      copy_(device_->make_stream()),
      session_(device_->make_session(*compute_, math)) {
  for (FeedBuffer& feed : feeds_) {
    feed.host = device_->allocate_pinned(positive(plan.device.feeds), "inputs on their way");
    feed.device = device_->allocate(positive(plan.device.feeds), "inputs");
    feed.arrived = device_->make_event();
  }
  for (const Step& step : plan.steps) {
    if (step.kind != StepKind::kFeed) continue;
    const Node& node = plan.graph.nodes[static_cast<size_t>(step.node)];
    const auto input = std::ranges::find(plan.graph.inputs, node.inputs[0]) - plan.graph.inputs.begin();
    copies_.push_back({static_cast<size_t>(input), plan.buffers[static_cast<size_t>(node.outputs[0])].offset});
  }
}

DeviceLane::~DeviceLane() = default;

void DeviceLane::feed(size_t slot, std::span<const ConstTensorView> inputs) {
  FeedBuffer& feed = feeds_[slot];
  for (const FeedCopy& copy : copies_) {
    const ConstTensorView& input = inputs[copy.input];
    if (!input.bytes()) continue;
    std::memcpy(feed.host.data() + copy.offset, input.data, input.bytes());
    copy_->copy_to_device(feed.device.data() + copy.offset, feed.host.data() + copy.offset, input.bytes());
  }
  copy_->record(*feed.arrived);
}

}  // namespace tandem
