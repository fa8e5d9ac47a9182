/* bench_path.c - samples through a running filter: ZeroMQ in, durable, ZeroMQ out.
 *
 *   usage: bench_path INGEST EGRESS N_SAMPLES [RATE [BATCH_SAMPLES]]
 *
 * One producer and one consumer, a thread each, in this process; the filter is another process.
 * Every sample is a fresh text of 1 KiB made of words drawn by Zipf's law, so nothing is a
 * duplicate. The id of a sample holds the time at which its batch was due, so that a filter which
 * holds the producer back is not flattered. RATE 0 = as fast as the window allows; latency then
 * measures the window, from the hand-over to the client. Prints one line of JSON:
 *
 *   samples/s to the last acknowledgement | to the last sample read | due -> read in ms
 */
#include "bytes.h"
#include "wire/client.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define TEXT_BYTES 1024
#define N_WORDS    20000

typedef struct bench {
    const char *ingest, *egress;
    uint64_t n_samples, rate;
    uint32_t batch_samples;
    int64_t started_us, acknowledged_us, read_us;
    float *latency_ms; /* [n_samples] */
    uint64_t n_read, first_offset;
} bench;

static char word[N_WORDS][12];
static uint16_t drawn[1 << 16]; /* words by Zipf's law: index uniformly */

