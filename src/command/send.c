/* send.c - files to a running filter, acknowledged and resumable.
 *
 *   INPUT --> sample, sample, ... --> batches of at most N samples, 256 KiB --> PUT ... ACK
 *             skip the first next_sequence of them (with --producer)
 *
 * Why only --producer skips: a name that somebody chose stands for one input, so the filter's count
 * is a place in it. Without a name inputs come one after the other under "send", and a sample that
 * is sent again is known by its id and content (redelivered).
 * Why a sample that is no sample takes no sequence: it never reaches the filter, today or when the
 * input is read again, so that places stay the same. */
#include "command/command.h"
#include "command/connection.h"
#include "command/input.h"
#include "command/progress.h"

#include "bytes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEFAULT_ENDPOINT "tcp://127.0.0.1:5570"
#define DEFAULT_PRODUCER "send"
#define DEFAULT_BATCH    256
#define BATCH_BYTES      ((size_t)256 << 10)
#define TIMEOUT_MS       30000
#define FAULTS_SHOWN     10

static const char usage[] =
    "usage: sluice send [--to ENDPOINT] [--producer P] [--batch N] [--format jsonl|pb]\n"
    "                   [--json] [INPUT...]\n"
    "\n"
    "Sends the samples of files or of standard input to a running filter and waits until it has\n"
    "made all of them durable.\n"
    "\n"
    "  --to ENDPOINT      the filter's listen.ingest (" DEFAULT_ENDPOINT ")\n"
    "  --producer P       a name that stands for this input: interrupted, the same command goes\n"
    "                     on where the filter's count of P says. Another input needs another\n"
    "                     name, or --no-skip. Without it: \"send\", or with --key the client's\n"
    "                     name, and nothing is skipped\n"
    "  --no-skip          send the whole input after what P sent before\n"
    "  --batch N          samples a message, at most (256)\n"
    "  --json             the summary as JSON\n" SL_CONNECTION_USAGE;

typedef struct send_options {
    sl_client_options client;
    const char *producer;
    bool no_skip, json;
    uint64_t batch_samples;
    sl_input_format format;
    const char **paths;
    uint32_t n_paths;
} send_options;

typedef struct send_work {
    const send_options *options;
    sl_producer *producer;
    sl_input *input;
    sl_progress progress;
    sluice_bytes batch;
    uint32_t n_batch;
    uint64_t n_read, n_skip, n_skipped, n_not_sent; /* n_not_sent: refused before they were sent */
    uint64_t n_shown;
    sluice_message why;
} send_work;

static int parse_value(int argc, char **argv, int *i, send_options *options)
{
    const char *name = argv[*i];
    const char *value = *i + 1 < argc ? argv[*i + 1] : NULL;
    int taken = sl_connection_option(argc, argv, i, &options->client);
    if (taken != 0) {
        return taken < 0 ? SL_EXIT_USAGE : SL_EXIT_OK;
    }
    bool good = value != NULL;
    if (good && strcmp(name, "--to") == 0) {
        options->client.endpoint = value;
    } else if (good && strcmp(name, "--producer") == 0) {
        options->producer = value;
    } else if (good && strcmp(name, "--batch") == 0) {
        if (!sl_number_option("send", "--batch", value, 1, SLUICE_LIMIT_BATCH_SAMPLES,
                              &options->batch_samples)) {
            return SL_EXIT_USAGE;
        }
    } else if (good && strcmp(name, "--format") == 0) {
        good = sl_input_format_of(value, &options->format);
    } else {
        good = false;
    }
    *i += 1;
    if (!good) {
        fprintf(stderr, "sluice send: \"%s\" is not understood\n%s", name, usage);
        return SL_EXIT_USAGE;
    }
    return SL_EXIT_OK;
}

static int parse(int argc, char **argv, send_options *options)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            return -1;
        }
        if (argv[i][0] != '-' || strcmp(argv[i], "-") == 0) {
            options->paths[options->n_paths++] = argv[i];
        } else if (strcmp(argv[i], "--json") == 0) {
            options->json = true;
        } else if (strcmp(argv[i], "--no-skip") == 0) {
            options->no_skip = true;
        } else {
            int parsed = parse_value(argc, argv, &i, options);
            if (parsed != SL_EXIT_OK) {
                return parsed;
            }
        }
    }
    return SL_EXIT_OK;
}

/* --- faults --- */

