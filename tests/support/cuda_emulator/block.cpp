#include "block.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <boost/context/detail/fcontext.hpp>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "sanitizers.h"

namespace tandem::emulator {
namespace {

namespace context = boost::context::detail;

constexpr unsigned kWarp = 32, kMostMasks = 64;

struct Fiber;

struct CudaThread {
  ThreadView view;
  bool done = false;
  Fiber* fiber = nullptr;  // null: not begun
  // It waits until *turn is no longer `seen`.
  const uint64_t* turn = nullptr;
  uint64_t seen = 0;
  const char* waits_at = nullptr;
};

// A stack on which CUDA threads run, one after the other; or the OS thread's own.
struct Fiber {
  context::fcontext_t context = nullptr;
  CudaThread* thread = nullptr;
  [[no_unique_address]] FiberMark mark;
};

// Lanes that exchange values under one mask.
struct Collective {
  uint32_t mask = 0, arrived = 0;
  uint64_t generation = 0;
  uint64_t in[kWarp];
  uint64_t out[2][kWarp];  // by the parity of the generation: a fast lane may begin the next exchange before a slow one has read
};
struct Warp {
  std::unique_ptr<Collective[]> collectives{new Collective[kMostMasks]};
  unsigned count = 0;
};

// What an OS thread keeps from block to block.
struct Block {
  const Kernel* kernel = nullptr;
  BlockView view;
  unsigned threads = 0, at_barrier = 0, cursor = 0;
  uint64_t generation = 0;
  char barrier[2] = {}, start = 0, end = 0;  // what TSan orders threads by; by parity, for the reason above
  std::vector<CudaThread> members;
  std::vector<unsigned> order;  // in which they get their turns
  std::vector<Warp> warps;
  std::unique_ptr<std::byte[]> shared;
  size_t shared_bytes = 0;
  Fiber main;
  std::vector<std::unique_ptr<Fiber>> fibers;
  std::vector<Fiber*> idle;
  std::vector<char*> stacks;  // of the fibers: their guard pages
  Fiber* arriving = nullptr;  // is being switched to
  CudaThread* current = nullptr;
  ~Block() {
    for (char* stack : stacks) munmap(stack, kGuardBytes + kStackBytes);
  }
};

Block& block() {
  static thread_local Block b;
  return b;
}

[[noreturn]] void die(const char* why) {
  const Block& b = block();
  const dim3 at = b.view.index;
  std::fprintf(stderr, "cuda emulator: %s in %.*s, block (%u,%u,%u)\n", why, static_cast<int>(b.kernel->name.size()), b.kernel->name.data(),
               at.x, at.y, at.z);
  constexpr int kShown = 4;
  int waiting = 0, ended = 0;
  for (const CudaThread& one : b.members) {
    ended += one.done;
    if (one.done || waiting++ >= kShown) continue;
    std::fprintf(stderr, "  thread %u waits at %s\n", one.view.linear, one.waits_at ? one.waits_at : "nothing");
  }
  std::fprintf(stderr, "  %d threads wait, %d have ended\n", waiting, ended);
  std::abort();
}

EMULATOR_UNSEEN void make_current(Block& b, CudaThread& thread) {
  b.current = &thread;
  running_thread = &thread.view;
}

// Leaves a fiber for another; returns when a third one comes back to it.
EMULATOR_UNSEEN void switch_to(Block& b, Fiber& from, Fiber& to) {
  b.arriving = &to;
  from.mark.leaving_for(to.mark);
  const context::transfer_t back = context::jump_fcontext(to.context, &from);
  static_cast<Fiber*>(back.data)->context = back.fctx;
  from.mark.came_back();
}

// The first that has not begun, or whose wait is over, at places [begin, end) of the order; null if there is none. Others are left behind.
EMULATOR_UNSEEN CudaThread* find_ready(Block& b, unsigned begin, unsigned end, bool& waiting) {
  for (unsigned place = begin; place < end; ++place) {
    CudaThread& one = b.members[b.order[place]];
    if (one.done) continue;
    if (!one.turn || *one.turn != one.seen) {
      b.cursor = place;
      return &one;
    }
    waiting = true;
  }
  return nullptr;
}

// The thread whose turn is next; null when all have ended. A warp goes on while it can: its stacks are in the cache.
EMULATOR_UNSEEN CudaThread* next_thread(Block& b) {
  const unsigned warp = b.cursor / kWarp * kWarp, warp_end = std::min(warp + kWarp, b.threads);
  bool waiting = false;
  CudaThread* found = find_ready(b, b.cursor + 1, warp_end, waiting);
  if (!found) found = find_ready(b, warp, b.cursor + 1, waiting);
  if (!found) found = find_ready(b, warp_end, b.threads, waiting);
  if (!found) found = find_ready(b, 0, warp, waiting);
  if (!found && waiting) die("a barrier or a warp collective that not all of its threads reach");
  return found;
}

EMULATOR_UNSEEN void run_fiber(context::transfer_t from);

EMULATOR_UNSEEN Fiber& new_fiber(Block& b) {
  void* memory = mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED || mprotect(memory, kGuardBytes, PROT_NONE) != 0) die("no memory for another thread's stack");
  b.stacks.push_back(static_cast<char*>(memory));
  Fiber& fiber = *b.fibers.emplace_back(new Fiber);
  char* stack = b.stacks.back() + kGuardBytes;
  // Stacks that all ended at the same place of a page would share few lines of the cache.
  const size_t colour = b.stacks.size() % 16 * 256;
  fiber.context = context::make_fcontext(stack + kStackBytes - colour, kStackBytes - colour, run_fiber);
  fiber.mark.make(stack, kStackBytes);
  return fiber;
}

// A fiber made by a CUDA thread would come after what that has done, to ThreadSanitizer: there the OS thread makes all of them.
EMULATOR_UNSEEN void make_fibers(Block& b) {
  b.idle.clear();
  while (b.fibers.size() < b.threads) new_fiber(b);
  for (const auto& fiber : b.fibers) b.idle.push_back(fiber.get());
}

// Where a thread goes on, or begins.
EMULATOR_UNSEEN Fiber& fiber_for(Block& b, CudaThread& thread) {
  if (thread.fiber) return *thread.fiber;
  Fiber* fiber = nullptr;
  if (b.idle.empty()) {
    fiber = &new_fiber(b);
  } else {
    fiber = b.idle.back();
    b.idle.pop_back();
  }
  fiber->thread = &thread;
  return *fiber;
}

EMULATOR_UNSEEN void begin_thread(Block& b, Fiber& self) {
  const Quiet quiet;
  self.thread->fiber = &self;
  make_current(b, *self.thread);
  acquire(&b.start);
}

// Ends the fiber's thread. The fiber takes the next one, if that has not begun; else it rests, until there is one for it.
EMULATOR_UNSEEN void end_thread(Block& b, Fiber& self) {
  const Quiet quiet;
  self.thread->done = true;
  release(&b.end);
  CudaThread* next = next_thread(b);
  if (next && !next->fiber && !kThreadSanitizer) {
    self.thread = next;
    return;
  }
  if (!kThreadSanitizer) b.idle.push_back(&self);  // there a fiber is one thread of a block
  Fiber& to = !next ? b.main : next->fiber ? *next->fiber : fiber_for(b, *next);
  switch_to(b, self, to);
}

EMULATOR_UNSEEN void run_fiber(context::transfer_t from) {
  Block& b = block();
  auto* before = static_cast<Fiber*>(from.data);
  before->context = from.fctx;
  Fiber& self = *b.arriving;
  self.mark.entered(before->mark);
  for (;;) {
    begin_thread(b, self);
    b.kernel->body();
    end_thread(b, self);
  }
}

// The running thread waits until *turn changes.
EMULATOR_UNSEEN void wait(Block& b, const uint64_t& turn, uint64_t seen, const char* where) {
  CudaThread& self = *b.current;
  self.turn = &turn;
  self.seen = seen;
  self.waits_at = where;
  CudaThread* next = next_thread(b);
  if (next != &self) {
    switch_to(b, *self.fiber, fiber_for(b, *next));
    make_current(b, self);
  }
  self.turn = nullptr;
}

std::atomic<uint64_t>& seed_of_schedule() {
  static std::atomic<uint64_t> seed = [] {
    const char* text = std::getenv("EMULATOR_SEED");
    return text ? std::strtoull(text, nullptr, 10) : 0;
  }();
  return seed;
}

EMULATOR_UNSEEN uint64_t next_random(uint64_t& state) {  // xorshift64
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return state;
}

EMULATOR_UNSEEN void order_threads(Block& b) {
  const dim3 at = b.view.index;
  uint64_t seed = seed_of_schedule();
  if (seed) seed = seed * 0x9E3779B97F4A7C15ull + at.x + (uint64_t{at.y} << 31) + (uint64_t{at.z} << 47) + 1;
  for (unsigned i = 0; i < b.threads; ++i) b.order[i] = i;
  if (seed)
    for (unsigned i = b.threads; i > 1; --i) std::swap(b.order[i - 1], b.order[next_random(seed) % i]);
}

EMULATOR_UNSEEN void make_members(Block& b) {
  const dim3 size = b.view.block;
  b.members.resize(b.threads);
  b.order.resize(b.threads);
  b.warps.resize(std::max<size_t>(b.warps.size(), (b.threads + kWarp - 1) / kWarp));
  for (Warp& warp : b.warps) warp.count = 0;
  for (unsigned i = 0; i < b.threads; ++i)
    b.members[i] = {.view = {dim3(i % size.x, i / size.x % size.y, i / (size.x * size.y)), i, i % kWarp}};
}

// Exactly as large as asked for, so that AddressSanitizer sees what is beyond it.
EMULATOR_UNSEEN void make_shared(Block& b) {
  const size_t bytes = b.kernel->shape.shared;
  if (bytes != b.shared_bytes) b.shared.reset(bytes ? new std::byte[bytes] : nullptr);
  b.shared_bytes = bytes;
  if (bytes) std::memset(b.shared.get(), 0xFF, bytes);
}

EMULATOR_UNSEEN Collective& collective_of(Warp& warp, uint32_t mask) {
  for (unsigned i = 0; i < warp.count; ++i)
    if (warp.collectives[i].mask == mask) return warp.collectives[i];
  if (warp.count == kMostMasks) die("more than 64 masks in one warp");
  Collective& added = warp.collectives[warp.count++];
  added.mask = mask;
  added.arrived = 0;
  added.generation = 0;
  return added;
}

}  // namespace

