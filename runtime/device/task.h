// Work for a lane: something to call once, and whom to tell if it throws.
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "kernels/base/error.h"

namespace tandem {

// Move-only, so that it may own what it works on (std::function would have to copy it).
class Task {
 public:
  // Called with what `run` threw, or with Cancelled if the lane stopped before the task's turn. It should not throw; if it does,
  // nobody is left to tell.
  using Failed = std::function<void(const Error&)>;

  template <class Run>
  requires std::invocable<Run&> &&(!std::same_as<std::remove_cvref_t<Run>, Task>)explicit Task(Run&& run, Failed failed = {})
      : body_(std::make_unique<Body<std::remove_cvref_t<Run>>>(std::forward<Run>(run))), failed_(std::move(failed)) {}

  void run() { body_->run(); }
  void fail(const Error& error) const {
    if (failed_) failed_(error);
  }

 private:
  struct AnyBody {
    virtual ~AnyBody() = default;
    virtual void run() = 0;
  };
  template <class Run>
  struct Body final : AnyBody {
    template <class R>
    explicit Body(R&& given) : call(std::forward<R>(given)) {}
    void run() override { call(); }
    Run call;
  };
  std::unique_ptr<AnyBody> body_;
  Failed failed_;
};

}  // namespace tandem
