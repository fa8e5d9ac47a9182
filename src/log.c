/* log.c - log lines of the program, to standard error.
 *
 *   2026-03-01T12:00:00.123Z notice INGEST-GAP producer=p7 have=12 want=10
 *
 * Why one write: lines of several threads and processes stay whole.
 * Why control bytes are replaced: values come from outside, and a newline in one would start a line
 * that nobody logged. */
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define LINE_BYTES 1024

/* SLUICE_DEBUG=3 sluice ...; read once. Notices and errors are always said. */
static int level_max(void)
{
    static atomic_int level = -1;
    int known = atomic_load_explicit(&level, memory_order_relaxed);
    if (known < 0) {
        const char *text = getenv("SLUICE_DEBUG");
        long asked = text != NULL ? strtol(text, NULL, 10) : 0;
        known = asked < 1 ? 1 : asked > 9 ? 9 : (int)asked;
        atomic_store_explicit(&level, known, memory_order_relaxed);
    }
    return known;
}

static size_t write_head(char *line, int level, const char *id)
{
    struct timespec now;
    struct tm utc;
    char stamp[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    int size = snprintf(line, LINE_BYTES / 2, "%s.%03ldZ %s %s ", stamp, now.tv_nsec / 1000000,
                        level <= 0   ? "error"
                        : level == 1 ? "notice"
                                     : "debug",
                        id);
    return size < LINE_BYTES / 2 ? (size_t)size : LINE_BYTES / 2 - 1;
}

static void write_all(const char *line, size_t size)
{
    while (size > 0) {
        ssize_t written = write(STDERR_FILENO, line, size);
        if (written < 0 && errno == EINTR) {
            continue;
        }
        if (written <= 0) {
            return; /* nowhere left to say it */
        }
        line += written;
        size -= (size_t)written;
    }
}

void sl_log(int level, const char *id, const char *format, ...)
{
    if (level > level_max()) {
        return;
    }
    int error = errno; /* of the caller, who may be about to print it */
    char line[LINE_BYTES];
    size_t head = write_head(line, level, id);
    va_list args;
    va_start(args, format);
    int size = vsnprintf(line + head, sizeof line - head, format, args);
    va_end(args);
    size_t end = head + (size > 0 ? (size_t)size : 0);
    end = end < sizeof line - 1 ? end : sizeof line - 1;
    for (size_t i = 0; i < end; i++) {
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f) {
            line[i] = '?';
        }
    }
    while (end > 0 && line[end - 1] == ' ') {
        end--;
    }
    line[end] = '\n';
    write_all(line, end + 1);
    errno = error;
}

int sl_log_allowed(sl_log_limit *limit, unsigned per_second)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    if (now.tv_sec != limit->second) {
        if (limit->suppressed > 0) {
            sl_log(1, "LOG-SUPPRESSED", "lines=%u like the next", limit->suppressed);
        }
        *limit = (sl_log_limit){.second = now.tv_sec};
    }
    if (limit->seen >= per_second) {
        limit->suppressed++;
        return 0;
    }
    limit->seen++;
    return 1;
}
