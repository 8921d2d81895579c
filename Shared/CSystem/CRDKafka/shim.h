#pragma once
#include <librdkafka/rdkafka.h>
#include <string.h>

// What Swift cannot import: variadic functions and macros with casts.

static const int32_t CKAFKA_PARTITION_UA = RD_KAFKA_PARTITION_UA;

/// Adds headers that lie packed: for each the counts of name and value, of four bytes each, the name, a NUL, the value.
static inline rd_kafka_resp_err_t ckafka_add_headers(rd_kafka_headers_t *headers, const void *packed, size_t count) {
  const char *next = (const char *)packed;
  for (size_t index = 0; index < count; index++) {
    uint32_t counts[2];
    memcpy(counts, next, sizeof counts);
    const char *name = next + sizeof counts;
    const char *value = name + counts[0] + 1;
    rd_kafka_resp_err_t code =
        rd_kafka_header_add(headers, name, (ssize_t)counts[0], value, (ssize_t)counts[1]);
    if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return code;
    next = value + counts[1];
  }
  return RD_KAFKA_RESP_ERR_NO_ERROR;
}

/// Queues one record, copying key and value. Takes the headers over when it succeeds, and only then.
static inline rd_kafka_resp_err_t ckafka_produce(
    rd_kafka_t *rk, rd_kafka_topic_t *topic, int32_t partition, const void *key, size_t key_length, const void *value,
    size_t value_length, rd_kafka_headers_t *headers, void *opaque) {
  if (headers != NULL) {
    return rd_kafka_producev(
        rk, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
        RD_KAFKA_V_KEY(key, key_length), RD_KAFKA_V_VALUE((void *)value, value_length),
        RD_KAFKA_V_HEADERS(headers), RD_KAFKA_V_OPAQUE(opaque), RD_KAFKA_V_END);
  }
  return rd_kafka_producev(
      rk, RD_KAFKA_V_RKT(topic), RD_KAFKA_V_PARTITION(partition), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
      RD_KAFKA_V_KEY(key, key_length), RD_KAFKA_V_VALUE((void *)value, value_length), RD_KAFKA_V_OPAQUE(opaque),
      RD_KAFKA_V_END);
}
