#include "serving/gate/authorizer.h"

namespace tandem {

void Authorizer::authorize(Action action, const Caller& caller, std::string_view what) const {
  try {
    switch (action) {
      case Action::kRead:
      case Action::kInfer: return;
      case Action::kChangeModels:
        return check(allowed_.change_models, ErrorCode::kUnavailable,
                     "explicit model load / unload is not allowed: start the server with --model-control explicit");
      case Action::kShareMemory:
        if (allowed_.share_memory) return;
        throw NotEnabled("shared memory of clients is not allowed: start the server with --allow-client-shm");
      case Action::kChangeSettings:
        if (allowed_.change_settings) return;
        throw NotEnabled("settings may not be changed by clients: start the server with --allow-settings");
    }
  } catch (const Error& refusal) {
    audit(caller, what, std::string("refused: ") + refusal.what());
    throw;
  }
}

void Authorizer::audit(const Caller& caller, std::string_view what, std::string_view outcome) const {
  log_.write(Severity::kInfo, "audit: " + std::string(caller.protocol) + " " + (caller.peer.empty() ? "-" : caller.peer) + ": " +
                                  std::string(what) + ": " + std::string(outcome));
}

}  // namespace tandem