static void show_fault(send_work *sending, const char *where, const char *reason, const char *text)
{
    if (sending->n_shown < FAULTS_SHOWN) {
        sl_progress_clear(&sending->progress);
        fprintf(stderr, "sluice send: %s refused: %s%s%s\n", where, reason,
                text[0] != '\0' ? ": " : "", text);
    } else if (sending->n_shown == FAULTS_SHOWN) {
        fprintf(stderr, "sluice send: further refusals are counted only\n");
    }
    sending->n_shown++;
}

static void take_fault(void *context, const sl_fault *fault)
{
    char where[64];
    snprintf(where, sizeof where, "sample %" PRIu64, fault->sequence);
    show_fault(context, where, fault->reason, fault->text);
}

/* --- the input, in batches --- */

static sluice_status put_batch(send_work *sending)
{
    if (sending->n_batch == 0) {
        return SLUICE_OK;
    }
    sluice_span bytes = {sending->batch.data, sending->batch.size};
    SLUICE_TRY(sl_producer_put(sending->producer, bytes, sending->n_batch, &sending->why));
    sending->n_batch = 0;
    sl_bytes_clear(&sending->batch);
    uint64_t total = 0, done = sl_input_progress(sending->input, &total);
    sl_producer_counts counts = sl_producer_counts_of(sending->producer);
    sl_progress_tick(&sending->progress, done, total, counts.acknowledged + sending->n_skipped,
                     counts.dropped);
    return SLUICE_OK;
}

static sluice_status add_sample(send_work *sending, const sl_input_item *item)
{
    size_t bytes = item->wire.size + 11; /* tag and the longest varint */
    if (item->reason != NULL || bytes > sl_producer_max_sample(sending->producer)) {
        char text[160];
        snprintf(text, sizeof text, "%zu bytes are more than the %u of a message", item->wire.size,
                 sl_producer_max_sample(sending->producer));
        sending->n_not_sent++;
        show_fault(sending, item->position, item->reason != NULL ? item->reason : "too_large",
                   item->reason != NULL ? item->text : text);
        return SLUICE_OK;
    }
    if (sending->n_skipped < sending->n_skip) {
        sending->n_skipped++;
        return SLUICE_OK;
    }
    size_t limit = sl_producer_max_batch(sending->producer);
    limit = limit < BATCH_BYTES ? limit : BATCH_BYTES;
    if (sending->batch.size + bytes > limit) {
        SLUICE_TRY(put_batch(sending));
    }
    SLUICE_TRY(sl_bytes_put_u8(&sending->batch, 0x0A));
    SLUICE_TRY(sl_bytes_put_varint(&sending->batch, item->wire.size));
    SLUICE_TRY(sl_bytes_append(&sending->batch, item->wire.data, item->wire.size));
    sending->n_batch++;
    return sending->n_batch >= sending->options->batch_samples ? put_batch(sending) : SLUICE_OK;
}

static sluice_status send_all(send_work *sending)
{
    for (;;) {
        if (!sl_input_ready(sending->input)) { /* a slow pipe: what there is need not wait for it */
            SLUICE_TRY(put_batch(sending));
        }
        sl_input_item item;
        sluice_status status = sl_input_next(sending->input, &item, &sending->why);
        if (status == SLUICE_E_CLOSED) {
            break;
        }
        if (status != SLUICE_OK) { /* what came before it is good and has been asked for */
            sluice_message kept = sending->why;
            SLUICE_TRY(put_batch(sending));
            SLUICE_TRY(sl_producer_flush(sending->producer, &sending->why));
            sending->why = kept;
            return status;
        }
        sending->n_read++;
        SLUICE_TRY(add_sample(sending, &item));
    }
    SLUICE_TRY(put_batch(sending));
    return sl_producer_flush(sending->producer, &sending->why);
}

/* --- what to say --- */

static void print_json(const send_work *sending, bool complete)
{
    sl_producer_counts counts = sl_producer_counts_of(sending->producer);
    printf("{\"complete\": %s, \"read\": %" PRIu64 ", \"skipped\": %" PRIu64
           ", \"not_sent\": %" PRIu64 ", \"sent\": %" PRIu64 ", \"acknowledged\": %" PRIu64
           ", \"kept\": %" PRIu64 ", \"flagged\": %" PRIu64 ", \"dropped\": %" PRIu64
           ", \"refused\": %" PRIu64 ", \"redelivered\": %" PRIu64 ", \"next_sequence\": %" PRIu64
           "}\n",
           complete ? "true" : "false", sending->n_read, sending->n_skipped, sending->n_not_sent,
           counts.sent, counts.acknowledged, counts.kept, counts.flagged, counts.dropped,
           counts.refused, counts.redelivered,
           sl_producer_next_sequence(sending->producer) - (counts.sent - counts.acknowledged));
}

