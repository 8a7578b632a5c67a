// Bytes of a connection that have come and that no parser has taken yet. Those just read lie in the network thread's memory, which all of its
// connections read into; only what is to wait for more is copied. So a connection that says nothing holds no buffer.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace tandem::http_detail {

class UnreadBytes {
 public:
  std::string_view view() const { return view_; }
  bool empty() const { return view_.empty(); }
  // Behind what is there already. `fresh` is to stand until keep().
  void add(std::string_view fresh) {
    if (empty()) {
      view_ = fresh;
      return;
    }
    keep();
    kept_.erase(0, static_cast<size_t>(view_.data() - kept_.data()));
    kept_ += fresh;
    view_ = kept_;
  }
  void consume(size_t bytes) { view_.remove_prefix(bytes); }
  void clear() { view_ = {}; }
  // What is left gets memory of its own, and nothing left gives its memory back.
  void keep() {
    if (empty()) {
      std::string().swap(kept_);
      view_ = {};
    } else if (view_.data() < kept_.data() || view_.data() > kept_.data() + kept_.size()) {
      kept_ = view_;
      view_ = kept_;
    }
  }

 private:
  std::string kept_;
  std::string_view view_;  // of kept_, or of the caller's
};

}  // namespace tandem::http_detail
