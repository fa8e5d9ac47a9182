/* spool_spool_test.c - what was appended is there again, for every kind of reader. */
#include "unit/spool_state.h"

#include <signal.h>
#include <sys/resource.h>

typedef struct seen {
    uint32_t n;
    uint64_t first, last;
    char text[256];
} seen;

static bool see_sample(void *context, const sl_spool_sample *sample)
{
    seen *s = context;
    s->first = s->n == 0 ? sample->offset : s->first;
    s->last = sample->offset;
    s->n++;
    return true;
}

static bool see_row(void *context, uint64_t offset, sluice_span row)
{
    seen *s = context;
    s->first = s->n == 0 ? offset : s->first;
    s->last = offset;
    s->n++;
    snprintf(s->text, sizeof s->text, "%.*s", (int)row.size, (const char *)row.data);
    return true;
}

static bool see_first_only(void *context, const sl_spool_sample *sample)
{
    see_sample(context, sample);
    return false;
}

static seen rows_of(spool_state *s)
{
    seen rows = {0};
    assert_int_equal(sl_spool_rows(s->spool, see_row, &rows, &s->why), SLUICE_OK);
    return rows;
}

static seen samples_from(spool_state *s, uint64_t from)
{
    seen samples = {0};
    assert_int_equal(sl_spool_samples(s->spool, from, see_sample, &samples, &s->why), SLUICE_OK);
    return samples;
}

static void append_rows(spool_state *s, uint32_t n)
{
    sl_spool_sample samples[16];
    sluice_span rows[16];
    uint64_t offsets[16];
    uint64_t first = sl_spool_extent_of(s->spool).next_offset;
    make_samples(samples, first, n, sl_span_of("s"));
    for (uint32_t i = 0; i < n; i++) {
        rows[i] = sl_span_of("row");
        offsets[i] = first + i;
    }
    append_ok(
        s,
        &(sl_spool_write){
            .samples = samples, .n_samples = n, .rows = rows, .row_offsets = offsets, .n_rows = n});
}

static void test_spool_new_is_empty(void **state)
{
    spool_state *s = *state;
    sl_spool_extent extent = sl_spool_extent_of(s->spool);
    assert_int_equal(extent.first_offset, 0);
    assert_int_equal(extent.next_offset, 0);
    assert_int_equal(extent.log_bytes, 0);
    assert_int_equal(samples_from(s, 0).n, 0);
    sluice_bytes out = {0};
    uint64_t offset = 1;
    assert_int_equal(sl_spool_checkpoint(s->spool, &out, &offset, &s->why), SLUICE_OK);
    assert_int_equal(out.size, 0);
    assert_int_equal(offset, 0);
    verify_ok(s);
}

static void test_spool_append_of_nothing_writes_nothing(void **state)
{
    spool_state *s = *state;
    append_ok(s, &(sl_spool_write){0});
    assert_int_equal(sl_spool_extent_of(s->spool).next_offset, 0);
}

static void test_spool_reopened_holds_everything(void **state)
{
    spool_state *s = *state;
    append_rows(s, 5);
    put_checkpoint(s, 3);
    put_floor(s, "trainer", 2);
    sl_spool_producer producer = {.i_producer = 0, .name = "p", .next_sequence = 5, .received = 5};
    producer.kept = 5;
    append_ok(s, &(sl_spool_write){.producers = &producer, .n_producers = 1});
    sl_spool_extent before = sl_spool_extent_of(s->spool);
    reopen_state(s);
    sl_spool_extent after = sl_spool_extent_of(s->spool);
    assert_memory_equal(&before, &after, sizeof before);
    assert_int_equal(after.next_offset, 5);
    assert_true(after.log_bytes > 0);
    assert_int_equal(after.checkpoint_offset, 3);
    seen samples = samples_from(s, 0);
    assert_int_equal(samples.n, 5);
    assert_int_equal(samples.last, 4);
    seen rows = rows_of(s);
    assert_int_equal(rows.n, 5);
    assert_string_equal(rows.text, "row");
    sluice_bytes out = {0};
    uint64_t offset;
    assert_int_equal(sl_spool_checkpoint(s->spool, &out, &offset, &s->why), SLUICE_OK);
    assert_int_equal(offset, 3);
    assert_memory_equal(out.data, "c", 1);
    sl_bytes_fini(&out);
    verify_ok(s);
}

static void test_spool_samples_begin_inside_a_group_and_stop_when_told(void **state)
{
    spool_state *s = *state;
    append_rows(s, 8);
    append_rows(s, 8);
    seen samples = samples_from(s, 5);
    assert_int_equal(samples.first, 5);
    assert_int_equal(samples.n, 11);
    seen one = {0};
    assert_int_equal(sl_spool_samples(s->spool, 8, see_first_only, &one, &s->why), SLUICE_OK);
    assert_int_equal(one.n, 1);
    assert_int_equal(one.first, 8);
    assert_int_equal(samples_from(s, 16).n, 0);
}