EMULATOR_UNSEEN void sync_threads() {
  const Quiet quiet;
  Block& b = block();
  const uint64_t generation = b.generation;
  release(&b.barrier[generation & 1]);
  if (++b.at_barrier == b.threads) {
    b.at_barrier = 0;
    ++b.generation;
  } else {
    wait(b, b.generation, generation, "__syncthreads");
  }
  acquire(&b.barrier[generation & 1]);
}

EMULATOR_UNSEEN const uint64_t* warp_exchange(uint32_t mask, uint64_t value) {
  const Quiet quiet;
  Block& b = block();
  const ThreadView& self = b.current->view;
  const unsigned lanes = std::min(kWarp, b.threads - self.linear / kWarp * kWarp);
  mask &= lanes == kWarp ? ~0u : (1u << lanes) - 1;
  if (!(mask >> self.lane & 1)) die("a lane that its own mask does not name");
  Collective& c = collective_of(b.warps[self.linear / kWarp], mask);
  const uint64_t generation = c.generation;
  uint64_t* out = c.out[generation & 1];
  c.in[self.lane] = value;
  c.arrived |= 1u << self.lane;
  release(out);
  if (c.arrived == mask) {
    std::memcpy(out, c.in, sizeof c.in);
    c.arrived = 0;
    ++c.generation;
  } else {
    wait(b, c.generation, generation, "a warp collective");
  }
  acquire(out);
  return out;
}

