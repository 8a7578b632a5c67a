#include "kernels/base/error.h"
#include "runtime/comm/group_communicator.h"

namespace tandem {

std::vector<std::unique_ptr<Communicator>> make_thread_group(int size, const CommunicatorOptions& options) {
  const std::shared_ptr<Segment> segment = Segment::make_private(size);
  std::vector<std::unique_ptr<Communicator>> group;
  for (int rank = 0; rank < size; ++rank)
    group.push_back(std::make_unique<GroupCommunicator>(segment, rank, options, [](int) { return true; }));
  return group;
}

}  // namespace tandem
