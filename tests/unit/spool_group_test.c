/* spool_group_test.c - the layout of a log group: round trip, limits, damage. */
#include "unit/spool_state.h"
#include "spool/group.h"
#include "spool/seal.h"

static sl_spool_sample three[3];
static uint8_t value[4096];
static size_t value_bytes;

static int setup_three(void **state)
{
    (void)state;
    make_samples(three, 40, 3, (sluice_span){(const uint8_t *)"sample", 6});
    three[1].decision = SLUICE_DROP;
    three[1].i_producer = 7;
    three[1].arrived_us = -5;
    three[2].decision = SLUICE_FLAG;
    three[2].annotation.size = 0;
    assert_int_equal(sl_group_plan(three, 3, &value_bytes), 3);
    assert_true(value_bytes <= sizeof value);
    sl_group_write(three, 3, 9, value);
    return 0;
}

static void test_group_written_reads_back(void **state)
{
    (void)state;
    sl_group group;
    assert_null(sl_group_fault((sluice_span){value, value_bytes}, &group));
    assert_int_equal(group.first_offset, 40);
    assert_int_equal(group.next_offset, 43);
    assert_int_equal(group.ordinal, 9);
    assert_int_equal(group.count, 3);
    sl_spool_sample sample;
    assert_null(sl_group_sample_fault(&group, 1, &sample));
    assert_int_equal(sample.offset, 41);
    assert_int_equal(sample.arrived_us, -5);
    assert_int_equal(sample.i_producer, 7);
    assert_int_equal(sample.decision, SLUICE_DROP);
    assert_int_equal(sample.wire.size, 8);
    assert_memory_equal(sample.wire.data, "samplezA", 8);
    assert_null(sl_group_sample_fault(&group, 2, &sample));
    assert_int_equal(sample.wire.size, 6);
}

static void test_group_batch_is_fields_of_a_batch_message(void **state)
{
    (void)state;
    sl_group group;
    assert_null(sl_group_fault((sluice_span){value, value_bytes}, &group));
    const char wanted[] = "\x0a\x08samplezA\x0a\x08samplezA\x0a\x06sample";
    assert_int_equal(group.batch.size, sizeof wanted - 1);
    assert_memory_equal(group.batch.data, wanted, sizeof wanted - 1);
}

static void test_group_with_any_bit_flipped_is_found(void **state)
{
    (void)state;
    for (size_t bit = 0; bit < 8 * value_bytes; bit++) {
        value[bit / 8] ^= (uint8_t)(1u << bit % 8);
        sl_group group;
        const char *fault = sl_group_fault((sluice_span){value, value_bytes}, &group);
        for (uint32_t i = 0; fault == NULL && i < group.count; i++) {
            sl_spool_sample sample;
            fault = sl_group_sample_fault(&group, i, &sample);
        }
        assert_non_null(fault);
        value[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void test_group_cut_at_any_byte_is_found(void **state)
{
    (void)state;
    for (size_t size = 0; size < value_bytes; size++) {
        uint8_t *cut = malloc(size + (size == 0));
        assert_non_null(cut);
        memcpy(cut, value, size);
        sl_group group;
        assert_non_null(sl_group_fault((sluice_span){cut, size}, &group));
        free(cut);
    }
}

/* Hostile: the seal is right, the fields are not. */
static const char *fault_of_resealed(void)
{
    sl_seal_write(value, SL_GROUP_HEAD_BYTES + 3 * SL_GROUP_ENTRY_BYTES, SL_MAGIC_GROUP);
    sl_group group;
    return sl_group_fault((sluice_span){value, value_bytes}, &group);
}

static void test_group_resealed_with_wrong_fields_is_found(void **state)
{
    (void)state;
    uint8_t *entry = value + SL_GROUP_HEAD_BYTES + SL_GROUP_ENTRY_BYTES;
    sl_put_u32(entry, 11); /* position: one too far */
    assert_non_null(fault_of_resealed());
    setup_three(NULL);
    sl_put_u32(entry + 4, UINT32_MAX); /* size */
    assert_non_null(fault_of_resealed());
    setup_three(NULL);
    sl_put_u32(entry + 28, SLUICE_REFUSE); /* decision */
    assert_non_null(fault_of_resealed());
    setup_three(NULL);
    sl_put_u64(value + 16, UINT64_MAX - 1); /* first offset */
    assert_non_null(fault_of_resealed());
    setup_three(NULL);
    sl_put_u32(value + 32, UINT32_MAX); /* count */
    assert_non_null(fault_of_resealed());
    setup_three(NULL);
    assert_null(fault_of_resealed());
}

static void test_group_of_another_layout_version_is_refused(void **state)
{
    (void)state;
    value[4] = 2;
    sl_group group;
    assert_string_equal(sl_group_fault((sluice_span){value, value_bytes}, &group),
                        "has a layout version that this program does not know");
}

static void test_group_plan_at_the_limit_takes_all_and_one_beyond_splits(void **state)
{
    (void)state;
    const size_t half = (SLUICE_LIMIT_GROUP_BYTES - SL_GROUP_HEAD_BYTES) / 2;
    const size_t overhead = SL_GROUP_ENTRY_BYTES + 1 + 3 + 2; /* tag, length, annotation */
    uint8_t *wire = calloc(1, half);
    assert_non_null(wire);
    sl_spool_sample samples[2];
    make_samples(samples, 0, 2, (sluice_span){wire, half - overhead});
    size_t size;
    assert_int_equal(sl_group_plan(samples, 2, &size), 2);
    assert_int_equal(size, SLUICE_LIMIT_GROUP_BYTES);
    samples[1].wire.size++;
    assert_int_equal(sl_group_plan(samples, 2, &size), 1);
    free(wire);
}

static void test_group_plan_of_one_large_sample_takes_it_alone(void **state)
{
    (void)state;
    static uint8_t wire[SLUICE_LIMIT_GROUP_BYTES + 1];
    sl_spool_sample samples[2];
    make_samples(samples, 0, 2, (sluice_span){wire, sizeof wire});
    size_t size;
    assert_int_equal(sl_group_plan(samples, 2, &size), 1);
    assert_true(size > sizeof wire);
    samples[0].wire.size = 1u << 30;
    assert_int_equal(sl_group_plan(samples, 2, &size), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_group_written_reads_back, setup_three),
        cmocka_unit_test_setup(test_group_batch_is_fields_of_a_batch_message, setup_three),
        cmocka_unit_test_setup(test_group_with_any_bit_flipped_is_found, setup_three),
        cmocka_unit_test_setup(test_group_cut_at_any_byte_is_found, setup_three),
        cmocka_unit_test_setup(test_group_resealed_with_wrong_fields_is_found, setup_three),
        cmocka_unit_test_setup(test_group_of_another_layout_version_is_refused, setup_three),
        cmocka_unit_test(test_group_plan_at_the_limit_takes_all_and_one_beyond_splits),
        cmocka_unit_test(test_group_plan_of_one_large_sample_takes_it_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
