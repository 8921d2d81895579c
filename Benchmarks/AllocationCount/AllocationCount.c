#define _GNU_SOURCE
#include "AllocationCount.h"

#include <stdatomic.h>
#include <stddef.h>

/* A slot for each thread, on a cache line of its own: threads that allocate do not wait for each other. */
enum { slot_count = 1024, cache_line = 64 };

struct slot {
    _Alignas(cache_line) _Atomic uint64_t allocations;
};

static struct slot slots[slot_count];
/* Threads that have come so far. */
static _Atomic uint64_t thread_count;
static _Thread_local struct slot *own;
static _Thread_local uint64_t thread_allocations;

uint64_t escapement_allocation_count(void) {
    uint64_t sum = 0;
    for (size_t i = 0; i < slot_count; i++) sum += atomic_load_explicit(&slots[i].allocations, memory_order_relaxed);
    return sum;
}

uint64_t escapement_thread_allocation_count(void) { return thread_allocations; }

/* Sanitizers put functions of their own in the place of these. */
#ifdef __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif

#if defined(__GLIBC__) && !defined(SANITIZED)

#include <dlfcn.h>

static void note(void) {
    struct slot *const last = &slots[slot_count - 1];
    thread_allocations++;
    if (!own) {
        uint64_t number = atomic_fetch_add_explicit(&thread_count, 1, memory_order_relaxed);
        own = number < slot_count ? &slots[number] : last;
    }
    if (own == last) {
        /* Of all threads that came late. */
        atomic_fetch_add_explicit(&own->allocations, 1, memory_order_relaxed);
    } else {
        uint64_t count = atomic_load_explicit(&own->allocations, memory_order_relaxed);
        atomic_store_explicit(&own->allocations, count + 1, memory_order_relaxed);
    }
}

/* Each counts and calls what would have been called without it: the function of the C library, or of an allocator that is
   loaded before it. `free` stays that allocator's. A name that is found takes no memory to find. */
#define COUNTED(result, name, parameters, arguments)                                                                   \
    result name parameters {                                                                                           \
        static result(*_Atomic next) parameters;                                                                       \
        result(*function) parameters = atomic_load_explicit(&next, memory_order_relaxed);                              \
        if (!function) {                                                                                               \
            function = (result(*) parameters)dlsym(RTLD_NEXT, #name);                                                  \
            atomic_store_explicit(&next, function, memory_order_relaxed);                                              \
        }                                                                                                              \
        note();                                                                                                        \
        return function arguments;                                                                                     \
    }

COUNTED(void *, malloc, (size_t size), (size))
COUNTED(void *, calloc, (size_t count, size_t size), (count, size))
COUNTED(void *, realloc, (void *block, size_t size), (block, size))
COUNTED(int, posix_memalign, (void **block, size_t alignment, size_t size), (block, alignment, size))
COUNTED(void *, aligned_alloc, (size_t alignment, size_t size), (alignment, size))
COUNTED(void *, memalign, (size_t alignment, size_t size), (alignment, size))

#endif
