// Preloaded into a process: how many bytes of its heap are in use, and the most there were since live_bytes_reset().
// Counts what malloc really hands out (malloc_usable_size), in all threads.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>

extern void* __libc_malloc(size_t);
extern void* __libc_calloc(size_t, size_t);
extern void* __libc_realloc(void*, size_t);
extern void* __libc_memalign(size_t, size_t);
extern void __libc_free(void*);

static atomic_long live, peak;

static void* counted(void* p) {
  if (!p) return p;
  const long now = atomic_fetch_add(&live, (long)malloc_usable_size(p)) + (long)malloc_usable_size(p);
  long most = atomic_load(&peak);
  while (now > most && !atomic_compare_exchange_weak(&peak, &most, now)) {
  }
  return p;
}
static void uncounted(void* p) {
  if (p) atomic_fetch_sub(&live, (long)malloc_usable_size(p));
}

void* malloc(size_t n) { return counted(__libc_malloc(n)); }
void* calloc(size_t n, size_t m) { return counted(__libc_calloc(n, m)); }
void* realloc(void* p, size_t n) {
  uncounted(p);
  void* moved = __libc_realloc(p, n);
  if (moved || n == 0) return counted(moved);
  counted(p);
  return moved;
}
void* memalign(size_t a, size_t n) { return counted(__libc_memalign(a, n)); }
void* aligned_alloc(size_t a, size_t n) { return counted(__libc_memalign(a, n)); }
int posix_memalign(void** out, size_t a, size_t n) {
  *out = counted(__libc_memalign(a, n));
  return *out ? 0 : ENOMEM;
}
void free(void* p) {
  uncounted(p);
  __libc_free(p);
}

long live_bytes(void) { return atomic_load(&live); }
long live_bytes_peak(void) { return atomic_load(&peak); }
void live_bytes_reset(void) { atomic_store(&peak, atomic_load(&live)); }
