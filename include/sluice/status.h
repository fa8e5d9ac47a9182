/* status.h - what a fallible call returns, and the sentence that goes with it. */
#ifndef SLUICE_STATUS_H
#define SLUICE_STATUS_H

#include <stddef.h>

#if defined(__GNUC__)
#define SLUICE_MUST_USE                  __attribute__((warn_unused_result))
#define SLUICE_PRINTF(i_format, i_first) __attribute__((format(printf, i_format, i_first)))
#else
#define SLUICE_MUST_USE
#define SLUICE_PRINTF(i_format, i_first)
#endif

typedef enum sluice_status {
    SLUICE_OK = 0,
    /* data faults: count, dead letter, next sample; state is unchanged */
    SLUICE_E_BADSAMPLE, /* malformed, not UTF-8, missing id, wrong type       */
    SLUICE_E_TOOBIG,    /* beyond a SLUICE_LIMIT_                             */
    SLUICE_E_NONFINITE, /* NaN or infinity where a number is needed           */
    /* operating faults, retriable */
    SLUICE_E_AGAIN,   /* nothing now, or no room now                          */
    SLUICE_E_TIMEOUT, /* the peer did not answer in time                      */
    SLUICE_E_CLOSED,  /* the other side has ended                             */
    /* operating faults, fatal: one log line and an exit code */
    SLUICE_E_NOMEM,
    SLUICE_E_CONFIG,  /* configuration or usage; exit code 78                 */
    SLUICE_E_CORRUPT, /* stored bytes fail their checksum or layout           */
    SLUICE_E_IO,      /* the operating system refused                         */
    SLUICE_N_STATUS
} sluice_status;

typedef enum sluice_status_kind {
    SLUICE_KIND_OK,
    SLUICE_KIND_DATA,
    SLUICE_KIND_RETRY,
    SLUICE_KIND_FATAL
} sluice_status_kind;

const char *sluice_status_name(sluice_status status); /* "BADSAMPLE"; lends static memory */
sluice_status_kind sluice_status_class(sluice_status status);

/* sluice_message - one sentence for a person: what failed, naming the thing. Calls that touch the
 * outside world fill it when they fail; passing NULL is allowed everywhere. */
typedef struct sluice_message {
    char text[512];
} sluice_message;

/* Writes the sentence (cut at 511 bytes) and returns `status`, so that a failing function can end
 * with `return sluice_fail(why, SLUICE_E_IO, "cannot open %s: %s", path, strerror(errno));`. */
sluice_status sluice_fail(sluice_message *why, sluice_status status, const char *format, ...)
    SLUICE_PRINTF(3, 4);

#endif
