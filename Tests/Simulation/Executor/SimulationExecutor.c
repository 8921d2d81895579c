// The runtime calls these hooks, when they are set, instead of its own executors. They are the documented way in
// (swift/Runtime/Concurrency.h) for a program that brings its own scheduling.
#include "SimulationExecutor.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SWIFT_CC __attribute__((swiftcall))

typedef struct {
  void *identity;
  void *implementation;
} ExecutorRef;

typedef SWIFT_CC void (*EnqueueOriginal)(void *job);

extern SWIFT_CC void (*swift_task_enqueueGlobal_hook)(void *job, EnqueueOriginal original);
extern SWIFT_CC void (*swift_task_enqueueMainExecutor_hook)(void *job, EnqueueOriginal original);
extern SWIFT_CC void swift_job_run(void *job, ExecutorRef executor);

static void **jobs;
static size_t count;
static size_t capacity;
static pthread_t owner;

static SWIFT_CC void enqueue(void *job, EnqueueOriginal original) {
  (void)original;
  if (!pthread_equal(owner, pthread_self())) {
    fputs("simulation: a job came from another thread; the run would not repeat\n", stderr);
    abort();
  }
  if (count == capacity) {
    capacity = capacity == 0 ? 256 : capacity * 2;
    jobs = realloc(jobs, capacity * sizeof *jobs);
    if (jobs == NULL) abort();
  }
  jobs[count++] = job;
}

void simulation_take_over(void) {
  owner = pthread_self();
  swift_task_enqueueGlobal_hook = enqueue;
  swift_task_enqueueMainExecutor_hook = enqueue;
}

size_t simulation_ready_count(void) { return count; }

void simulation_run(size_t index) {
  if (index >= count) abort();
  void *job = jobs[index];
  count--;
  memmove(jobs + index, jobs + index + 1, (count - index) * sizeof *jobs);
  ExecutorRef generic = {NULL, NULL};
  swift_job_run(job, generic);
}
