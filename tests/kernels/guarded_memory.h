// Memory that ends at a page which nobody may touch: a kernel that reads or writes one element too many dies there.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <random>
#include <span>
#include <utility>

namespace tandem::test {

class GuardedMemory {
 public:
  explicit GuardedMemory(size_t bytes) {
    const size_t page = static_cast<size_t>(sysconf(_SC_PAGESIZE)), readable = (bytes + page - 1) / page * page;
    mapped_ = readable + page;
    begin_ = static_cast<std::byte*>(::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    if (begin_ == MAP_FAILED || ::mprotect(begin_ + readable, page, PROT_NONE) != 0) throw std::bad_alloc();
    bytes_ = {begin_ + readable - bytes, bytes};
  }
  GuardedMemory(GuardedMemory&& other) noexcept
      : begin_(std::exchange(other.begin_, nullptr)), mapped_(std::exchange(other.mapped_, 0)), bytes_(std::exchange(other.bytes_, {})) {}
  GuardedMemory& operator=(GuardedMemory&&) = delete;
  ~GuardedMemory() {
    if (begin_) ::munmap(begin_, mapped_);
  }
  std::span<std::byte> bytes() const { return bytes_; }

 private:
  std::byte* begin_ = nullptr;
  size_t mapped_ = 0;
  std::span<std::byte> bytes_;
};

// Elements with the guard right behind the last one.
template <class T>
class Guarded {
 public:
  explicit Guarded(int64_t n, T value = T(0)) : memory_(static_cast<size_t>(n) * sizeof(T)), n_(n) { std::fill_n(data(), n, value); }
  static Guarded random(int64_t n, uint32_t seed) {
    Guarded values(n);
    std::mt19937 generator(seed);
    std::uniform_real_distribution<double> uniform(-1, 1);
    for (int64_t i = 0; i < n; ++i) values.data()[i] = static_cast<T>(uniform(generator));
    return values;
  }
  T* data() const { return reinterpret_cast<T*>(memory_.bytes().data()); }
  int64_t size() const { return n_; }
  T operator[](int64_t i) const { return data()[i]; }

 private:
  GuardedMemory memory_;
  int64_t n_;
};

}  // namespace tandem::test
