#pragma once
#include <stddef.h>

/// Takes over every job of Swift's concurrency runtime in this process: from now on jobs wait in a list until
/// `simulation_run` runs one, on the calling thread. Call once, first, on the only thread.
void simulation_take_over(void);

/// Jobs that could run now.
size_t simulation_ready_count(void);

/// Runs the job at `index` of the list until it suspends or ends.
void simulation_run(size_t index);
