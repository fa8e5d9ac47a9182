/* tap.c - who watches the stream live: what each is sent next, and how much each has missed.
 *
 *   record --filter--> [ waiting bytes, 256 KiB ] --> connection      id: 17
 *                        full: lost + 1                             data: {"id": "a1", ...}
 *
 * Why a slow watcher loses records: the other choices are to hold the stream back for a look at it,
 * or memory without end. What was lost is counted and said in its place: `event: gap`. */
#include "watch/tap.h"
#include "bytes.h"
#include "record_json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define BEAT_US   (5 * INT64_C(1000000))
#define GAP_BYTES 128 /* room that a gap event needs */

struct sl_watcher {
    bool here;
    sl_tap_filter filter;
    sluice_bytes waiting; /* [taken, size) */
    size_t taken;
    uint64_t lost, skipped;
    int64_t heard_us;
};

struct sl_tap {
    uint32_t n_watchers;
    sl_watcher watcher[SL_TAP_WATCHERS];
};

sluice_status sl_tap_open(sl_tap **out)
{
    *out = calloc(1, sizeof **out);
    return *out != NULL ? SLUICE_OK : SLUICE_E_NOMEM;
}

void sl_tap_close(sl_tap **tap_p)
{
    if (*tap_p != NULL) {
        for (uint32_t i = 0; i < SL_TAP_WATCHERS; i++) {
            sl_bytes_fini(&(*tap_p)->watcher[i].waiting);
        }
        free(*tap_p);
        *tap_p = NULL;
    }
}

uint32_t sl_tap_n_watchers(const sl_tap *tap)
{
    return tap->n_watchers;
}

static void put(sl_watcher *watcher, const char *text)
{
    if (sl_json_put_text(&watcher->waiting, text) != SLUICE_OK) {
        watcher->lost++;
    }
}

sl_watcher *sl_tap_join(sl_tap *tap, const sl_tap_filter *filter, int64_t now_us)
{
    for (uint32_t i = 0; i < SL_TAP_WATCHERS; i++) {
        sl_watcher *watcher = &tap->watcher[i];
        if (!watcher->here) {
            *watcher = (sl_watcher){.here = true, .filter = *filter, .heard_us = now_us};
            put(watcher, ": verdict records as they become durable\n\n");
            tap->n_watchers++;
            return watcher;
        }
    }
    return NULL;
}

void sl_tap_leave(sl_tap *tap, sl_watcher *watcher)
{
    sl_bytes_fini(&watcher->waiting);
    watcher->here = false;
    tap->n_watchers--;
}

static bool lets_through(const sl_tap_filter *filter, const sluice_sample *sample)
{
    return (filter->decisions == 0 || (filter->decisions >> sample->verdict.decision & 1) != 0) &&
           (filter->methods == 0 || (filter->methods >> sample->match.method & 1) != 0) &&
           (!filter->by_source || sl_span_equal(sample->source, sl_span_of(filter->source)));
}

static size_t room_of(const sl_watcher *watcher)
{
    size_t used = watcher->waiting.size - watcher->taken;
    return used < SL_TAP_BYTES ? SL_TAP_BYTES - used : 0;
}

/* Says what was missed once the watcher has caught up by half: not each miss by itself. */
static void settle_gap(sl_watcher *watcher)
{
    if ((watcher->lost == 0 && watcher->skipped == 0) || room_of(watcher) < SL_TAP_BYTES / 2) {
        return;
    }
    char text[GAP_BYTES];
    snprintf(text, sizeof text,
             "event: gap\ndata: {\"lost\": %" PRIu64 ", \"skipped\": %" PRIu64 "}\n\n",
             watcher->lost, watcher->skipped);
    watcher->lost = watcher->skipped = 0;
    put(watcher, text);
}

static void put_record(sl_watcher *watcher, const sluice_sample *sample, sluice_span json)
{
    char id[40] = "";
    if (sample->offset != UINT64_MAX) {
        snprintf(id, sizeof id, "id: %" PRIu64 "\n", sample->offset);
    }
    size_t before = watcher->waiting.size;
    bool complete = sl_json_put_text(&watcher->waiting, id) == SLUICE_OK &&
                    sl_json_put_text(&watcher->waiting, "data: ") == SLUICE_OK &&
                    sl_bytes_append(&watcher->waiting, json.data, json.size) == SLUICE_OK &&
                    sl_json_put_text(&watcher->waiting, "\n\n") == SLUICE_OK;
    if (!complete) {
        watcher->waiting.size = before;
        watcher->lost++;
    }
}

static bool may_take(const sl_watcher *watcher, size_t json_size)
{
    return watcher->lost == 0 && room_of(watcher) >= json_size + GAP_BYTES;
}

bool sl_tap_wants(sl_tap *tap, const sluice_sample *sample)
{
    bool wanted = false;
    uint64_t misses = 0; /* bits of watchers */
    for (uint32_t i = 0; i < SL_TAP_WATCHERS; i++) {
        sl_watcher *watcher = &tap->watcher[i];
        if (watcher->here && lets_through(&watcher->filter, sample)) {
            settle_gap(watcher);
            wanted = wanted || may_take(watcher, 0);
            misses |= UINT64_C(1) << i;
        }
    }
    for (uint32_t i = 0; i < SL_TAP_WATCHERS && !wanted; i++) {
        tap->watcher[i].lost += misses >> i & 1;
    }
    return wanted;
}

void sl_tap_record(sl_tap *tap, const sluice_sample *sample, sluice_span json, int64_t now_us)
{
    for (uint32_t i = 0; i < SL_TAP_WATCHERS; i++) {
        sl_watcher *watcher = &tap->watcher[i];
        if (!watcher->here || !lets_through(&watcher->filter, sample)) {
            continue;
        }
        settle_gap(watcher);
        if (!may_take(watcher, json.size)) {
            watcher->lost++;
            continue;
        }
        put_record(watcher, sample, json);
        watcher->heard_us = now_us;
    }
}

void sl_tap_skip(sl_tap *tap, uint64_t n)
{
    for (uint32_t i = 0; i < SL_TAP_WATCHERS; i++) {
        tap->watcher[i].skipped += tap->watcher[i].here ? n : 0;
    }
}

void sl_tap_beat(sl_tap *tap, int64_t now_us)
{
    for (uint32_t i = 0; i < SL_TAP_WATCHERS; i++) {
        sl_watcher *watcher = &tap->watcher[i];
        if (watcher->here) {
            settle_gap(watcher);
        }
        if (watcher->here && now_us - watcher->heard_us >= BEAT_US && !sl_watcher_has(watcher)) {
            put(watcher, ":\n\n");
            watcher->heard_us = now_us;
        }
    }
}

bool sl_watcher_has(const sl_watcher *watcher)
{
    return watcher->waiting.size > watcher->taken;
}

size_t sl_watcher_take(sl_watcher *watcher, char *out, size_t size)
{
    size_t left = watcher->waiting.size - watcher->taken;
    size_t n = left < size ? left : size;
    if (n > 0) {
        memcpy(out, watcher->waiting.data + watcher->taken, n);
    }
    watcher->taken += n;
    if (watcher->taken == watcher->waiting.size) {
        sl_bytes_clear(&watcher->waiting);
        watcher->taken = 0;
    } else if (watcher->taken >= SL_TAP_BYTES) { /* else the buffer would grow while it is read */
        memmove(watcher->waiting.data, watcher->waiting.data + watcher->taken, left - n);
        watcher->waiting.size = left - n;
        watcher->taken = 0;
    }
    return n;
}
