/* spool_offsets_test.c - producers and consumer groups: as written, bounded, conserved. */
#include "unit/spool_state.h"
#include "spool/offsets.h"

static sl_spool_group seen_group;
static sl_spool_producer seen_producer;
static uint32_t n_seen;

static bool see_group(void *context, const sl_spool_group *group)
{
    (void)context;
    seen_group = *group;
    n_seen++;
    return true;
}

static bool see_producer(void *context, const sl_spool_producer *producer)
{
    (void)context;
    seen_producer = *producer;
    n_seen++;
    return true;
}

static int setup_unseen(void **state)
{
    n_seen = 0;
    return setup_state(state);
}

static void append_group(spool_state *s, const sl_spool_group *group)
{
    append_ok(s, &(sl_spool_write){.groups = group, .n_groups = 1});
}

static void test_producer_comes_back_as_it_was(void **state)
{
    spool_state *s = *state;
    sl_spool_producer producer = {
        .i_producer = 0, .next_sequence = 20, .received = 15, .refused = 9, .redelivered = 6};
    memset(producer.name, 'n', SLUICE_LIMIT_ID_BYTES);
    append_ok(s, &(sl_spool_write){.producers = &producer, .n_producers = 1});
    producer.next_sequence = 21;
    producer.received = 16;
    producer.refused = 10;
    append_ok(s, &(sl_spool_write){.producers = &producer, .n_producers = 1});
    reopen_state(s);
    assert_int_equal(sl_spool_producers(s->spool, see_producer, NULL, &s->why), SLUICE_OK);
    assert_int_equal(n_seen, 1);
    assert_memory_equal(&seen_producer, &producer, sizeof producer);
    verify_ok(s);
}

static void test_producers_at_the_limit_come_back_in_order(void **state)
{
    spool_state *s = *state;
    sl_spool_producer *all = calloc(SLUICE_LIMIT_PRODUCERS, sizeof *all);
    assert_non_null(all);
    for (uint32_t i = 0; i < SLUICE_LIMIT_PRODUCERS; i++) {
        all[i].i_producer = i;
        snprintf(all[i].name, sizeof all[i].name, "p%u", i);
    }
    append_ok(s, &(sl_spool_write){.producers = all, .n_producers = SLUICE_LIMIT_PRODUCERS});
    assert_int_equal(sl_spool_producers(s->spool, see_producer, NULL, &s->why), SLUICE_OK);
    assert_int_equal(n_seen, SLUICE_LIMIT_PRODUCERS);
    assert_int_equal(seen_producer.i_producer, SLUICE_LIMIT_PRODUCERS - 1);
    verify_ok(s);
    free(all);
}

static void assert_found(spool_state *s, const char *words)
{
    assert_int_equal(sl_spool_verify(s->spool, &s->why), SLUICE_E_CORRUPT);
    if (strstr(s->why.text, words) == NULL) {
        fail_msg("%s", s->why.text);
    }
}

static void test_verify_finds_a_producer_whose_counts_do_not_add_up(void **state)
{
    spool_state *s = *state;
    sl_spool_producer producer = {.name = "p", .received = 3, .refused = 2};
    append_ok(s, &(sl_spool_write){.producers = &producer, .n_producers = 1});
    assert_found(s, "breaks received = kept");
}

static void test_verify_finds_a_producer_that_counts_other_samples_than_the_log(void **state)
{
    spool_state *s = *state;
    append_samples(s, 2, 10);
    sl_spool_producer producer = {.name = "p", .received = 1, .kept = 1};
    append_ok(s, &(sl_spool_write){.producers = &producer, .n_producers = 1});
    assert_found(s, "counts other samples");
}

static void test_verify_finds_a_sample_without_its_producer(void **state)
{
    spool_state *s = *state;
    sl_spool_sample sample;
    make_samples(&sample, 0, 1, sl_span_of("x"));
    sample.i_producer = 1;
    sl_spool_producer producer = {.name = "p"};
    append_ok(s, &(sl_spool_write){
                     .samples = &sample, .n_samples = 1, .producers = &producer, .n_producers = 1});
    assert_found(s, "producer 1 is missing");
}

static void test_verify_finds_two_producers_of_one_name(void **state)
{
    spool_state *s = *state;
    sl_spool_producer two[2] = {{.i_producer = 0, .name = "p"}, {.i_producer = 1, .name = "p"}};
    append_ok(s, &(sl_spool_write){.producers = two, .n_producers = 2});
    assert_found(s, "has the name of another");
}

