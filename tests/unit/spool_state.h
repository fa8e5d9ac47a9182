/* spool_state.h - a state directory for one test, and samples to put into it. */
#ifndef SPOOL_STATE_H
#define SPOOL_STATE_H

#include "spool/spool.h"
#include "bytes.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#define MANY 4096

typedef struct spool_state {
    char path[256];
    sl_spool *spool;
    sluice_message why;
    sl_spool_options options;
} spool_state;

/* Removes a folder of files and of folders of files. */
static inline void remove_folder(const char *path)
{
    char command[600];
    snprintf(command, sizeof command, "chmod -R u+rwx '%s' 2>/dev/null; rm -rf '%s'", path, path);
    assert_int_equal(system(command), 0);
}

static inline void name_state(spool_state *s)
{
    memset(s, 0, sizeof *s);
    const char *base = getenv("TMPDIR");
    snprintf(s->path, sizeof s->path, "%s/sluice-spool-XXXXXX", base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(s->path));
    s->options.path = s->path;
    s->options.max_bytes = UINT64_C(64) << 20;
    s->options.sync_os = true; /* most tests are about content; the crash test syncs */
}

static inline void open_state(spool_state *s)
{
    sluice_status status = sl_spool_open(&s->options, &s->spool, &s->why);
    if (status != SLUICE_OK) {
        fail_msg("%s: %s", sluice_status_name(status), s->why.text);
    }
}

static inline void reopen_state(spool_state *s)
{
    sl_spool_close(&s->spool);
    open_state(s);
}

static inline int setup_state(void **state)
{
    spool_state *s = malloc(sizeof *s);
    assert_non_null(s);
    name_state(s);
    open_state(s);
    *state = s;
    return 0;
}

static inline int teardown_state(void **state)
{
    spool_state *s = *state;
    sl_spool_close(&s->spool);
    remove_folder(s->path);
    free(s);
    return 0;
}

static inline void append_ok(spool_state *s, const sl_spool_write *write)
{
    sluice_status status = sl_spool_append(s->spool, write, &s->why);
    if (status != SLUICE_OK) {
        fail_msg("%s: %s", sluice_status_name(status), s->why.text);
    }
}

static inline void verify_ok(spool_state *s)
{
    sluice_status status = sl_spool_verify(s->spool, &s->why);
    if (status != SLUICE_OK) {
        fail_msg("%s: %s", sluice_status_name(status), s->why.text);
    }
}

/* A pure function of the offset: what sample `offset` looks like. */
static inline uint64_t mix(uint64_t x)
{
    x ^= x >> 33;
    x *= UINT64_C(0xff51afd7ed558ccd);
    x ^= x >> 33;
    return x;
}

/* Fills `wire` and gives its size, 1..limit. */
static inline size_t make_wire(uint64_t offset, size_t limit, uint8_t *wire)
{
    size_t size = 1 + mix(offset + 1) % limit;
    for (size_t i = 0; i < size; i++) {
        wire[i] = (uint8_t)mix(offset * 131071 + i);
    }
    return size;
}

static inline sluice_decision decision_of(uint64_t offset)
{
    return (sluice_decision)(mix(offset + 7) % 3);
}

/* Samples [first, first + n) of equal size, all kept; `wire` is lent by the caller. */
static inline void make_samples(sl_spool_sample *samples, uint64_t first, uint32_t n,
                                sluice_span wire)
{
    for (uint32_t i = 0; i < n; i++) {
        samples[i] = (sl_spool_sample){
            .offset = first + i,
            .arrived_us = (int64_t)(1000 + first + i),
            .decision = SLUICE_KEEP,
            .wire = wire,
            .annotation = {(const uint8_t *)"zA", 2},
        };
    }
}

/* Appends `n` kept samples of `size` bytes as one commit. */
static inline void append_samples(spool_state *s, uint32_t n, size_t size)
{
    sl_spool_sample *samples = calloc(n, sizeof *samples);
    uint8_t *wire = malloc(size);
    assert_non_null(samples);
    assert_non_null(wire);
    memset(wire, 'w', size);
    make_samples(samples, sl_spool_extent_of(s->spool).next_offset, n, (sluice_span){wire, size});
    append_ok(s, &(sl_spool_write){.samples = samples, .n_samples = n});
    free(wire);
    free(samples);
}

static inline void put_checkpoint(spool_state *s, uint64_t offset)
{
    append_ok(
        s, &(sl_spool_write){.checkpoint = {(const uint8_t *)"c", 1}, .checkpoint_offset = offset});
}

static inline void put_floor(spool_state *s, const char *name, uint64_t floor)
{
    static sl_spool_group group; /* large */
    memset(&group, 0, sizeof group);
    snprintf(group.name, sizeof group.name, "%s", name);
    group.floor = floor;
    append_ok(s, &(sl_spool_write){.groups = &group, .n_groups = 1});
}

#endif
