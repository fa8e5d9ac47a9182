/* spool_power_test.c - a loss of power at any moment: what append called durable is there.
 *
 *      trace    W W W F M A  W W F M A  ...      W write  F flush  M synchronous write  A append is
 * OK loss     |--- up to here ---|             all up to the last flush, and of the writes since
 * any sectors of 512 bytes, chosen at random
 *
 * The calls of LMDB are caught by functions of the same name in this program, which note them and
 * pass them on. The disk that is assumed keeps what a flush returned for, writes sectors whole, and
 * promises nothing else: no order, no completeness. */
#include "unit/spool_state.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#define N_APPENDS    40
#define MAX_EVENTS   20000
#define IMAGE_BYTES  (32u << 20)
#define SECTOR_BYTES 512
#define EXPORTED     __attribute__((visibility("default")))

typedef struct event {
    enum { WROTE, FLUSHED, ACKNOWLEDGED } kind;
    bool synchronous; /* WROTE: through a descriptor with O_DSYNC */
    size_t at, size;
    uint8_t *bytes;
    uint64_t next_offset; /* ACKNOWLEDGED */
} event;

static struct {
    bool on;
    dev_t device;
    ino_t inode;
    event event[MAX_EVENTS];
    uint32_t n;
} trace;

static bool is_traced(int fd)
{
    struct stat info;
    return trace.on && fstat(fd, &info) == 0 && info.st_dev == trace.device &&
           info.st_ino == trace.inode;
}

static void note(event e, const void *bytes)
{
    SLUICE_ASSERT(trace.n < MAX_EVENTS);
    if (bytes != NULL && e.size > 0) {
        e.bytes = malloc(e.size);
        SLUICE_ASSERT(e.bytes != NULL);
        memcpy(e.bytes, bytes, e.size);
    }
    trace.event[trace.n++] = e;
}

static void note_write(int fd, const void *bytes, size_t size, off_t at)
{
    note((event){.kind = WROTE,
                 .synchronous = (fcntl(fd, F_GETFL) & O_DSYNC) != 0,
                 .at = (size_t)at,
                 .size = size},
         bytes);
}

EXPORTED ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at)
{
    ssize_t done = syscall(SYS_pwrite64, fd, bytes, size, at);
    if (done > 0 && is_traced(fd)) {
        note_write(fd, bytes, (size_t)done, at);
    }
    return done;
}

EXPORTED ssize_t writev(int fd, const struct iovec *parts, int n)
{
    off_t at = lseek(fd, 0, SEEK_CUR);
    ssize_t done = syscall(SYS_writev, fd, parts, n);
    for (int i = 0; done > 0 && i < n && is_traced(fd); i++) {
        note_write(fd, parts[i].iov_base, parts[i].iov_len, at);
        at += (off_t)parts[i].iov_len;
    }
    return done;
}

EXPORTED int fdatasync(int fd)
{
    int result = (int)syscall(SYS_fdatasync, fd);
    if (result == 0 && is_traced(fd)) {
        note((event){.kind = FLUSHED}, NULL);
    }
    return result;
}

static size_t apply(uint8_t *image, size_t size, const event *e)
{
    assert_true(e->at + e->size <= IMAGE_BYTES);
    memcpy(image + e->at, e->bytes, e->size);
    return e->at + e->size > size ? e->at + e->size : size;
}

/* Writes some of the sectors of a write that no flush has covered; which ones, `seed` says. */
static size_t apply_torn(uint8_t *image, size_t size, const event *e, uint64_t seed)
{
    for (size_t done = 0; done < e->size;) {
        size_t part = SECTOR_BYTES - (e->at + done) % SECTOR_BYTES;
        part = part < e->size - done ? part : e->size - done;
        if (mix(seed + e->at + done) % 2 == 0) {
            memcpy(image + e->at + done, e->bytes + done, part);
            size = e->at + done + part > size ? e->at + done + part : size;
        }
        done += part;
    }
    return size;
}

/* The file after a loss of power behind event `n` - 1. Gives its size and what was acknowledged. */
static size_t lose_power(uint8_t *image, size_t size, uint32_t n, uint64_t seed,
                         uint64_t *acknowledged)
{
    uint32_t flushed = 0;
    *acknowledged = 0;
    for (uint32_t i = 0; i < n; i++) {
        flushed = trace.event[i].kind == FLUSHED ? i : flushed;
        if (trace.event[i].kind == ACKNOWLEDGED) {
            *acknowledged = trace.event[i].next_offset;
        }
    }
    for (uint32_t i = 0; i < n; i++) {
        const event *e = &trace.event[i];
        if (e->kind == WROTE && (i < flushed || e->synchronous)) {
            size = apply(image, size, e);
        } else if (e->kind == WROTE) {
            size = apply_torn(image, size, e, seed);
        }
    }
    return size;
}

