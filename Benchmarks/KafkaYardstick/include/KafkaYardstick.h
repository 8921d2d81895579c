#ifndef ESCAPEMENT_KAFKA_YARDSTICK_H
#define ESCAPEMENT_KAFKA_YARDSTICK_H

#include <stddef.h>
#include <stdint.h>

/* One record, sent again and again: a value, and headers as name, value, length of the value. */
struct yardstick_record {
    const void *value;
    size_t value_length;
    const char *const *header_names;
    const void *const *header_values;
    const size_t *header_lengths;
    size_t header_count;
};

struct yardstick_result {
    uint64_t delivered;
    uint64_t failed;
    uint64_t nanoseconds;
    uint64_t cpu_nanoseconds;
};

/* The bare loop: librdkafka and nothing else. `warm_up` records are sent before the clock starts. transaction_size 0 is
   the idempotent producer without transactions.
   Returns 0, or writes why not into `problem`. */
int yardstick_produce(
    const char *bootstrap, const char *topic, uint64_t warm_up, uint64_t count, const struct yardstick_record *record,
    int linger_ms, uint64_t transaction_size, int is_idempotent, struct yardstick_result *result, char *problem,
    size_t problem_size);

/* librdkafka's mock cluster of one broker in this process, with these topics: prints its address, lives until the
   standard input ends. */
int yardstick_mock(const char *const *topics, const int *partitions, size_t count);

#endif
