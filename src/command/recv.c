/* recv.c - kept samples from a running filter as JSONL, committed once they are written.
 *
 *   FETCH after_commits --> range --> lines on standard output --> flush --> COMMIT     (a group)
 *   FETCH offset        --> range --> lines on standard output            (--all or --offset)
 *
 * Why the commit comes last: ended in between, the range is given again when its lease ends; a line
 * may come twice, none is lost.
 * Why -n asks for so few bytes: a range is leased whole, and what is leased and not written would
 * keep the next consumer waiting. No sample of a batch takes less than SMALLEST_BYTES. */
#include "command/command.h"
#include "command/connection.h"

#include "bytes.h"
#include "record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define DEFAULT_ENDPOINT "tcp://127.0.0.1:5571"
#define DEFAULT_GROUP    "recv"
#define FETCH_BYTES      (1u << 20)
#define SMALLEST_BYTES   12 /* tag, size, id of one byte, annotation with offset and decision */
#define FOLLOW_WAIT_MS   5000
#define TIMEOUT_MS       30000

static const char usage[] =
    "usage: sluice recv [--from ENDPOINT] [--group G] [-n N] [--follow] [--bare]\n"
    "                   [--verdicts FILE]\n"
    "       sluice recv [--from ENDPOINT] --all [--offset N] ...\n"
    "\n"
    "Writes samples from a running filter to standard output, one JSON object a line, and ends at\n"
    "the end of its log.\n"
    "\n"
    "  --from ENDPOINT    the filter's listen.egress (" DEFAULT_ENDPOINT ")\n"
    "  --group G          the consumer group whose progress this advances (recv)\n"
    "  -n N               end after N samples\n"
    "  --follow           wait for more instead of ending\n"
    "  --all              dropped samples too; reads from --offset and commits nothing\n"
    "  --offset N         read from there and commit nothing\n"
    "  --verdicts FILE    write the verdict records there, one a line; - = standard output, in\n"
    "                     place of the samples\n"
    "  --bare             lines without the member \"sluice\"\n" SL_CONNECTION_USAGE;

typedef struct recv_options {
    sl_client_options client;
    const char *group, *verdicts;
    bool follow, all, bare, by_offset;
    uint64_t offset, n_max;
} recv_options;

typedef struct recv_work {
    const recv_options *options;
    sl_consumer *consumer;
    FILE *lines, *verdicts; /* NULL: not wanted */
    sluice_bytes line;
    uint64_t n_written, next_offset;
    sluice_message why;
} recv_work;

static int parse_value(int argc, char **argv, int *i, recv_options *options)
{
    const char *name = argv[*i];
    const char *value = *i + 1 < argc ? argv[*i + 1] : NULL;
    int taken = sl_connection_option(argc, argv, i, &options->client);
    if (taken != 0) {
        return taken < 0 ? SL_EXIT_USAGE : SL_EXIT_OK;
    }
    *i += 1;
    if (value != NULL && strcmp(name, "--from") == 0) {
        options->client.endpoint = value;
    } else if (value != NULL && strcmp(name, "--group") == 0 && value[0] != '\0' &&
               strlen(value) <= SLUICE_LIMIT_ID_BYTES) {
        options->group = value;
    } else if (value != NULL && strcmp(name, "--verdicts") == 0) {
        options->verdicts = value;
    } else if (value != NULL && strcmp(name, "-n") == 0) {
        return sl_number_option("recv", name, value, 1, UINT64_MAX / 2, &options->n_max)
                   ? SL_EXIT_OK
                   : SL_EXIT_USAGE;
    } else if (value != NULL && strcmp(name, "--offset") == 0) {
        options->by_offset = true;
        return sl_number_option("recv", name, value, 0, UINT64_MAX / 2, &options->offset)
                   ? SL_EXIT_OK
                   : SL_EXIT_USAGE;
    } else {
        fprintf(stderr, "sluice recv: \"%s\" is not understood\n%s", name, usage);
        return SL_EXIT_USAGE;
    }
    return SL_EXIT_OK;
}

