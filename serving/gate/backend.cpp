#include "serving/gate/backend.h"

#include <utility>

namespace tandem {

Extensions extensions_of(const Backend& backend) {
  const bool settings = backend.authorizer.allowed().change_settings;
  return {.shared_memory = backend.shared_memory != nullptr, .logging = settings, .trace = settings && backend.tracer.is_enabled()};
}

std::string why_not_ready(const Backend& backend) {
  bool any = false;
  for (const ModelListing& listing : backend.repository.listings()) {
    if (!listing.answers() && listing.is_wanted())
      return "model '" + listing.name + "' is not ready: " + (listing.served ? "the GPU failed" : listing.reason);
    any = any || listing.answers();
  }
  // Where clients load models, a server without any is ready to be told which.
  if (!any && backend.repository.control() != ModelControl::kExplicit) return "there is no model in the repository";
  return backend.health ? backend.health->why_not_ready() : "";
}

bool is_alive(const Backend& backend) { return !backend.health || backend.health->is_alive(); }

void authorize_tracing(const Backend& backend, const Caller& caller) {
  backend.authorizer.authorize(Action::kChangeSettings, caller, "change trace settings");
  if (!backend.tracer.is_enabled()) throw NotEnabled("there is no file for traces: start the server with --trace-file");
}

void change_models(const Backend& backend, const Caller& caller, const std::string& what, std::function<void()> change,
                   std::function<void(const std::exception_ptr& thrown)> failed) {
  const auto fail = [&backend, caller, what, failed](const std::exception_ptr& thrown, std::string_view reason) {
    backend.authorizer.audit(caller, what, "failed: " + std::string(reason));
    failed(thrown);
  };
  const auto run = [&backend, caller, what, change = std::move(change), fail] {
    try {
      change();
    } catch (const std::exception& error) {
      return fail(std::current_exception(), error.what());
    }
    backend.authorizer.audit(caller, what, "done");
  };
  backend.control.submit(Task(run, [fail](const Error& error) { fail(std::make_exception_ptr(error), error.what()); }));
}

}  // namespace tandem
