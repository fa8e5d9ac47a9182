/* tap.h - who watches the stream live: what each is sent next, and how much each has missed. */
#ifndef SL_TAP_H
#define SL_TAP_H

#include "status.h"
#include "sluice/sample.h"

#define SL_TAP_WATCHERS 16           /* at once */
#define SL_TAP_BYTES    (256u << 10) /* waiting for one of them; beyond it misses records */

typedef struct sl_tap_filter {
    uint32_t decisions; /* bits 1 << sluice_decision; 0 = all */
    uint32_t methods;   /* bits 1 << sluice_method; 0 = all   */
    bool by_source;
    char source[SLUICE_LIMIT_SOURCE_BYTES + 1];
} sl_tap_filter;

typedef struct sl_watcher sl_watcher;
typedef struct sl_tap sl_tap;

SLUICE_MUST_USE sluice_status sl_tap_open(sl_tap **out); /* Gives *out */
void sl_tap_close(sl_tap **tap_p); /* Takes; NULL ok; nobody watches any more */

uint32_t sl_tap_n_watchers(const sl_tap *tap);

/* NULL: there are SL_TAP_WATCHERS already. Lent until leave. */
sl_watcher *sl_tap_join(sl_tap *tap, const sl_tap_filter *filter, int64_t now_us);
void sl_tap_leave(sl_tap *tap, sl_watcher *watcher);

/* Whether anybody would take the record of a sample. If not, whoever wanted it has missed it and
 * nobody needs its JSON. */
bool sl_tap_wants(sl_tap *tap, const sluice_sample *sample);

/* One record for everybody whose filter lets it through. json: the verdict record. */
void sl_tap_record(sl_tap *tap, const sluice_sample *sample, sluice_span json, int64_t now_us);

/* n records were not looked at: nobody has time for all of them. */
void sl_tap_skip(sl_tap *tap, uint64_t n);

/* A comment to whoever has heard nothing for a while, so that both ends notice a dead line. */
void sl_tap_beat(sl_tap *tap, int64_t now_us);

/* Moves at most `size` bytes of server-sent events to `out`; 0: nothing waits. */
size_t sl_watcher_take(sl_watcher *watcher, char *out, size_t size);
bool sl_watcher_has(const sl_watcher *watcher);

#endif