static int parse(int argc, char **argv, recv_options *options)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            return -1;
        }
        if (strcmp(argv[i], "--follow") == 0) {
            options->follow = true;
        } else if (strcmp(argv[i], "--all") == 0) {
            options->all = options->by_offset = true;
        } else if (strcmp(argv[i], "--bare") == 0) {
            options->bare = true;
        } else {
            int parsed = parse_value(argc, argv, &i, options);
            if (parsed != SL_EXIT_OK) {
                return parsed;
            }
        }
    }
    if (options->by_offset && options->group != NULL) {
        fprintf(stderr, "sluice recv: --group keeps the progress of a group; --all and --offset "
                        "read without one: use either\n");
        return SL_EXIT_USAGE;
    }
    options->group = options->group != NULL ? options->group : DEFAULT_GROUP;
    return SL_EXIT_OK;
}

/* --- what is written --- */

static sluice_status write_line(recv_work *work, FILE *file, const char *name, sluice_status made)
{
    SLUICE_TRY(made);
    SLUICE_TRY(sl_bytes_put_u8(&work->line, '\n'));
    if (fwrite(work->line.data, 1, work->line.size, file) != work->line.size) {
        return sluice_fail(&work->why, SLUICE_E_IO, "cannot write %s: %s", name, strerror(errno));
    }
    return SLUICE_OK;
}

static sluice_status write_sample(recv_work *work, sluice_span sample)
{
    sl_bytes_clear(&work->line);
    if (work->lines != NULL) {
        SLUICE_TRY(write_line(work, work->lines, "standard output",
                              sl_record_jsonl_of_wire(sample, work->options->bare, &work->line)));
    }
    if (work->verdicts != NULL) {
        sl_bytes_clear(&work->line);
        SLUICE_TRY(write_line(work, work->verdicts, work->options->verdicts,
                              sl_record_json_of_wire(sample, &work->line)));
    }
    work->n_written++;
    return SLUICE_OK;
}

static sluice_status write_batch(recv_work *work, sluice_span batch, uint32_t count)
{
    sl_reader reader = sl_reader_of(batch);
    uint32_t n = 0;
    while (reader.at < reader.end && !reader.bad) {
        uint64_t tag = sl_reader_varint(&reader);
        uint64_t size = sl_reader_varint(&reader);
        sluice_span sample = sl_reader_span(&reader, size);
        if (tag != 0x0A || reader.bad) {
            break;
        }
        SLUICE_TRY(write_sample(work, sample));
        n++;
    }
    if (n != count) {
        return sluice_fail(&work->why, SLUICE_E_BADSAMPLE,
                           "%s sent a batch of %u samples and announced %u",
                           work->options->client.endpoint, n, count);
    }
    if (fflush(stdout) != 0 || (work->verdicts != NULL && fflush(work->verdicts) != 0)) {
        return sluice_fail(&work->why, SLUICE_E_IO, "cannot write: %s", strerror(errno));
    }
    return SLUICE_OK;
}

/* --- what is asked for --- */

static sl_fetch fetch_of(const recv_work *work)
{
    const recv_options *options = work->options;
    sl_fetch fetch = {.after_commits = !options->by_offset,
                      .offset = work->next_offset,
                      .all = options->all,
                      .max_bytes = FETCH_BYTES,
                      .wait_ms = options->follow ? FOLLOW_WAIT_MS : 0};
    if (options->n_max > 0) {
        uint64_t n_left = options->n_max - work->n_written;
        if (n_left < FETCH_BYTES / SMALLEST_BYTES) {
            fetch.max_bytes = (uint32_t)n_left * SMALLEST_BYTES;
        }
    }
    if (fetch.after_commits) {
        char host[64] = "";
        gethostname(host, sizeof host - 1);
        snprintf(fetch.group, sizeof fetch.group, "%s", options->group);
        snprintf(fetch.consumer, sizeof fetch.consumer, "recv@%s:%d", host, (int)getpid());
    }
    return fetch;
}

