// How late the system may end a sleep: what Swift has no word for. Header only; no state and no IO.
#pragma once

#include <stdbool.h>
#if defined(__linux__)
#include <sys/prctl.h>
#endif

/// Has sleeps of the calling thread end when they should. Linux otherwise lets them last up to 50 µs longer, so that several
/// threads are woken at once.
///
/// Returns whether the system did it; without it only the lateness is a little larger.
static inline bool escapement_timer_slack_minimize(void) {
#if defined(PR_SET_TIMERSLACK)
    // In nanoseconds; 0 would stand for what the thread began with.
    return prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL) == 0;
#else
    return false;
#endif
}

/// The slack of the calling thread in nanoseconds; -1 where there is none.
static inline long escapement_timer_slack(void) {
#if defined(PR_GET_TIMERSLACK)
    return prctl(PR_GET_TIMERSLACK, 0UL, 0UL, 0UL, 0UL);
#else
    return -1;
#endif
}
