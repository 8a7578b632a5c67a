// Collectives between the ranks of one data-parallel job. Every rank issues the same collectives in the same order.
//
// Sums are formed in rank order, ((r0 + r1) + r2) + ..., for each element, so their bits depend neither on timing nor on how
// values were put into buckets. Every wait has a deadline. What goes wrong is thrown as Error naming collective, rank and step:
// "[all_reduce] rank 1 did not arrive within 30 s (step 120, collective 3, bucket 'grad.0')": DeadlineExceeded for a rank that
// does not come, Unavailable for one that died, left or aborted, InvalidArgument for ranks that issue different collectives.
// After an error the group is lost: every later call on every rank fails at once.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tandem {

class DeviceCommunicator;  // device_communicator.h

struct CommunicatorOptions {
  std::chrono::milliseconds deadline{30000};  // how long a rank waits for the others in one collective
};

// One rank's end of the group. One thread issues collectives; abort may be called from any.
class Communicator {
 public:
  using Handle = int64_t;

  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  virtual std::chrono::milliseconds deadline() const = 0;  // of one collective

  // The training step that errors name; collectives are counted from 0 in each.
  virtual void set_step(int64_t step) = 0;

  // Replaces `values` by the sums over all ranks. The memory belongs to the collective until wait(handle) returned, or abort did.
  // Allocates nothing. `bucket` is for error messages.
  virtual Handle begin_all_reduce(std::span<float> values, std::string_view bucket = {}) = 0;
  virtual void wait(Handle handle) = 0;
  void all_reduce_sum(std::span<float> values, std::string_view bucket = {}) { wait(begin_all_reduce(values, bucket)); }

  // `bytes` of `root` replaces that of all others; the sizes are equal.
  virtual void broadcast(std::span<std::byte> bytes, int root) = 0;
  // The blobs of all ranks, by rank; they may differ in size.
  virtual std::vector<std::string> all_gather(std::string_view blob) = 0;
  virtual void barrier() = 0;

  // Ends the group: all ranks' pending and later collectives fail with this reason. When it returns, no memory given to a
  // collective of this rank is touched any more; call it before freeing such memory because of an error.
  virtual void abort(std::string_view reason) noexcept = 0;

  // Why collectives that are begun now would fail, as far as that shows without one: "rank 1 died"; "": nothing is known. For
  // whoever waits for ranks by other means. REQUIRES: none of this rank's collectives is under way.
  virtual std::string lost() const = 0;

  // The same ranks' collectives between their GPUs, while what connect_devices returned lives; else null.
  DeviceCommunicator* devices() const { return devices_; }
  void set_devices(DeviceCommunicator* devices) { devices_ = devices; }

 private:
  DeviceCommunicator* devices_ = nullptr;
};

// A group of one: collectives leave their data as it is.
std::unique_ptr<Communicator> make_local_communicator();

// A group of `size` ranks in this process, each for a thread of its own: what tests use, and the same protocol as between
// processes.
std::vector<std::unique_ptr<Communicator>> make_thread_group(int size, const CommunicatorOptions& options = {});

// Something that all ranks must have in common, e.g. {"seed", "7"}.
struct Fact {
  std::string_view name;
  std::string value;
};
// Compares the facts of all ranks. Throws InvalidArgument on every rank if one differs: "ranks disagree on seed: rank 0 has '7',
// rank 1 has '8'".
void check_agreement(Communicator& communicator, std::span<const Fact> facts);

}  // namespace tandem