static sluice_status commit_range(recv_work *work, const sl_records *records)
{
    sl_commit commit = {.first_offset = records->first_offset, .next_offset = records->next_offset};
    snprintf(commit.group, sizeof commit.group, "%s", work->options->group);
    uint64_t floor_offset = 0;
    sluice_status status = sl_consumer_commit(work->consumer, &commit, &floor_offset, &work->why);
    if (status == SLUICE_E_CLOSED && sl_consumer_code(work->consumer) == SL_CODE_LEASE_LOST) {
        fprintf(stderr,
                "sluice recv: offsets %" PRIu64 " to %" PRIu64
                " were given to another consumer of group '%s' meanwhile: they come twice\n",
                records->first_offset, records->next_offset - 1, work->options->group);
        return SLUICE_OK;
    }
    return status;
}

/* One FETCH; *ended: the log has no more, and nobody waits for it. */
static sluice_status receive_range(recv_work *work, bool *ended)
{
    sl_fetch fetch = fetch_of(work);
    sl_records records;
    sluice_span batch;
    sluice_status status = sl_consumer_fetch(work->consumer, &fetch, &records, &batch, &work->why);
    if (status == SLUICE_E_CLOSED && sl_consumer_code(work->consumer) == SL_CODE_OFFSET_GONE) {
        char text[sizeof work->why.text];
        memcpy(text, work->why.text, sizeof text);
        return sluice_fail(&work->why, status, "%.400s (--offset: start where the log begins)",
                           text);
    }
    if (status != SLUICE_OK && status != SLUICE_E_AGAIN) {
        return status;
    }
    SLUICE_TRY(write_batch(work, batch, records.count));
    bool moved = records.next_offset > records.first_offset;
    work->next_offset = fetch.after_commits || moved ? records.next_offset : work->next_offset;
    if (moved && fetch.after_commits) {
        SLUICE_TRY(commit_range(work, &records));
    }
    *ended = !moved && !work->options->follow;
    return SLUICE_OK;
}

static sluice_status receive_all(recv_work *work)
{
    const recv_options *options = work->options;
    bool ended = false;
    work->next_offset = options->offset;
    while (!ended && (options->n_max == 0 || work->n_written < options->n_max)) {
        SLUICE_TRY(receive_range(work, &ended));
    }
    return SLUICE_OK;
}

static int run(const recv_options *options)
{
    recv_work work = {.options = options, .lines = stdout};
    bool alone = options->verdicts != NULL && strcmp(options->verdicts, "-") == 0;
    if (alone) {
        work.lines = NULL;
        work.verdicts = stdout;
    } else if (options->verdicts != NULL &&
               (work.verdicts = fopen(options->verdicts, "w")) == NULL) {
        fprintf(stderr, "sluice recv: cannot write %s: %s\n", options->verdicts, strerror(errno));
        return SL_EXIT_FAILED;
    }
    sluice_status status = sl_consumer_open(&options->client, &work.consumer, &work.why);
    if (status == SLUICE_OK) {
        status = receive_all(&work);
    }
    if (work.verdicts != NULL && !alone && fclose(work.verdicts) != 0 && status == SLUICE_OK) {
        status = sluice_fail(&work.why, SLUICE_E_IO, "cannot write %s: %s", options->verdicts,
                             strerror(errno));
    }
    if (status != SLUICE_OK) {
        fprintf(stderr, "sluice recv: %s\n",
                work.why.text[0] != '\0' ? work.why.text : sluice_status_name(status));
    } else if (options->by_offset) {
        fprintf(stderr, "%" PRIu64 " samples; read on with --offset %" PRIu64 "\n", work.n_written,
                work.next_offset);
    } else {
        fprintf(stderr, "%" PRIu64 " samples, committed for group '%s'\n", work.n_written,
                options->group);
    }
    sl_consumer_close(&work.consumer);
    sl_bytes_fini(&work.line);
    return sl_exit_of(status);
}

int sl_command_recv(int argc, char **argv)
{
    recv_options options = {.client = {.endpoint = DEFAULT_ENDPOINT, .timeout_ms = TIMEOUT_MS}};
    int code = parse(argc, argv, &options);
    if (code != SL_EXIT_OK) {
        return code < 0 ? SL_EXIT_OK : code;
    }
    return run(&options);
}
