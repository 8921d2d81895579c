#pragma once
#include <libpq-fe.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>

/// prctl is variadic, and pthread_setname_np hidden without _GNU_SOURCE.
static inline void clibpq_name_thread(const char *name) { prctl(PR_SET_NAME, name, 0, 0, 0); }
