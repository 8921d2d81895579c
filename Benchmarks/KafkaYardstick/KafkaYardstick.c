#include "KafkaYardstick.h"

#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdio.h>
#include <time.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As brokers do: without it an answer waits for the delayed acknowledgement of the one before. */
int accept(int listener, struct sockaddr *address, socklen_t *length) {
    int on = 1;
    int accepted = (int)syscall(SYS_accept4, listener, address, length, 0);
    if (accepted >= 0) setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return accepted;
}

static uint64_t nanoseconds(clockid_t id) {
    struct timespec time;
    clock_gettime(id, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void report(rd_kafka_t *client, const rd_kafka_message_t *message, void *opaque) {
    struct yardstick_result *result = opaque;
    (void)client;
    if (message->err) result->failed++; else result->delivered++;
}

static int failed(rd_kafka_error_t *error, char *problem, size_t size) {
    if (!error) return 0;
    snprintf(problem, size, "%s", rd_kafka_error_string(error));
    rd_kafka_error_destroy(error);
    return 1;
}

static rd_kafka_headers_t *headers_of(const struct yardstick_record *record) {
    if (record->header_count == 0) return NULL;
    rd_kafka_headers_t *headers = rd_kafka_headers_new(record->header_count);
    for (size_t i = 0; i < record->header_count; i++)
        rd_kafka_header_add(
            headers, record->header_names[i], -1, record->header_values[i], (ssize_t)record->header_lengths[i]);
    return headers;
}

/* What a loop sends, and how. */
struct loop {
    rd_kafka_t *client;
    const char *topic;
    const struct yardstick_record *record;
    uint64_t transaction_size;
    char *problem;
    size_t problem_size;
};

/* Sends `count` records and waits until they are delivered. */
static int produce(const struct loop *loop, uint64_t count) {
    rd_kafka_t *client = loop->client;
    const struct yardstick_record *record = loop->record;
    uint64_t transaction_size = loop->transaction_size;
    int status = 0;
    for (uint64_t i = 0; i < count && !status; i++) {
        if (transaction_size && i % transaction_size == 0)
            status = failed(rd_kafka_begin_transaction(client), loop->problem, loop->problem_size);
        char key[24];
        int key_length = snprintf(key, sizeof key, "k%llu", (unsigned long long)i);
        for (;;) {
            rd_kafka_headers_t *headers = headers_of(record);
            rd_kafka_resp_err_t code =
                headers ? rd_kafka_producev(
                    client, RD_KAFKA_V_TOPIC(loop->topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                    RD_KAFKA_V_KEY(key, (size_t)key_length),
                    RD_KAFKA_V_VALUE((void *)record->value, record->value_length), RD_KAFKA_V_HEADERS(headers),
                    RD_KAFKA_V_END)
                        : rd_kafka_producev(
                    client, RD_KAFKA_V_TOPIC(loop->topic), RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY),
                    RD_KAFKA_V_KEY(key, (size_t)key_length),
                    RD_KAFKA_V_VALUE((void *)record->value, record->value_length), RD_KAFKA_V_END);
            if (!code) break;
            if (headers) rd_kafka_headers_destroy(headers);
            if (code != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
                snprintf(loop->problem, loop->problem_size, "%s", rd_kafka_err2str(code));
                status = 1;
                break;
            }
            rd_kafka_poll(client, 1);
        }
        if (i % 256 == 0) rd_kafka_poll(client, 0);
        if (transaction_size && !status && (i % transaction_size == transaction_size - 1 || i == count - 1))
            status = failed(rd_kafka_commit_transaction(client, 20000), loop->problem, loop->problem_size);
    }
    rd_kafka_flush(client, 60000);
    return status;
}

int yardstick_produce(
    const char *bootstrap, const char *topic, uint64_t warm_up, uint64_t count, const struct yardstick_record *record,
    int linger_ms, uint64_t transaction_size, int is_idempotent, struct yardstick_result *result, char *problem,
    size_t problem_size
) {
    char linger[16];
    snprintf(linger, sizeof linger, "%d", linger_ms);
    const char *properties[][2] = {
        {"bootstrap.servers", bootstrap}, {"acks", "all"}, {"linger.ms", linger}, {"log_level", "3"},
        {"queue.buffering.max.messages", "1000000"}, {"queue.buffering.max.kbytes", "1048576"},
        {transaction_size ? "transactional.id" : "enable.idempotence",
         transaction_size ? "yardstick" : is_idempotent ? "true" : "false"},
    };
    rd_kafka_conf_t *configuration = rd_kafka_conf_new();
    for (size_t i = 0; i < sizeof properties / sizeof *properties; i++)
        if (rd_kafka_conf_set(configuration, properties[i][0], properties[i][1], problem, problem_size)) return 1;
    rd_kafka_conf_set_dr_msg_cb(configuration, report);
    rd_kafka_conf_set_opaque(configuration, result);
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, configuration, problem, problem_size);
    if (!client) return 1;
    struct loop loop = {client, topic, record, transaction_size, problem, problem_size};
    int status = transaction_size && failed(rd_kafka_init_transactions(client, 20000), problem, problem_size);
    if (!status) status = produce(&loop, warm_up);
    if (!status) {
        result->delivered = result->failed = 0;
        uint64_t wall = nanoseconds(CLOCK_MONOTONIC), cpu = nanoseconds(CLOCK_PROCESS_CPUTIME_ID);
        status = produce(&loop, count);
        result->nanoseconds = nanoseconds(CLOCK_MONOTONIC) - wall;
        result->cpu_nanoseconds = nanoseconds(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    }
    rd_kafka_destroy(client);
    return status;
}

int yardstick_mock(const char *const *topics, const int *partitions, size_t count) {
    char problem[256];
    rd_kafka_t *client = rd_kafka_new(RD_KAFKA_PRODUCER, rd_kafka_conf_new(), problem, sizeof problem);
    rd_kafka_mock_cluster_t *cluster = client ? rd_kafka_mock_cluster_new(client, 1) : NULL;
    if (!cluster) return 1;
    for (size_t i = 0; i < count; i++) rd_kafka_mock_topic_create(cluster, topics[i], partitions[i], 1);
    printf("%s\n", rd_kafka_mock_cluster_bootstraps(cluster));
    fflush(stdout);
    char byte;
    while (read(STDIN_FILENO, &byte, 1) > 0) {}
    rd_kafka_mock_cluster_destroy(cluster);
    rd_kafka_destroy(client);
    return 0;
}