static void test_spool_sample_at_gives_wire_and_annotation(void **state)
{
    spool_state *s = *state;
    append_samples(s, 3, 5);
    sluice_bytes out = {0};
    assert_int_equal(sl_spool_sample_at(s->spool, 2, &out, &s->why), SLUICE_OK);
    assert_int_equal(out.size, 7);
    assert_memory_equal(out.data, "wwwwwzA", 7);
    assert_int_equal(sl_spool_sample_at(s->spool, 3, &out, &s->why), SLUICE_E_AGAIN);
    sl_bytes_fini(&out);
}

static void test_spool_write_larger_than_a_group_is_split_in_one_commit(void **state)
{
    spool_state *s = *state;
    append_samples(s, 10, 1 << 20);
    reopen_state(s);
    assert_int_equal(samples_from(s, 0).n, 10);
    sluice_bytes out = {0};
    sl_spool_selected selected;
    sl_spool_select odd = {0, UINT64_MAX, UINT32_MAX, false, 1, 2};
    assert_int_equal(sl_spool_select_batch(s->spool, &odd, &out, &selected, &s->why), SLUICE_OK);
    assert_int_equal(selected.count, 4); /* values of 3, 3, 3 and 1 samples */
    sl_bytes_fini(&out);
    verify_ok(s);
}

static void test_spool_sample_larger_than_a_group_has_a_value_of_its_own(void **state)
{
    spool_state *s = *state;
    append_samples(s, 1, SLUICE_LIMIT_IMAGE_BYTES);
    reopen_state(s);
    sluice_bytes out = {0};
    assert_int_equal(sl_spool_sample_at(s->spool, 0, &out, &s->why), SLUICE_OK);
    assert_int_equal(out.size, SLUICE_LIMIT_IMAGE_BYTES + 2);
    sl_bytes_fini(&out);
}

static void test_spool_forgotten_row_is_gone_and_the_others_stay(void **state)
{
    spool_state *s = *state;
    append_rows(s, 4);
    append_rows(s, 1);
    uint64_t forget[] = {0, 2, 4, 77};
    append_ok(s, &(sl_spool_write){.forget = forget, .n_forget = 4});
    reopen_state(s);
    seen rows = rows_of(s);
    assert_int_equal(rows.n, 2);
    assert_int_equal(rows.first, 1);
    assert_int_equal(rows.last, 3);
    assert_int_equal(samples_from(s, 0).n, 5);
    verify_ok(s);
}

/* Its pages would be taken and given back in one transaction, and the file end before them. */
static void test_spool_row_forgotten_with_its_own_sample_is_not_stored(void **state)
{
    spool_state *s = *state;
    static uint8_t large[2][100000];
    append_rows(s, 1);
    sl_spool_sample samples[2];
    make_samples(samples, 1, 2, sl_span_of("s"));
    const sluice_span rows[] = {{large[0], sizeof large[0]}, {large[1], sizeof large[1]}};
    const uint64_t offsets[] = {1, 2}, forget[] = {2, 1, 0, 1};
    append_ok(s, &(sl_spool_write){.samples = samples,
                                   .n_samples = 2,
                                   .rows = rows,
                                   .row_offsets = offsets,
                                   .n_rows = 2,
                                   .forget = forget,
                                   .n_forget = 4});
    reopen_state(s);
    assert_int_equal(rows_of(s).n, 0);
    assert_int_equal(samples_from(s, 0).n, 3);
    verify_ok(s);
}

static void test_spool_rows_below_the_oldest_are_not_given(void **state)
{
    spool_state *s = *state;
    append_rows(s, 4);
    append_rows(s, 4);
    append_ok(s, &(sl_spool_write){.oldest_row = 6});
    seen rows = rows_of(s);
    assert_int_equal(rows.n, 2);
    assert_int_equal(rows.first, 6);
    append_ok(s, &(sl_spool_write){.checkpoint = sl_span_of("c"), .oldest_row = 3}); /* not back */
    reopen_state(s);
    assert_int_equal(rows_of(s).n, 2);
    append_ok(s, &(sl_spool_write){.oldest_row = 8});
    assert_int_equal(rows_of(s).n, 0);
    append_rows(s, 2);
    assert_int_equal(rows_of(s).n, 2);
    verify_ok(s);
}

