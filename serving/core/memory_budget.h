// What models may hold of the host's memory together, counted before it is taken. Storage that several models share is counted once.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/base/error.h"

namespace tandem {

// Bytes of one model, at the sizes it is planned for.
struct MemoryNeed {
  int64_t weights = 0;  // constants as they are
  int64_t packed = 0;   // what kernels made of constants
  int64_t lane = 0;     // activations, scratch and states of one lane
  int lanes = 1;
  int64_t total() const { return weights + packed + lane * lanes; }
};

// Storage by its address.
struct MemoryPart {
  const void* id = nullptr;
  int64_t bytes = 0;
};

// Thrown when the limit does not allow it.
struct DoesNotFit : Error {
  DoesNotFit(const std::string& message, int64_t missing_bytes, std::vector<MemoryPart> parts = {})
      : Error(ErrorCode::kOutOfMemory, message), missing(missing_bytes), shared(std::move(parts)) {}
  int64_t missing;                 // bytes that would have to go first
  std::vector<MemoryPart> shared;  // what it has with others, if that is known: these bytes do not count as gone when the others go
};

// Safe from any thread.
class MemoryBudget {
 public:
  explicit MemoryBudget(int64_t limit) : limit_(limit) {}

  int64_t limit() const { return limit_; }
  int64_t used() const;
  // How many bytes more are held with these.
  int64_t additional(const std::vector<MemoryPart>& shared, int64_t own) const;
  // Throws DoesNotFit if `bytes` more, which are not yet held, are too many already.
  void require_room(std::string_view who, int64_t bytes) const;

 private:
  friend class MemoryHold;
  struct Shared {
    int64_t bytes = 0;
    int holders = 0;
  };
  int64_t additional_locked(const std::vector<MemoryPart>& shared, int64_t own) const;
  void add(const std::vector<MemoryPart>& shared, int64_t own, int sign);

  const int64_t limit_;
  mutable std::mutex mutex_;
  std::map<const void*, Shared> shared_;
  int64_t used_ = 0;
};

// What one model holds; gives it back when it goes.
class MemoryHold {
 public:
  // `budget` outlives the hold.
  MemoryHold(MemoryBudget& budget, std::string who) : budget_(budget), who_(std::move(who)) {}
  MemoryHold(const MemoryHold&) = delete;
  MemoryHold& operator=(const MemoryHold&) = delete;
  ~MemoryHold();

  // From now on holds this instead. Throws DoesNotFit with figures; what was held is then held on.
  void resize(std::vector<MemoryPart> shared, int64_t own);

 private:
  MemoryBudget& budget_;
  const std::string who_;
  std::vector<MemoryPart> shared_;
  int64_t own_ = 0;
};

// "512M", "4G", "1.5G" or a number of bytes; K, M and G are powers of 1024. Throws InvalidArgument.
int64_t parse_bytes(std::string_view text);

}  // namespace tandem
