/* counters.h - the numbers of sluice_counters as data: names, units, and one line of text each. */
#ifndef SL_COUNTERS_H
#define SL_COUNTERS_H

#include "status.h"
#include "sluice/counters.h"

typedef struct sl_counter {
    const char *name, *unit, *doc;
    size_t offset; /* of the uint64_t in sluice_method_counters */
    bool grows;    /* since the start; else it is as it is now  */
} sl_counter;

extern const sl_counter sl_counters_of_method[];
extern const uint32_t sl_n_counters_of_method;

const char *sl_counters_method_name(sluice_method method); /* "text"; NULL for NONE */
uint64_t sl_counters_value(const sluice_method_counters *counters, const sl_counter *counter);

/* found / (found + missed); below 0: no watched sample had a duplicate. */
double sl_counters_recall(const sluice_method_counters *counters);

/* "text.rows 123\n" for every number of every method that has a budget, and "next_offset N\n".
 * Read: names that are not known are passed over, so another version's text can be read. */
SLUICE_MUST_USE sluice_status sl_counters_write(const sluice_counters *counters, sluice_bytes *out);
void sl_counters_read(sluice_span text, sluice_counters *out);

#endif