static void test_spool_digest_ignores_commits_times_and_producer_numbers(void **state)
{
    spool_state *s = *state;
    uint64_t digest[3][2];
    for (int way = 0; way < 3; way++) {
        spool_state other;
        name_state(&other);
        open_state(&other);
        sl_spool_producer two[2] = {{.i_producer = 0, .name = "a", .next_sequence = 2},
                                    {.i_producer = 1, .name = "b", .next_sequence = 2}};
        sl_spool_sample samples[4];
        make_samples(samples, 0, 4, sl_span_of("x"));
        for (uint32_t i = 0; i < 4; i++) {
            samples[i].arrived_us += way;
            samples[i].i_producer = way == 1 ? 1 - i % 2 : i % 2;
        }
        strcpy(two[0].name, way == 1 ? "b" : "a");
        strcpy(two[1].name, way == 1 ? "a" : "b");
        samples[3].decision = way == 2 ? SLUICE_DROP : SLUICE_KEEP;
        uint32_t n_first = way == 1 ? 1 : 4;
        append_ok(&other, &(sl_spool_write){.samples = samples,
                                            .n_samples = n_first,
                                            .producers = two,
                                            .n_producers = 2});
        append_ok(&other,
                  &(sl_spool_write){.samples = samples + n_first, .n_samples = 4 - n_first});
        assert_int_equal(sl_spool_digest(other.spool, NULL, digest[way], &s->why), SLUICE_OK);
        sl_spool_close(&other.spool);
        remove_folder(other.path);
    }
    assert_memory_equal(digest[0], digest[1], sizeof digest[0]);
    assert_memory_not_equal(digest[0], digest[2], sizeof digest[0]);
}

static sluice_status mask_row(sluice_span row, sluice_bytes *out)
{
    return sl_bytes_append(out, row.data, row.size - 1);
}

static void test_spool_digest_masks_rows_and_skips_the_old(void **state)
{
    spool_state *s = *state;
    append_rows(s, 4);
    uint64_t whole[2], masked[2], fewer[2];
    assert_int_equal(sl_spool_digest(s->spool, NULL, whole, &s->why), SLUICE_OK);
    assert_int_equal(sl_spool_digest(s->spool, mask_row, masked, &s->why), SLUICE_OK);
    assert_memory_not_equal(whole, masked, sizeof whole);
    append_ok(s, &(sl_spool_write){.oldest_row = 1});
    assert_int_equal(sl_spool_digest(s->spool, NULL, fewer, &s->why), SLUICE_OK);
    assert_memory_not_equal(whole, fewer, sizeof whole);
}

static void test_spool_state_lines_come_back(void **state)
{
    spool_state *s = *state;
    sluice_bytes out = {0};
    assert_int_equal(sl_spool_state_lines(s->spool, &out, &s->why), SLUICE_OK);
    assert_int_equal(out.size, 0);
    sl_bytes_fini(&out);
}

/* A limit of the file's size stands for a full disk: the write is cut short in the same way. */
static void test_spool_append_that_failed_is_not_there_and_ends_the_spool(void **state)
{
    spool_state *s = *state;
    append_samples(s, 2, 100);
    struct rlimit before;
    getrlimit(RLIMIT_FSIZE, &before);
    struct rlimit small = {1 << 20, before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    static uint8_t wire[3 << 20];
    sl_spool_sample sample;
    make_samples(&sample, 2, 1, (sluice_span){wire, sizeof wire});
    sl_spool_write write = {.samples = &sample, .n_samples = 1};
    sluice_status status = sl_spool_append(s->spool, &write, &s->why);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(status, SLUICE_E_IO);
    assert_non_null(strstr(s->why.text, s->path));
    assert_non_null(strstr(s->why.text, "free on its disk"));
    assert_int_equal(sl_spool_append(s->spool, &write, &s->why), SLUICE_E_IO);
    assert_non_null(strstr(s->why.text, "an earlier write has failed"));
    assert_int_equal(sl_spool_extent_of(s->spool).next_offset, 2);
    reopen_state(s);
    assert_int_equal(sl_spool_extent_of(s->spool).next_offset, 2);
    verify_ok(s);
    append_ok(s, &write);
}

#define STATE_TEST(f) cmocka_unit_test_setup_teardown(f, setup_state, teardown_state)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STATE_TEST(test_spool_new_is_empty),
        STATE_TEST(test_spool_append_of_nothing_writes_nothing),
        STATE_TEST(test_spool_reopened_holds_everything),
        STATE_TEST(test_spool_samples_begin_inside_a_group_and_stop_when_told),
        STATE_TEST(test_spool_sample_at_gives_wire_and_annotation),
        STATE_TEST(test_spool_write_larger_than_a_group_is_split_in_one_commit),
        STATE_TEST(test_spool_sample_larger_than_a_group_has_a_value_of_its_own),
        STATE_TEST(test_spool_forgotten_row_is_gone_and_the_others_stay),
        STATE_TEST(test_spool_row_forgotten_with_its_own_sample_is_not_stored),
        STATE_TEST(test_spool_rows_below_the_oldest_are_not_given),
        STATE_TEST(test_spool_digest_ignores_commits_times_and_producer_numbers),
        STATE_TEST(test_spool_digest_masks_rows_and_skips_the_old),
        STATE_TEST(test_spool_state_lines_come_back),
        STATE_TEST(test_spool_append_that_failed_is_not_there_and_ends_the_spool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