static bool check_wire(void *context, const sl_spool_sample *sample)
{
    uint64_t *next = context;
    uint8_t wire[3000];
    size_t size = make_wire(sample->offset, sizeof wire, wire);
    assert_int_equal(sample->offset, *next);
    assert_int_equal(sample->wire.size, size + 2);
    assert_memory_equal(sample->wire.data, wire, size);
    (*next)++;
    return true;
}

static void check_image(const uint8_t *image, size_t size, uint64_t acknowledged,
                        uint64_t following)
{
    spool_state s;
    name_state(&s);
    char path[300];
    snprintf(path, sizeof path, "%s/data.mdb", s.path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(image, 1, size, file), size);
    fclose(file);
    open_state(&s);
    verify_ok(&s);
    sl_spool_extent extent = sl_spool_extent_of(s.spool);
    assert_true(extent.next_offset == acknowledged || extent.next_offset == following);
    uint64_t next = extent.first_offset;
    assert_int_equal(sl_spool_samples(s.spool, 0, check_wire, &next, &s.why), SLUICE_OK);
    assert_int_equal(next, extent.next_offset);
    append_samples(&s, 3, 100); /* and it goes on from there */
    verify_ok(&s);
    sl_spool_close(&s.spool);
    remove_folder(s.path);
}

static void append_next(spool_state *s, uint32_t n)
{
    static sl_spool_sample samples[64];
    static uint8_t wires[64][3000];
    uint64_t next = sl_spool_extent_of(s->spool).next_offset;
    for (uint32_t i = 0; i < n; i++) {
        size_t size = make_wire(next + i, sizeof wires[i], wires[i]);
        make_samples(&samples[i], next + i, 1, (sluice_span){wires[i], size});
    }
    sluice_span row = {wires[0], 1};
    append_ok(s, &(sl_spool_write){.samples = samples,
                                   .n_samples = n,
                                   .rows = &row,
                                   .row_offsets = &next,
                                   .n_rows = 1,
                                   .checkpoint = {wires[0], 500},
                                   .checkpoint_offset = next,
                                   .oldest_row = next});
}

static void record_appends(spool_state *s)
{
    for (uint64_t i = 0; i < N_APPENDS; i++) {
        append_next(s, 1 + (uint32_t)(mix(i + 2) % 60));
        note((event){.kind = ACKNOWLEDGED, .next_offset = sl_spool_extent_of(s->spool).next_offset},
             NULL);
    }
    trace.on = false;
}

/* next_offset of the append that is under way at event `n`. */
static uint64_t following_ack(uint32_t n, uint64_t otherwise)
{
    for (uint32_t i = n; i < trace.n; i++) {
        if (trace.event[i].kind == ACKNOWLEDGED) {
            return trace.event[i].next_offset;
        }
    }
    return otherwise;
}

static void test_power_lost_at_any_moment_keeps_what_was_acknowledged(void **state)
{
    (void)state;
    spool_state s;
    name_state(&s);
    s.options.sync_os = false;
    s.options.max_bytes = 1u << 20; /* pages are deleted and used again */
    open_state(&s);
    char path[300];
    snprintf(path, sizeof path, "%s/data.mdb", s.path);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    uint8_t *start = calloc(1, IMAGE_BYTES);
    uint8_t *image = malloc(IMAGE_BYTES);
    assert_non_null(start);
    assert_non_null(image);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t start_size = fread(start, 1, IMAGE_BYTES, file);
    fclose(file);
    trace.device = info.st_dev;
    trace.inode = info.st_ino;
    trace.on = true;
    record_appends(&s);
    assert_true(sl_spool_extent_of(s.spool).deleted_samples > 0);
    sl_spool_close(&s.spool);
    remove_folder(s.path);
    uint32_t n_losses = 0;
    for (uint32_t n = 0; n <= trace.n; n++) {
        for (uint64_t seed = 0; seed < 2; seed++) {
            memcpy(image, start, IMAGE_BYTES);
            uint64_t acknowledged;
            size_t size = lose_power(image, start_size, n, mix(n * 2 + seed), &acknowledged);
            check_image(image, size, acknowledged, following_ack(n, acknowledged));
            n_losses++;
        }
    }
    print_message("%u losses of power in a trace of %u events\n", n_losses, trace.n);
    assert_true(n_losses > 4 * N_APPENDS); /* else nothing was caught */
    for (uint32_t i = 0; i < trace.n; i++) {
        free(trace.event[i].bytes);
    }
    free(image);
    free(start);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_power_lost_at_any_moment_keeps_what_was_acknowledged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