EMULATOR_UNSEEN void run_block(const Kernel& kernel, dim3 index) {
  const Quiet quiet;
  Block& b = block();
  b.kernel = &kernel;
  b.threads = kernel.shape.block.x * kernel.shape.block.y * kernel.shape.block.z;
  b.at_barrier = 0;
  make_shared(b);
  b.view = {kernel.shape.grid, kernel.shape.block, index, b.shared.get()};
  running_block = &b.view;
  make_members(b);
  order_threads(b);
  b.main.mark.adopt();
  if (kThreadSanitizer) make_fibers(b);
  release(&b.start);
  b.cursor = 0;
  switch_to(b, b.main, fiber_for(b, b.members[b.order[0]]));
  acquire(&b.end);
}

void set_schedule_seed(uint64_t seed) { seed_of_schedule() = seed; }

bool describe_overflow(const void* address, char* text, size_t bytes) {
  const Block& b = block();
  for (char* stack : b.stacks) {
    if (address < stack || address >= stack + kGuardBytes) continue;
    std::snprintf(text, bytes, "thread %u of %.*s uses more than the %zu KiB of stack that a thread has here",
                  b.current ? b.current->view.linear : 0, static_cast<int>(b.kernel->name.size()), b.kernel->name.data(), kStackBytes / 1024);
    return true;
  }
  return false;
}

}  // namespace tandem::emulator
