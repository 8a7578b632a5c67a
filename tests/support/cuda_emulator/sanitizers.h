// What the emulator tells the sanitizers of this build: fibers are threads to ThreadSanitizer and stacks to AddressSanitizer, and the
// emulator's own bookkeeping is no subject of race detection. Without sanitizers all of it is nothing.
#pragma once

#include <cstddef>

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
extern "C" {
void AnnotateIgnoreReadsBegin(const char*, int);
void AnnotateIgnoreReadsEnd(const char*, int);
void AnnotateIgnoreWritesBegin(const char*, int);
void AnnotateIgnoreWritesEnd(const char*, int);
}
#define EMULATOR_UNSEEN __attribute__((no_sanitize_thread))
#else
#define EMULATOR_UNSEEN
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

namespace tandem::emulator {

#if defined(__SANITIZE_THREAD__)

inline constexpr bool kThreadSanitizer = true;

// Accesses of the thread are not looked at while one lives.
struct Quiet {
  EMULATOR_UNSEEN Quiet() {
    AnnotateIgnoreReadsBegin("", 0);
    AnnotateIgnoreWritesBegin("", 0);
  }
  EMULATOR_UNSEEN ~Quiet() {
    AnnotateIgnoreReadsEnd("", 0);
    AnnotateIgnoreWritesEnd("", 0);
  }
};

// What one thread did before `release` comes before what another does after its `acquire` of the same address.
inline void release(void* at) { __tsan_release(at); }
inline void acquire(void* at) { __tsan_acquire(at); }

struct FiberMark {
  void* fiber = nullptr;
  void make(const void*, size_t) { fiber = __tsan_create_fiber(0); }
  void adopt() { fiber = __tsan_get_current_fiber(); }  // the calling thread's
  void leaving_for(FiberMark& to) { __tsan_switch_to_fiber(to.fiber, __tsan_switch_to_fiber_no_sync); }
  void entered(FiberMark&) {}
  void came_back() {}
};

#elif defined(__SANITIZE_ADDRESS__)

inline constexpr bool kThreadSanitizer = false;
struct Quiet {
  Quiet() {}
};
inline void release(void*) {}
inline void acquire(void*) {}

struct FiberMark {
  const void* stack = nullptr;
  size_t bytes = 0;
  void* fake_stack = nullptr;
  void make(const void* low, size_t size) { stack = low, bytes = size; }
  void adopt() {}
  void leaving_for(FiberMark& to) { __sanitizer_start_switch_fiber(&fake_stack, to.stack, to.bytes); }
  // The first time that a new fiber runs: `from` may be the thread's own stack, whose place is learnt here.
  void entered(FiberMark& from) { __sanitizer_finish_switch_fiber(nullptr, &from.stack, &from.bytes); }
  void came_back() { __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr); }
};

#else

inline constexpr bool kThreadSanitizer = false;
struct Quiet {
  Quiet() {}
};
inline void release(void*) {}
inline void acquire(void*) {}
struct FiberMark {
  void make(const void*, size_t) {}
  void adopt() {}
  void leaving_for(FiberMark&) {}
  void entered(FiberMark&) {}
  void came_back() {}
};

#endif

}  // namespace tandem::emulator
