#ifndef ESCAPEMENT_ALLOCATION_COUNT_H
#define ESCAPEMENT_ALLOCATION_COUNT_H

#include <stdint.h>
#ifdef __linux__
/* For malloc_trim, which the C library's own module leaves out. */
#include <malloc.h>
#endif

/* How many blocks this process has asked the heap for since it started. Linux with glibc only; 0 elsewhere. */
uint64_t escapement_allocation_count(void);

/* The same of the calling thread alone. */
uint64_t escapement_thread_allocation_count(void);

#endif
