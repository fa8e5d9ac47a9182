/* spool_audit_test.c - verification of a data file in which bytes were changed behind our back. */
#include "unit/spool_state.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define RANDOM_FLIPS 400

typedef struct image { /* the data file as it should be */
    char path[300];
    uint8_t *bytes;
    size_t size;
} image;

static image load_image(const spool_state *s)
{
    image data;
    snprintf(data.path, sizeof data.path, "%s/data.mdb", s->path);
    FILE *file = fopen(data.path, "rb");
    assert_non_null(file);
    struct stat info;
    assert_int_equal(fstat(fileno(file), &info), 0);
    data.size = (size_t)info.st_size;
    data.bytes = malloc(data.size);
    assert_non_null(data.bytes);
    assert_int_equal(fread(data.bytes, 1, data.size, file), data.size);
    fclose(file);
    return data;
}

static void poke(const image *data, size_t at, uint8_t byte)
{
    int fd = open(data->path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
    close(fd);
}

/* Everything there is, in a few commits. */
static void fill(spool_state *s)
{
    static sl_spool_sample samples[64];
    static uint8_t wires[64][2000];
    sluice_span rows[64];
    uint64_t offsets[64];
    sl_spool_producer producer = {.name = "producer-name", .next_sequence = 1};
    for (uint64_t k = 0; k < 4; k++) {
        for (uint32_t i = 0; i < 64; i++) {
            size_t size = make_wire(64 * k + i, sizeof wires[i], wires[i]);
            make_samples(&samples[i], 64 * k + i, 1, (sluice_span){wires[i], size});
            rows[i] = sl_span_of("a row of a sample");
            offsets[i] = 64 * k + i;
        }
        producer.received = producer.kept = producer.next_sequence = 64 * (k + 1);
        sl_spool_dead dead = {.by = "producer-name", .wire = sl_span_of("dead sample")};
        append_ok(s, &(sl_spool_write){.samples = samples,
                                       .n_samples = 64,
                                       .rows = rows,
                                       .row_offsets = offsets,
                                       .n_rows = 64,
                                       .producers = &producer,
                                       .n_producers = 1,
                                       .dead = &dead,
                                       .n_dead = 1,
                                       .checkpoint = sl_span_of("a checkpoint of the engine"),
                                       .checkpoint_offset = 64 * k});
    }
    put_floor(s, "consumer-name", 17);
    verify_ok(s);
}

typedef enum outcome { SAME, FOUND, DIFFERENT, KILLED, N_OUTCOMES } outcome;

/* In a process of its own: LMDB trusts its own pages, so a changed one may end it by a signal. */
static outcome look(spool_state *s, const uint64_t digest[2])
{
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 2); /* what the signal handler of a sanitizer says is not of interest */
        s->options.read_only = true;
        uint64_t now[2];
        if (sl_spool_open(&s->options, &s->spool, NULL) != SLUICE_OK ||
            sl_spool_verify(s->spool, NULL) != SLUICE_OK ||
            sl_spool_digest(s->spool, NULL, now, NULL) != SLUICE_OK) {
            _exit(FOUND);
        }
        _exit(memcmp(now, digest, sizeof now) == 0 ? SAME : DIFFERENT);
    }
    int result;
    assert_int_equal(waitpid(pid, &result, 0), pid);
    return WIFEXITED(result) && WEXITSTATUS(result) < KILLED ? (outcome)WEXITSTATUS(result)
                                                             : KILLED;
}

static void test_verify_finds_every_changed_byte_of_a_stored_value(void **state)
{
    spool_state *s = *state;
    fill(s);
    uint64_t digest[2];
    assert_int_equal(sl_spool_digest(s->spool, NULL, digest, &s->why), SLUICE_OK);
    sl_spool_close(&s->spool);
    image data = load_image(s);
    assert_int_equal(look(s, digest), SAME);
    /* Inside the samples of the third group, which is one run of pages. */
    uint8_t wire[2000];
    size_t size = make_wire(64 * 2 + 9, sizeof wire, wire);
    uint8_t *found = memmem(data.bytes, data.size, wire, size);
    assert_non_null(found);
    for (size_t i = 0; i < size; i += 17) {
        size_t at = (size_t)(found - data.bytes) + i;
        poke(&data, at, (uint8_t)(data.bytes[at] ^ 0x10));
        assert_int_equal(look(s, digest), FOUND);
        poke(&data, at, data.bytes[at]);
    }
    assert_int_equal(look(s, digest), SAME);
    free(data.bytes);
}

static void test_verify_never_passes_a_file_that_says_something_else(void **state)
{
    spool_state *s = *state;
    fill(s);
    uint64_t digest[2];
    assert_int_equal(sl_spool_digest(s->spool, NULL, digest, &s->why), SLUICE_OK);
    sl_spool_close(&s->spool);
    image data = load_image(s);
    unsigned n[N_OUTCOMES] = {0};
    for (uint64_t i = 0; i < RANDOM_FLIPS; i++) {
        size_t at = mix(i + 1) % data.size;
        poke(&data, at, (uint8_t)(data.bytes[at] ^ (1u << mix(i) % 8)));
        n[look(s, digest)]++;
        poke(&data, at, data.bytes[at]);
    }
    print_message("%u flips: %u found, %u of no consequence, %u ended by a signal\n", RANDOM_FLIPS,
                  n[FOUND], n[SAME], n[KILLED]);
    assert_int_equal(n[DIFFERENT], 0);
    assert_true(n[FOUND] > RANDOM_FLIPS / 2);
    free(data.bytes);
}

#define STATE_TEST(f) cmocka_unit_test_setup_teardown(f, setup_state, teardown_state)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STATE_TEST(test_verify_finds_every_changed_byte_of_a_stored_value),
        STATE_TEST(test_verify_never_passes_a_file_that_says_something_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