static void test_group_with_all_its_ranges_comes_back_as_it_was(void **state)
{
    spool_state *s = *state;
    static sl_spool_group group;
    memset(&group, 0, sizeof group);
    memset(group.name, 'g', SLUICE_LIMIT_ID_BYTES);
    group.floor = 10;
    group.n_ranges = SLUICE_LIMIT_RANGES;
    for (uint64_t i = 0; i < SLUICE_LIMIT_RANGES; i++) {
        group.range[i] = (sl_spool_range){20 + 10 * i, 25 + 10 * i};
    }
    append_group(s, &group);
    reopen_state(s);
    assert_int_equal(sl_spool_groups(s->spool, see_group, NULL, &s->why), SLUICE_OK);
    assert_int_equal(n_seen, 1);
    assert_string_equal(seen_group.name, group.name); /* not as a whole: there is padding */
    assert_int_equal(seen_group.floor, group.floor);
    assert_int_equal(seen_group.n_ranges, group.n_ranges);
    assert_memory_equal(seen_group.range, group.range, sizeof group.range);
}

static void test_verify_finds_a_group_ahead_of_the_log(void **state)
{
    spool_state *s = *state;
    put_floor(s, "eager", 1);
    assert_found(s, "consumer group eager has committed up to 1");
}

static void test_groups_at_the_limit_are_stored_and_one_more_is_refused(void **state)
{
    spool_state *s = *state;
    char name[16];
    for (int i = 0; i < SLUICE_LIMIT_CONSUMER_GROUPS; i++) {
        snprintf(name, sizeof name, "g%d", i);
        put_floor(s, name, 0);
    }
    put_floor(s, "g0", 0); /* one that is there is not one more */
    sl_spool_group group = {.name = "more"};
    sl_spool_write write = {.groups = &group, .n_groups = 1};
    assert_int_equal(sl_spool_append(s->spool, &write, &s->why), SLUICE_E_TOOBIG);
    assert_non_null(strstr(s->why.text, "more would be one more than 64"));
    reopen_state(s);
    assert_int_equal(sl_spool_groups(s->spool, see_group, NULL, &s->why), SLUICE_OK);
    assert_int_equal(n_seen, SLUICE_LIMIT_CONSUMER_GROUPS);
}

static void test_group_that_is_retired_is_gone_and_makes_room_for_another(void **state)
{
    spool_state *s = *state;
    char name[16];
    for (int i = 0; i < SLUICE_LIMIT_CONSUMER_GROUPS; i++) {
        snprintf(name, sizeof name, "g%d", i);
        put_floor(s, name, 0);
    }
    const char *retired[] = {"g3", "unknown"};
    sl_spool_group group = {.name = "more"};
    append_ok(s, &(sl_spool_write){.retired = retired, .n_retired = 2});
    append_ok(s, &(sl_spool_write){.groups = &group, .n_groups = 1});
    reopen_state(s);
    assert_int_equal(sl_spool_groups(s->spool, see_group, NULL, &s->why), SLUICE_OK);
    assert_int_equal(n_seen, SLUICE_LIMIT_CONSUMER_GROUPS);
    verify_ok(s);
}

static void test_ranges_that_touch_or_overlap_are_unsound(void **state)
{
    (void)state;
    static sl_spool_group group;
    group.floor = 5;
    group.n_ranges = 2;
    group.range[0] = (sl_spool_range){6, 8};
    group.range[1] = (sl_spool_range){9, 10};
    assert_true(sl_offsets_ranges_sound(&group));
    group.range[1].first = 8; /* touches the one before */
    assert_false(sl_offsets_ranges_sound(&group));
    group.range[1] = (sl_spool_range){9, 9}; /* empty */
    assert_false(sl_offsets_ranges_sound(&group));
    group.n_ranges = 1;
    group.range[0].first = 5; /* touches the floor */
    assert_false(sl_offsets_ranges_sound(&group));
}

#define STATE_TEST(f) cmocka_unit_test_setup_teardown(f, setup_unseen, teardown_state)

int main(void)
{
    const struct CMUnitTest tests[] = {
        STATE_TEST(test_producer_comes_back_as_it_was),
        STATE_TEST(test_producers_at_the_limit_come_back_in_order),
        STATE_TEST(test_verify_finds_a_producer_whose_counts_do_not_add_up),
        STATE_TEST(test_verify_finds_a_producer_that_counts_other_samples_than_the_log),
        STATE_TEST(test_verify_finds_a_sample_without_its_producer),
        STATE_TEST(test_verify_finds_two_producers_of_one_name),
        STATE_TEST(test_group_with_all_its_ranges_comes_back_as_it_was),
        STATE_TEST(test_verify_finds_a_group_ahead_of_the_log),
        STATE_TEST(test_groups_at_the_limit_are_stored_and_one_more_is_refused),
        STATE_TEST(test_group_that_is_retired_is_gone_and_makes_room_for_another),
        cmocka_unit_test(test_ranges_that_touch_or_overlap_are_unsound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
