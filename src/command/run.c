/* run.c - the daemon: opens the pipeline, says that it is ready, waits for the signal to end. */
#include "command/command.h"
#include "command/references.h"
#include "command/reload.h"
#include "command/settings.h"
#include "bytes.h"
#include "log.h"
#include "pipeline.h"
#include "sluice/version.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define STATUS_LINE_S 60

/* Every connection is a file descriptor, and libzmq ends the process when there are none left. */
static void raise_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static void say_ready(const sluice_config *config, const sl_pipeline *pipeline)
{
    sl_pipeline_start start = sl_pipeline_start_of(pipeline);
    uint64_t hash = 0;
    if (sluice_config_live_hash(config, &hash) != SLUICE_OK) {
        hash = 0; /* no memory: the line is worth more than the number */
    }
    sl_log(1, "RUN-READY",
           "version=%s state=%s offset=%llu restored_in_s=%.3f policy=%016llx ingest=%s egress=%s "
           "pull=%s push=%s",
           sluice_version(), config->state, (unsigned long long)start.next_offset, start.restore_s,
           (unsigned long long)hash, config->listen.ingest, config->listen.egress,
           config->listen.pull, config->listen.push);
    if (config->listen.http[0] != '\0') {
        sl_log(1, "RUN-DASHBOARD", "http://%s/", config->listen.http);
    }
}

static void say_counts(const sl_pipeline *pipeline, const char *id)
{
    sl_pipeline_counts counts = sl_pipeline_counts_of(pipeline);
    sl_log(1, id,
           "received=%llu kept=%llu flagged=%llu dropped=%llu refused=%llu redelivered=%llu "
           "undecodable=%llu durable_offset=%llu",
           (unsigned long long)counts.received, (unsigned long long)counts.kept,
           (unsigned long long)counts.flagged, (unsigned long long)counts.dropped,
           (unsigned long long)counts.refused, (unsigned long long)counts.redelivered,
           (unsigned long long)counts.undecodable, (unsigned long long)counts.durable_offset);
}

static pthread_t main_thread;

/* OpenBLAS has started a thread before main, which blocks no signal: what reaches it while this
 * loop is busy goes to the loop's thread, where it waits. */
static void hand_on(int number)
{
    (void)pthread_kill(main_thread, number);
}

static void block_signals(sigset_t *signals)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP};
    main_thread = pthread_self();
    sigemptyset(signals);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct sigaction action = {.sa_handler = hand_on, .sa_flags = SA_RESTART};
        sigaddset(signals, numbers[i]);
        sigaction(numbers[i], &action, NULL);
    }
    pthread_sigmask(SIG_BLOCK, signals, NULL);
}

/* The threads of the pipeline inherit the blocked signals, so that only this loop sees them. */
static void wait_for_end(sl_pipeline *pipeline, const sigset_t *signals,
                         const sl_settings *settings, sluice_config *config)
{
    const struct timespec a_while = {STATUS_LINE_S, 0};
    uint64_t said = 0;
    for (;;) {
        int got = sigtimedwait(signals, NULL, &a_while);
        if (got == SIGTERM || got == SIGINT) {
            sl_log(1, "RUN-DRAIN", "signal=%s: no new samples; what was taken becomes durable",
                   got == SIGTERM ? "TERM" : "INT");
            return;
        }
        if (got == SIGHUP) {
            sl_reload(settings, config, pipeline);
        }
        uint64_t received = sl_pipeline_counts_of(pipeline).received;
        if (got < 0 && received != said) {
            said = received;
            say_counts(pipeline, "RUN-COUNTS");
        }
    }
}

static const char usage[] =
    "usage: sluice run [-c FILE] [--set KEY=VALUE]...\n"
    "\n"
    "Takes samples on listen.ingest, judges them, keeps what happened in `state`, and gives kept\n"
    "samples to consumers on listen.egress, until SIGTERM or SIGINT. `sluice check` explains the\n"
    "configuration. SIGHUP reads it again: policy, budget and fairness change with the next\n"
    "block of 256 samples, other keys need a restart; an error changes nothing and is logged.\n";

static int parse(int argc, char **argv, sl_settings *settings)
{
    for (int i = 1; i < argc; i++) {
        bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            return -1;
        }
        if (strcmp(argv[i], "-c") == 0 && has_value) {
            settings->file = argv[++i];
        } else if (strcmp(argv[i], "--set") == 0 && has_value) {
            if (!sl_settings_assign(settings, argv[++i])) {
                fprintf(stderr, "sluice run: too many --set\n");
                return SL_EXIT_USAGE;
            }
        } else {
            fprintf(stderr, "sluice run: \"%s\" is not understood\n%s", argv[i], usage);
            return SL_EXIT_USAGE;
        }
    }
    return SL_EXIT_OK;
}

int sl_command_run(int argc, char **argv)
{
    sl_settings settings = {0};
    int parsed = parse(argc, argv, &settings);
    if (parsed != SL_EXIT_OK) {
        return parsed < 0 ? SL_EXIT_OK : parsed;
    }
    sluice_config config;
    if (!sl_settings_read(&settings, &config)) {
        return SL_EXIT_CONFIG;
    }
    sigset_t signals;
    block_signals(&signals);
    signal(SIGPIPE, SIG_IGN);
    raise_file_limit();

    sluice_message why = {""};
    sl_pipeline *pipeline = NULL;
    sluice_bytes references[SLUICE_LIMIT_REFERENCES] = {{0}};
    sluice_status status = sl_references_read(&config, references, &why);
    status = status == SLUICE_OK ? sl_pipeline_open(&config, references, &pipeline, &why) : status;
    for (uint32_t r = 0; r < SLUICE_LIMIT_REFERENCES; r++) {
        sl_bytes_fini(&references[r]);
    }
    if (status != SLUICE_OK) {
        fprintf(stderr, "sluice run: %s\n", why.text);
        return sl_exit_of(status);
    }
    say_ready(&config, pipeline);
    wait_for_end(pipeline, &signals, &settings, &config);
    say_counts(pipeline, "RUN-END");
    sl_pipeline_close(&pipeline);
    return SL_EXIT_OK;
}
