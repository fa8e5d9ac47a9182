/* counters.c - the numbers of sluice_counters as data: names, units, and one line of text each.
 *
 * Why text in the state: it is written every few seconds and read by people and by other versions;
 * a line that is not known costs nothing. */
#include "counters.h"
#include "bytes.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define LINE_BYTES 96

#define COUNTER(field, is, doc, grows)                                                             \
#field, is, doc, offsetof(sluice_method_counters, field), grows

const sl_counter sl_counters_of_method[] = {
    {COUNTER(memory_bytes, "bytes", "budget", false)},
    {COUNTER(rows, "rows", "remembered samples", false)},
    {COUNTER(rows_max, "rows", "that fit, of the present mean length", false)},
    {COUNTER(bytes, "bytes", "of remembered rows", false)},
    {COUNTER(bytes_max, "bytes", "of rows, at most", false)},
    {COUNTER(evicted, "rows", "that made room for newer ones", true)},
    {COUNTER(oldest_offset, "offset", "of the oldest row that can be found", false)},
    {COUNTER(oldest_arrived_us, "microseconds", "since 1970, its arrival", false)},
    {COUNTER(probes, "samples", "looked up", true)},
    {COUNTER(candidates, "rows", "compared", true)},
    {COUNTER(verified, "rows", "compared, and duplicates inside the window", true)},
    {COUNTER(rejected, "rows", "compared, and not duplicates", true)},
    {COUNTER(buckets_checked, "entries", "looked at when a row was inserted, 1 row in 1,024",
             true)},
    {COUNTER(buckets_overflowed, "entries", "of those, that pushed out a live one", true)},
    {COUNTER(hot_bands, "bands", "met, that too many rows share to say anything by themselves",
             true)},
    {COUNTER(recall_checked, "samples", "compared by brute force, 1 in 1,024", true)},
    {COUNTER(recall_found, "samples", "with a duplicate that the index found", true)},
    {COUNTER(recall_missed, "samples", "with a duplicate that the index did not find", true)},
};
const uint32_t sl_n_counters_of_method =
    sizeof sl_counters_of_method / sizeof sl_counters_of_method[0];

_Static_assert(sizeof sl_counters_of_method / sizeof sl_counters_of_method[0] ==
                   sizeof(sluice_method_counters) / sizeof(uint64_t),
               "every number has a name");

const char *sl_counters_method_name(sluice_method method)
{
    static const char *const names[SLUICE_N_METHODS] = {NULL, "exact", "text", "image",
                                                        "embedding"};
    return (unsigned)method < SLUICE_N_METHODS ? names[method] : NULL;
}

uint64_t sl_counters_value(const sluice_method_counters *counters, const sl_counter *counter)
{
    uint64_t value;
    memcpy(&value, (const char *)counters + counter->offset, sizeof value);
    return value;
}

double sl_counters_recall(const sluice_method_counters *counters)
{
    uint64_t n = counters->recall_found + counters->recall_missed;
    return n == 0 ? -1 : (double)counters->recall_found / (double)n;
}

static sluice_status put_line(sluice_bytes *out, const char *method, const char *name,
                              uint64_t value)
{
    char line[LINE_BYTES];
    int size = snprintf(line, sizeof line, "%s%s%s %" PRIu64 "\n", method,
                        method[0] != '\0' ? "." : "", name, value);
    return sl_bytes_append(out, line, (size_t)size);
}

sluice_status sl_counters_write(const sluice_counters *counters, sluice_bytes *out)
{
    SLUICE_TRY(put_line(out, "", "next_offset", counters->next_offset));
    for (int m = SLUICE_METHOD_EXACT; m < SLUICE_N_METHODS; m++) {
        const sluice_method_counters *method = &counters->method[m];
        for (uint32_t i = 0; i < sl_n_counters_of_method && method->memory_bytes > 0; i++) {
            SLUICE_TRY(put_line(out, sl_counters_method_name((sluice_method)m),
                                sl_counters_of_method[i].name,
                                sl_counters_value(method, &sl_counters_of_method[i])));
        }
    }
    return SLUICE_OK;
}

static void take_number(const char *name, uint64_t value, sluice_counters *out)
{
    if (strcmp(name, "next_offset") == 0) {
        out->next_offset = value;
    }
    for (int m = SLUICE_METHOD_EXACT; m < SLUICE_N_METHODS; m++) {
        const char *method = sl_counters_method_name((sluice_method)m);
        size_t size = strlen(method);
        if (strncmp(name, method, size) != 0 || name[size] != '.') {
            continue;
        }
        for (uint32_t i = 0; i < sl_n_counters_of_method; i++) {
            if (strcmp(name + size + 1, sl_counters_of_method[i].name) == 0) {
                memcpy((char *)&out->method[m] + sl_counters_of_method[i].offset, &value,
                       sizeof value);
            }
        }
    }
}

void sl_counters_read(sluice_span text, sluice_counters *out)
{
    *out = (sluice_counters){0};
    while (text.size > 0) {
        const uint8_t *end = memchr(text.data, '\n', text.size);
        size_t size = end != NULL ? (size_t)(end - text.data) : text.size;
        char line[LINE_BYTES] = "", name[LINE_BYTES];
        uint64_t value;
        memcpy(line, text.data, size < sizeof line ? size : sizeof line - 1);
        if (sscanf(line, "%95s %" SCNu64, name, &value) == 2) {
            take_number(name, value, out);
        }
        size += end != NULL;
        text = (sluice_span){text.data + size, text.size - size};
    }
}
