// The body of a request, in memory that its tensors may keep.
//
// A large body is read from the socket to where it stays, and a tensor of it may lie there: so its bytes are copied once, by the kernel. It begins where what
// follows the JSON of an inference request is aligned as tensors are. Memory grows as bytes come, whatever length was announced: the whole of that is taken once
// kTrusted bytes are there.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

#include "kernels/base/block.h"

namespace tandem::http_detail {

class RequestBody {
 public:
  std::string_view view() const { return size_ > 0 ? std::string_view(data(), size_) : std::string_view(); }
  // Its memory; what is in it stands as long as a handle does.
  const std::shared_ptr<std::byte[]>& memory() const { return memory_; }

  // Before the first byte. `announced`: its length, or 0; `json_bytes`: where its first tensor will begin.
  void expect(size_t announced, std::string_view json_bytes) {
    announced_ = announced;
    size_t tensors = 0;
    std::from_chars(json_bytes.data(), json_bytes.data() + json_bytes.size(), tensors);  // whoever reads it refuses what is none
    begin_ = (kAlignment - tensors % kAlignment) % kAlignment;
    if (announced > 0) grow(std::min(announced, kTrusted));
  }
  // Room for at least one byte and at most `most` behind those that are there; append() takes them where they are.
  std::span<char> room(size_t most) {
    if (size_ == capacity_) grow(size_ < announced_ ? announced_ : std::max(2 * size_, most));
    return {data() + size_, std::min(most, capacity_ - size_)};
  }
  void append(std::string_view bytes) {
    while (!bytes.empty()) {
      const std::span<char> to = room(bytes.size());
      if (to.data() != bytes.data()) std::memcpy(to.data(), bytes.data(), to.size());
      size_ += to.size();
      bytes.remove_prefix(to.size());
    }
  }

 private:
  static constexpr size_t kAlignment = 64, kTrusted = size_t{1} << 20;

  char* data() const { return reinterpret_cast<char*>(memory_.get()) + begin_; }
  void grow(size_t capacity) {
    auto memory = make_block(begin_ + capacity);
    if (size_ > 0) std::memcpy(memory.get() + begin_, data(), size_);
    memory_ = std::move(memory);
    capacity_ = capacity;
  }

  std::shared_ptr<std::byte[]> memory_;
  size_t begin_ = 0, size_ = 0, capacity_ = 0, announced_ = 0;
};

}  // namespace tandem::http_detail
