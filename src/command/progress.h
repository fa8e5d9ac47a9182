/* progress.h - how far a long command is, on standard error. */
#ifndef SL_PROGRESS_H
#define SL_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sl_progress { /* zero is not open */
    bool shown;              /* false: says nothing                      */
    bool terminal;           /* a bar that moves, or a line now and then */
    bool drawn;
    uint32_t columns;
    double began_s, said_s;
} sl_progress;

void sl_progress_begin(sl_progress *progress, bool shown);

/* Says where it is if it is time to. done, total  bytes; total 0 = unknown. */
void sl_progress_tick(sl_progress *progress, uint64_t done, uint64_t total, uint64_t samples,
                      uint64_t dropped);

/* Takes the bar away, so that other lines can be printed; it comes back with the next tick. */
void sl_progress_clear(sl_progress *progress);

double sl_progress_seconds(const sl_progress *progress); /* since begin */

/* "12.3 MB", "1.2 GB"; "3 min 20 s"; "1,234,567". */
const char *sl_progress_bytes(double bytes, char *out, size_t size);
const char *sl_progress_duration(double seconds, char *out, size_t size);
const char *sl_progress_count(uint64_t count, char *out, size_t size);

/* The bar or line itself, for a given moment. */
void sl_progress_line(const sl_progress *progress, double seconds, uint64_t done, uint64_t total,
                      uint64_t samples, uint64_t dropped, char *out, size_t size);

#endif