static void must(sluice_status status, const sluice_message *why)
{
    if (status != SLUICE_OK) {
        fprintf(stderr, "bench_path: %s\n", why->text);
        exit(1);
    }
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void make_words(void)
{
    uint64_t state = 88172645463325252u;
    for (int i = 0; i < N_WORDS; i++) {
        size_t size = 3 + next_random(&state) % 7;
        for (size_t k = 0; k < size; k++) {
            word[i][k] = (char)('a' + next_random(&state) % 26);
        }
    }
    for (int i = 0; i < 1 << 16; i++) { /* P(rank) ~ 1 / rank, roughly: 2^(16 u) */
        double u = (double)i / (1 << 16);
        double rank = 1.0;
        for (double left = u * 14.3; left > 0; left -= 1) {
            rank *= left >= 1 ? 2.0 : 1.0 + left;
        }
        drawn[i] = (uint16_t)(rank < N_WORDS ? rank : N_WORDS - 1);
    }
}

/* `0A len Sample` with id = time and number, source, and TEXT_BYTES of words. */
static void add_sample(sluice_bytes *batch, uint64_t number, int64_t sent_us, uint64_t *state)
{
    char id[40], text[TEXT_BYTES + 16];
    int id_size =
        snprintf(id, sizeof id, "%015lld-%llu", (long long)sent_us, (unsigned long long)number);
    size_t size = 0;
    while (size < TEXT_BYTES) {
        uint64_t bits = next_random(state);
        for (int i = 0; i < 4 && size < TEXT_BYTES; i++, bits >>= 16) {
            const char *w = word[drawn[bits & 0xffff]];
            memcpy(text + size, w, 12);
            size += strlen(w);
            text[size++] = ' ';
        }
    }
    size = TEXT_BYTES;
    size_t inner = 2 + (size_t)id_size + 2 + 5 + 3 + size;
    (void)(sl_bytes_put_u8(batch, 0x0a) || sl_bytes_put_varint(batch, inner) ||
           sl_bytes_put_u8(batch, 0x0a) || sl_bytes_put_u8(batch, (uint8_t)id_size) ||
           sl_bytes_append(batch, id, (size_t)id_size) ||
           sl_bytes_append(batch,
                           "\x12\x05"
                           "bench",
                           7) ||
           sl_bytes_put_u8(batch, 0x22) || sl_bytes_put_varint(batch, size) ||
           sl_bytes_append(batch, text, size));
}

static int64_t wait_due(const bench *self, uint64_t sent)
{
    int64_t due = self->started_us + (int64_t)(sent * 1000000 / self->rate);
    int64_t left_us = due - now_us();
    if (left_us > 0) {
        struct timespec pause = {left_us / 1000000, left_us % 1000000 * 1000};
        nanosleep(&pause, NULL);
    }
    return due;
}

static void *produce(void *context)
{
    bench *self = context;
    sluice_message why = {""};
    sl_client_options options = {.endpoint = self->ingest, .timeout_ms = 60000};
    sl_producer *producer = NULL;
    char name[32];
    snprintf(name, sizeof name, "bench-%lld", (long long)self->started_us);
    must(sl_producer_open(&options, name, &producer, &why), &why);
    sluice_bytes batch = {0};
    uint64_t state = (uint64_t)self->started_us | 1;
    for (uint64_t sent = 0; sent < self->n_samples;) {
        int64_t due = self->rate > 0 ? wait_due(self, sent) : now_us();
        uint64_t left = self->n_samples - sent;
        uint32_t count = left < self->batch_samples ? (uint32_t)left : self->batch_samples;
        sl_bytes_clear(&batch);
        for (uint32_t i = 0; i < count; i++) {
            add_sample(&batch, sent + i, due, &state);
        }
        must(sl_producer_put(producer, (sluice_span){batch.data, batch.size}, count, &why), &why);
        sent += count;
    }
    must(sl_producer_flush(producer, &why), &why);
    self->acknowledged_us = now_us();
    sl_producer_close(&producer);
    sl_bytes_fini(&batch);
    return NULL;
}

static void read_batch(bench *self, sluice_span batch)
{
    int64_t now = now_us();
    sl_reader reader = sl_reader_of(batch);
    while (reader.at < reader.end && !reader.bad) {
        (void)sl_reader_varint(&reader);
        sluice_span sample = sl_reader_span(&reader, (size_t)sl_reader_varint(&reader));
        char id[16] = "";
        memcpy(id, sample.data + 2, 15); /* the id is the first field */
        if (self->n_read < self->n_samples) {
            self->latency_ms[self->n_read++] = (float)(now - strtoll(id, NULL, 10)) / 1000.0F;
        }
    }
}

static void *consume(void *context)
{
    bench *self = context;
    sluice_message why = {""};
    sl_client_options options = {.endpoint = self->egress, .timeout_ms = 60000};
    sl_consumer *consumer = NULL;
    must(sl_consumer_open(&options, &consumer, &why), &why);
    sl_fetch fetch = {.offset = self->first_offset, .max_bytes = 1 << 20, .wait_ms = 1000};
    while (self->n_read < self->n_samples) {
        sl_records records;
        sluice_span batch;
        sluice_status status = sl_consumer_fetch(consumer, &fetch, &records, &batch, &why);
        if (status != SLUICE_E_AGAIN) {
            must(status, &why);
            read_batch(self, batch);
        }
        fetch.offset = records.next_offset;
    }
    self->read_us = now_us();
    sl_consumer_close(&consumer);
    return NULL;
}

static uint64_t head_of_log(const char *egress)
{
    sluice_message why = {""};
    sl_client_options options = {.endpoint = egress};
    sl_consumer *consumer = NULL;
    must(sl_consumer_open(&options, &consumer, &why), &why);
    sl_fetch fetch = {.offset = 0, .max_bytes = 1};
    sl_records records;
    sluice_span batch;
    sluice_status status = sl_consumer_fetch(consumer, &fetch, &records, &batch, &why);
    if (status != SLUICE_E_AGAIN) {
        must(status, &why);
    }
    sl_consumer_close(&consumer);
    return records.head_offset;
}

static int compare(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: bench_path INGEST EGRESS N_SAMPLES [RATE [BATCH_SAMPLES]]\n");
        return 64;
    }
    bench self = {.ingest = argv[1],
                  .egress = argv[2],
                  .n_samples = strtoull(argv[3], NULL, 10),
                  .rate = argc > 4 ? strtoull(argv[4], NULL, 10) : 0,
                  .batch_samples = argc > 5 ? (uint32_t)strtoul(argv[5], NULL, 10) : 64};
    self.latency_ms = calloc(self.n_samples, sizeof *self.latency_ms);
    make_words();
    self.first_offset = head_of_log(self.egress);
    self.started_us = now_us();
    pthread_t producer, consumer;
    pthread_create(&producer, NULL, produce, &self);
    pthread_create(&consumer, NULL, consume, &self);
    pthread_join(producer, NULL);
    pthread_join(consumer, NULL);
    qsort(self.latency_ms, self.n_samples, sizeof *self.latency_ms, compare);
    printf("{\"samples\": %llu, \"rate\": %llu, \"batch\": %u, \"acknowledged_per_s\": %.0f, "
           "\"read_per_s\": %.0f, \"min_ms\": %.2f, \"p50_ms\": %.2f, \"p99_ms\": %.2f, "
           "\"max_ms\": %.2f}\n",
           (unsigned long long)self.n_samples, (unsigned long long)self.rate, self.batch_samples,
           (double)self.n_samples * 1e6 / (double)(self.acknowledged_us - self.started_us),
           (double)self.n_samples * 1e6 / (double)(self.read_us - self.started_us),
           (double)self.latency_ms[0], (double)self.latency_ms[self.n_samples / 2],
           (double)self.latency_ms[self.n_samples * 99 / 100],
           (double)self.latency_ms[self.n_samples - 1]);
    free(self.latency_ms);
    return 0;
}