static void print_summary(const send_work *sending)
{
    sl_producer_counts counts = sl_producer_counts_of(sending->producer);
    uint64_t told =
        counts.kept + counts.flagged + counts.dropped + counts.refused + counts.redelivered;
    char n[7][32], time[48];
    printf("%s samples acknowledged in %s: %s kept, %s flagged, %s dropped, %s refused, %s "
           "redelivered\n",
           sl_progress_count(counts.acknowledged, n[0], sizeof n[0]),
           sl_progress_duration(sl_progress_seconds(&sending->progress), time, sizeof time),
           sl_progress_count(counts.kept, n[1], sizeof n[1]),
           sl_progress_count(counts.flagged, n[2], sizeof n[2]),
           sl_progress_count(counts.dropped, n[3], sizeof n[3]),
           sl_progress_count(counts.refused, n[4], sizeof n[4]),
           sl_progress_count(counts.redelivered, n[5], sizeof n[5]));
    if (told < counts.acknowledged) {
        printf("%s of them were acknowledged without their counts (the connection was lost)\n",
               sl_progress_count(counts.acknowledged - told, n[6], sizeof n[6]));
    }
    if (sending->n_not_sent > 0) {
        printf("%s of the input were not sent because they are no samples\n",
               sl_progress_count(sending->n_not_sent, n[0], sizeof n[0]));
    }
}

static void say_where_it_goes_on(send_work *sending, const char *name)
{
    uint64_t next = sl_producer_next_sequence(sending->producer);
    if (sending->options->producer == NULL || sending->options->no_skip || next == 0) {
        return;
    }
    sending->n_skip = next;
    fprintf(stderr,
            "sluice send: the filter has %" PRIu64
            " samples of producer '%s': going on behind them (another input needs another "
            "--producer, or --no-skip)\n",
            next, name);
}

/* The producer's name: the one given, else the client's own (a key speaks for its client alone). */
static void name_producer(const send_options *options, char *name, size_t size)
{
    const char *key = options->client.key_file;
    if (options->producer != NULL || key == NULL) {
        snprintf(name, size, "%s",
                 options->producer != NULL ? options->producer : DEFAULT_PRODUCER);
        return;
    }
    const char *slash = strrchr(key, '/');
    snprintf(name, size, "%s", slash != NULL ? slash + 1 : key);
    size_t end = strlen(name);
    if (end > 4 && strcmp(name + end - 4, ".key") == 0) {
        name[end - 4] = '\0';
    }
}

static int run(send_work *sending)
{
    const send_options *options = sending->options;
    char name[SLUICE_LIMIT_ID_BYTES + 2]; /* one too many is refused by open, not cut here */
    name_producer(options, name, sizeof name);
    sluice_status status = sl_input_open(options->paths, options->n_paths, options->format,
                                         &sending->input, &sending->why);
    if (status == SLUICE_OK) {
        status = sl_producer_open(&options->client, name, &sending->producer, &sending->why);
    }
    if (status != SLUICE_OK) {
        fprintf(stderr, "sluice send: %s\n", sending->why.text);
        return sl_exit_of(status);
    }
    sl_producer_on_fault(sending->producer, take_fault, sending);
    say_where_it_goes_on(sending, name);
    sl_progress_begin(&sending->progress, true);
    status = send_all(sending);
    sl_progress_clear(&sending->progress);
    if (status == SLUICE_OK && sending->n_skipped < sending->n_skip) {
        fprintf(stderr,
                "sluice send: the input has only %" PRIu64
                " samples, fewer than the filter has of producer '%s': is it the same input?\n",
                sending->n_skipped, name);
    }
    if (options->json) {
        print_json(sending, status == SLUICE_OK);
    } else {
        print_summary(sending);
    }
    if (status != SLUICE_OK) {
        fprintf(stderr, "sluice send: %s\n", sending->why.text);
    }
    return sl_exit_of(status);
}

int sl_command_send(int argc, char **argv)
{
    send_options options = {.client = {.endpoint = DEFAULT_ENDPOINT, .timeout_ms = TIMEOUT_MS},
                            .batch_samples = DEFAULT_BATCH};
    options.paths = calloc((size_t)argc, sizeof *options.paths);
    if (options.paths == NULL) {
        return SL_EXIT_FAILED;
    }
    int code = parse(argc, argv, &options);
    if (code == SL_EXIT_OK) {
        send_work sending = {.options = &options};
        code = run(&sending);
        sl_producer_close(&sending.producer);
        sl_input_close(&sending.input);
        sl_bytes_fini(&sending.batch);
    } else if (code < 0) {
        code = SL_EXIT_OK;
    }
    free(options.paths);
    return code;
}
