// Who may do what, asked by both front ends before they do it, and one line of the log for each attempt to change something.
//
// Today's rules know the server's flags and no identities: what a client could do harm with is off until a flag allows it. Tokens and
// roles would be looked at here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "kernels/base/error.h"
#include "serving/monitor/server_log.h"

namespace tandem {

enum class Action : uint8_t {
  kRead,           // health, metadata, statistics, metrics
  kInfer,
  kChangeModels,   // load and unload
  kShareMemory,    // register, look at and unregister regions
  kChangeSettings, // of log and trace
};

struct Caller {
  std::string_view protocol;  // "http" or "grpc"
  std::string peer;           // address and port, "" if they are not known
};

// What the flags allow.
struct Permissions {
  bool change_models = false, share_memory = false, change_settings = false;
};

// A refusal because the server was not started with it: 501 and UNIMPLEMENTED.
struct NotEnabled : Error {
  explicit NotEnabled(const std::string& message) : Error(ErrorCode::kUnavailable, message) {}
};

// Safe from any thread.
class Authorizer {
 public:
  Authorizer(const Permissions& allowed, ServerLog& log) : allowed_(allowed), log_(log) {}

  const Permissions& allowed() const { return allowed_; }
  // Throws Unavailable (kChangeModels) or NotEnabled naming the flag that allows it, and tells of the attempt.
  void authorize(Action action, const Caller& caller, std::string_view what) const;
  // The audit line of a control action that was allowed: `what` is "load 'm'", `outcome` "done" or the error.
  void audit(const Caller& caller, std::string_view what, std::string_view outcome) const;

 private:
  const Permissions allowed_;
  ServerLog& log_;
};

}  // namespace tandem
