// Panels that are in memory once, however many models packed them: versions of which one layer differs, a file that was exported again under
// other names.
//
// Panels are compared with those that are there, bit by bit: nothing hangs on a hash, or on where a constant came from. The pool keeps nothing alive.
#pragma once

#include <any>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace tandem {

// What a kernel made of a constant: a handle, and the bytes that it keeps in memory. Of a handle without runs nothing is known.
struct Panels {
  std::any handle;
  std::vector<std::span<const std::byte>> runs;
};

// Of a T whose panels are one run of bytes, data() and bytes() of it, or several, runs().
template <class T>
Panels panels_of(T handle) {
  Panels panels;
  if constexpr (requires { handle.runs(); })
    panels.runs = handle.runs();
  else if constexpr (requires { handle.data(); })
    panels.runs = {{reinterpret_cast<const std::byte*>(handle.data()), handle.bytes()}};
  panels.handle = std::move(handle);
  return panels;
}

// Any thread.
class PanelPool {
 public:
  // Those of a living model that have this form and the same bits; else `made`, from now on known. The form tells the handle's type, the layout, and
  // the type and shape of what was packed: all that a handle may hold beside its bytes.
  std::shared_ptr<const Panels> share(const std::string& form, Panels made);

 private:
  void forget_the_gone();

  std::mutex mutex_;
  std::unordered_multimap<std::string, std::weak_ptr<const Panels>> panels_;  // by form
  size_t look_at_ = 64;  // when there are so many, those that have gone are looked for
};

}  // namespace tandem
