#include "block.h"

#include <sys/mman.h>

#include <algorithm>
#include <boost/context/detail/fcontext.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#if defined(__SANITIZE_THREAD__)
#include <sanitizer/tsan_interface.h>
#define EMULATOR_TSAN 1
extern "C" {
void AnnotateIgnoreReadsBegin(const char*, int);
void AnnotateIgnoreReadsEnd(const char*, int);
void AnnotateIgnoreWritesBegin(const char*, int);
void AnnotateIgnoreWritesEnd(const char*, int);
}
#else
#define EMULATOR_TSAN 0
#endif
#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#define EMULATOR_ASAN 1
#else
#define EMULATOR_ASAN 0
#endif
#if EMULATOR_TSAN
#define UNSEEN __attribute__((no_sanitize_thread))
#else
#define UNSEEN
#endif

namespace tandem::emulator {
namespace {

namespace context = boost::context::detail;

constexpr size_t kStackBytes = 64 * 1024;
constexpr unsigned kWarp = 32;

// The bookkeeping of the emulator itself is no subject of race detection.
struct Quiet {
#if EMULATOR_TSAN
  Quiet() {
    AnnotateIgnoreReadsBegin("", 0);
    AnnotateIgnoreWritesBegin("", 0);
  }
  ~Quiet() {
    AnnotateIgnoreReadsEnd("", 0);
    AnnotateIgnoreWritesEnd("", 0);
  }
#else
  Quiet() {}
#endif
};

// Lanes that exchange values under one mask.
struct Collective {
  uint32_t mask = 0, arrived = 0;
  uint64_t generation = 0;
  uint64_t in[kWarp];
  uint64_t out[2][kWarp];  // by the parity of the generation: a fast lane may begin the next exchange before a slow one has read
};
struct Warp {
  std::vector<Collective> collectives;
};

struct Fiber {
  ThreadView view;
  bool done = false;
  const char* waits_at = nullptr;
  char* stack = nullptr;
  context::fcontext_t context = nullptr;
#if EMULATOR_TSAN
  void* tsan = nullptr;
#endif
};

struct Block {
  BlockView view;
  unsigned threads = 0, live = 0, at_barrier = 0;
  uint64_t generation = 0, progress = 0;
  char barrier_sync[2] = {};
  std::vector<Fiber> fibers;
  std::vector<Warp> warps;
  std::vector<uint64_t> shared;
  std::vector<unsigned> order;
  const std::function<void()>* body = nullptr;
  Fiber* current = nullptr;
  char* stacks = nullptr;
  size_t stack_count = 0;
  context::fcontext_t main = nullptr;
#if EMULATOR_TSAN
  void* tsan_main = nullptr;
#endif
#if EMULATOR_ASAN
  void* fake_stack = nullptr;
  const void* main_stack = nullptr;
  size_t main_stack_bytes = 0;
#endif
  ~Block() {
    if (stacks) munmap(stacks, stack_count * kStackBytes);
  }
};

Block& block() {
  static thread_local Block b;
  return b;
}

uint64_t& schedule_seed() {
  static uint64_t seed = [] {
    const char* text = std::getenv("EMULATOR_SEED");
    return text ? std::strtoull(text, nullptr, 10) : 0ull;
  }();
  return seed;
}

UNSEEN void switch_to_main(bool for_good) {
  Block& b = block();
#if EMULATOR_ASAN
  void* fake = nullptr;
  __sanitizer_start_switch_fiber(for_good ? nullptr : &fake, b.main_stack, b.main_stack_bytes);
#endif
#if EMULATOR_TSAN
  __tsan_switch_to_fiber(b.tsan_main, __tsan_switch_to_fiber_no_sync);
#endif
  const context::transfer_t back = context::jump_fcontext(b.main, nullptr);
  if (!for_good) b.main = back.fctx;
#if EMULATOR_ASAN
  __sanitizer_finish_switch_fiber(fake, &b.main_stack, &b.main_stack_bytes);
#endif
}

UNSEEN void finish_fiber() {
  Block& b = block();
  b.current->done = true;
  --b.live;
  ++b.progress;
#if EMULATOR_TSAN
  __tsan_release(&b.live);
#endif
  switch_to_main(true);
  __builtin_unreachable();
}

UNSEEN void enter_fiber(context::transfer_t from) {
  Block& b = block();
  b.main = from.fctx;
#if EMULATOR_ASAN
  __sanitizer_finish_switch_fiber(nullptr, &b.main_stack, &b.main_stack_bytes);
#endif
  (*b.body)();
  finish_fiber();
}

UNSEEN void resume(Fiber& fiber) {
  Block& b = block();
  b.current = &fiber;
#if EMULATOR_ASAN
  __sanitizer_start_switch_fiber(&b.fake_stack, fiber.stack, kStackBytes);
#endif
#if EMULATOR_TSAN
  __tsan_switch_to_fiber(fiber.tsan, __tsan_switch_to_fiber_no_sync);
#endif
  fiber.context = context::jump_fcontext(fiber.context, nullptr).fctx;
#if EMULATOR_ASAN
  __sanitizer_finish_switch_fiber(b.fake_stack, nullptr, nullptr);
#endif
}

[[noreturn]] void die(const char* why) {
  const Block& b = block();
  std::fprintf(stderr, "cuda emulator: %s in block (%u,%u,%u)\n", why, b.view.index.x, b.view.index.y, b.view.index.z);
  int shown = 0;
  for (const Fiber& fiber : b.fibers)
    if (!fiber.done && shown++ < 4)
      std::fprintf(stderr, "  thread %u waits at %s\n", fiber.view.linear, fiber.waits_at ? fiber.waits_at : "nothing");
  std::abort();
}

uint64_t next_random(uint64_t& state) {  // xorshift64
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

UNSEEN void make_stacks(Block& b) {
  if (b.stack_count >= b.threads) return;
  if (b.stacks) munmap(b.stacks, b.stack_count * kStackBytes);
  b.stack_count = b.threads;
  void* memory = mmap(nullptr, b.stack_count * kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) die("no memory for the stacks");
  b.stacks = static_cast<char*>(memory);
}

UNSEEN void make_fibers(Block& b) {
  const dim3 size = b.view.block;
  b.fibers.resize(b.threads);
  b.order.resize(b.threads);
  for (unsigned i = 0; i < b.threads; ++i) {
    Fiber& fiber = b.fibers[i];
    fiber.view = {dim3(i % size.x, i / size.x % size.y, i / (size.x * size.y)), i, i % kWarp};
    fiber.done = false;
    fiber.waits_at = nullptr;
    fiber.stack = b.stacks + i * kStackBytes;
    b.order[i] = i;
    fiber.context = context::make_fcontext(fiber.stack + kStackBytes, kStackBytes, enter_fiber);
#if EMULATOR_TSAN
    if (fiber.tsan) __tsan_destroy_fiber(fiber.tsan);
    fiber.tsan = __tsan_create_fiber(0);
    __tsan_release(&b);
#endif
  }
}

UNSEEN void run_block(const LaunchShape& shape, dim3 index, const std::function<void()>& body, uint64_t seed) {
  const Quiet quiet;
  Block& b = block();
  b.threads = shape.block.x * shape.block.y * shape.block.z;
  b.live = b.threads;
  b.at_barrier = 0;
  b.body = &body;
  make_stacks(b);
  b.warps.assign((b.threads + kWarp - 1) / kWarp, {});
  b.shared.assign((shape.shared + 15) / 16 * 2, ~uint64_t{0});
  b.view = {shape.grid, shape.block, index, reinterpret_cast<std::byte*>(b.shared.data())};
#if EMULATOR_TSAN
  b.tsan_main = __tsan_get_current_fiber();
#endif
  make_fibers(b);
  if (seed)
    for (unsigned i = b.threads; i > 1; --i) std::swap(b.order[i - 1], b.order[next_random(seed) % i]);
  while (b.live) {
    const uint64_t before = b.progress;
    for (unsigned i : b.order)
      if (!b.fibers[i].done) resume(b.fibers[i]);
    if (b.progress == before && b.live) die("a barrier or warp collective that not all of its threads reach");
  }
#if EMULATOR_TSAN
  __tsan_acquire(&b.live);
#endif
}

}  // namespace

UNSEEN const ThreadView& this_thread() { return block().current->view; }
UNSEEN const BlockView& this_block() { return block().view; }

UNSEEN void sync_threads() {
  const Quiet quiet;
  Block& b = block();
  const uint64_t generation = b.generation;
  Fiber* self = b.current;
  self->waits_at = "__syncthreads";
#if EMULATOR_TSAN
  __tsan_release(&b.barrier_sync[generation & 1]);
#endif
  ++b.progress;
  if (++b.at_barrier == b.threads) {
    b.at_barrier = 0;
    ++b.generation;
  } else {
    while (b.generation == generation) switch_to_main(false);
  }
#if EMULATOR_TSAN
  __tsan_acquire(&b.barrier_sync[generation & 1]);
#endif
  self->waits_at = nullptr;
}

UNSEEN const uint64_t* warp_exchange(uint32_t mask, uint64_t value) {
  const Quiet quiet;
  Block& b = block();
  Fiber* self = b.current;
  Warp& warp = b.warps[self->view.linear / kWarp];
  const unsigned lane = self->view.lane, lanes = std::min(kWarp, b.threads - self->view.linear / kWarp * kWarp);
  mask &= lanes == kWarp ? ~0u : (1u << lanes) - 1;
  if (!(mask >> lane & 1)) die("a lane that its own mask does not name");
  if (warp.collectives.capacity() == 0) warp.collectives.reserve(64);
  auto found = std::find_if(warp.collectives.begin(), warp.collectives.end(), [&](const Collective& c) { return c.mask == mask; });
  if (found == warp.collectives.end()) {
    if (warp.collectives.size() == warp.collectives.capacity()) die("more than 64 masks in one warp");
    warp.collectives.emplace_back();
    found = warp.collectives.end() - 1;
    found->mask = mask;
  }
  Collective& c = *found;
  self->waits_at = "a warp collective";
  const uint64_t generation = c.generation;
  c.in[lane] = value;
  c.arrived |= 1u << lane;
  ++b.progress;
#if EMULATOR_TSAN
  __tsan_release(&c.out[generation & 1]);
#endif
  if (c.arrived == mask) {
    std::memcpy(c.out[generation & 1], c.in, sizeof c.in);
    c.arrived = 0;
    ++c.generation;
  } else {
    while (c.generation == generation) switch_to_main(false);
  }
#if EMULATOR_TSAN
  __tsan_acquire(&c.out[generation & 1]);
#endif
  self->waits_at = nullptr;
  return c.out[generation & 1];
}

void run_grid(const LaunchShape& shape, const std::function<void()>& body) {
  const auto blocks = static_cast<int64_t>(shape.grid.x) * shape.grid.y * shape.grid.z;
  const uint64_t seed = schedule_seed();
#pragma omp parallel for schedule(dynamic, 1) if (blocks > 1)
  for (int64_t i = 0; i < blocks; ++i) {
    const dim3 index(static_cast<unsigned>(i % shape.grid.x), static_cast<unsigned>(i / shape.grid.x % shape.grid.y),
                     static_cast<unsigned>(i / (static_cast<int64_t>(shape.grid.x) * shape.grid.y)));
    run_block(shape, index, body, seed ? seed * 0x9E3779B97F4A7C15ull + static_cast<uint64_t>(i) + 1 : 0);
  }
}

void set_schedule_seed(uint64_t seed) { schedule_seed() = seed; }

}  // namespace tandem::emulator
