// Where batches are run: the lanes, or a test's stand-in.
#pragma once

#include <functional>

#include "kernels/base/error.h"

namespace tandem {

class Workers {
 public:
  virtual ~Workers() = default;
  virtual int lanes() const = 0;
  // Calls `task` on the thread of `lane`, or `dropped` if the lanes stop before its turn. Throws Unavailable, and calls neither,
  // if they have stopped. `task` must not throw.
  virtual void submit(int lane, std::function<void()> task, std::function<void(const Error&)> dropped) = 0;
  // Calls `work` on the calling thread, the owner of `lane`, so that a team that it begins has the processors of `lanes` lanes from that one on.
  virtual void run_across(int /*lane*/, int /*lanes*/, const std::function<void()>& work) { work(); }
  // Whether another thread may do the work of a lane that sleeps, in its name.
  virtual bool lend() const { return false; }
};

}  // namespace tandem
