// Memory by the large page, and reading ahead: what Swift has no word for. Header only, so that calls are compiled
// into their callers; no state and no IO.
#pragma once

#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>

/// The size of a large page, in bytes.
#define ESCAPEMENT_LARGE_PAGE_BYTES (2 << 20)

/// Memory of one large page, not initialized; NULL when there is none. To be given back with `free`.
///
/// Tables of millions of elements that are read at random miss the address cache at each read when they lie on pages
/// of 4 KiB, and under a hypervisor that costs more than the miss of the data. Where the system grants no large pages
/// (`/sys/kernel/mm/transparent_hugepage/enabled` is `never`) everything works the same, slower.
///
/// - Parameter is_large: ask for a large page: 2 MiB become resident at the first write. Otherwise pages become
///   resident one small page at a time.
static inline void *escapement_page_allocate(bool is_large) {
    if (!is_large) return malloc(ESCAPEMENT_LARGE_PAGE_BYTES);
    void *page = NULL;
    if (posix_memalign(&page, ESCAPEMENT_LARGE_PAGE_BYTES, ESCAPEMENT_LARGE_PAGE_BYTES) != 0) return NULL;
#ifdef MADV_HUGEPAGE
    // Advice: a refusal changes the speed only.
    madvise(page, ESCAPEMENT_LARGE_PAGE_BYTES, MADV_HUGEPAGE);
#endif
    return page;
}

static inline void escapement_page_free(void *page) { free(page); }

/// Asks for the cache line of `address`, which need not be readable, and does not wait for it.
static inline void escapement_prefetch(const void *address) { __builtin_prefetch(address); }
