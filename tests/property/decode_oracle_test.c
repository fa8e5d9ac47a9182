/* decode_oracle_test.c - over random batches, whole and damaged: what decode accepts, protobuf-c
 * reads as the same values. Seed: SLUICE_SEED, else 1. */
#include "decode_oracle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define N_BATCHES   3000
#define N_DAMAGED   8
#define MAX_SAMPLES 5

static uint64_t random_state;

static uint32_t random_below(uint32_t n)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)(random_state >> 33) % n;
}

static bool one_in(uint32_t n)
{
    return random_below(n) == 0;
}

static void put_string(sluice_bytes *out, uint32_t number)
{
    static const char *const pieces[] = {
        "a", "text/plain", "image/png", "é", "日本", "\xf0\x9f\x99\x82", "x y", "", "\xff", "web"};
    sluice_bytes text = {0};
    for (uint32_t i = random_below(4) + 1; i > 0; i--) {
        uint32_t piece = random_below(one_in(40) ? 10 : 8);
        wire_raw(&text, pieces[piece], strlen(pieces[piece]));
    }
    wire_field(out, number, text.data, text.size);
    sl_bytes_fini(&text);
}

static void put_view(sluice_bytes *out)
{
    sluice_bytes tensor = {0};
    sluice_bytes view = {0};
    wire_varint(&tensor, 1, random_below(5));
    wire_run(&tensor, 2, (char)random_below(127), random_below(4));
    wire_run(&tensor, 3, (char)random_below(256), random_below(32));
    wire_field(&view, 1 + random_below(2), tensor.data, tensor.size);
    put_string(&view, 3);
    wire_field(out, 7, view.data, view.size);
    sl_bytes_fini(&tensor);
    sl_bytes_fini(&view);
}

static void put_attribute(sluice_bytes *out)
{
    sluice_bytes entry = {0};
    if (!one_in(8)) {
        put_string(&entry, 1);
    }
    if (!one_in(8)) {
        put_string(&entry, 2);
    }
    wire_field(out, 9, entry.data, entry.size);
    sl_bytes_fini(&entry);
}

static void put_annotation(sluice_bytes *out)
{
    sluice_sample sample = {.offset = random_below(1000)};
    sample.verdict.decision = (sluice_decision)random_below(4);
    sample.verdict.n_reasons = 1;
    sample.verdict.reasons[0] = "rare";
    sample.match.method = (sluice_method)random_below(5);
    sample.match.similarity = (float)random_below(1000) / 1000.0f;
    sample.match.of_id = sl_span_of("b");
    wire_check(sl_record_annotate(&sample, out));
}

static void put_field(sluice_bytes *out)
{
    static const uint32_t strings[] = {1, 2, 4, 5, 6};
    switch (random_below(9)) {
    case 0:
        wire_varint(out, 3, random_below(2) != 0 ? random_state : random_below(300));
        break;
    case 1:
        wire_double(out, 10, (double)random_below(1000) / 8.0);
        break;
    case 2:
        put_view(out);
        break;
    case 3:
        put_attribute(out);
        break;
    case 4:
        put_annotation(out);
        break;
    case 5:
        wire_varint(out, 11 + random_below(200), random_state);
        break;
    default:
        put_string(out, strings[random_below(5)]);
        break;
    }
}

static void make_batch(sluice_bytes *batch)
{
    sl_bytes_clear(batch);
    for (uint32_t i = random_below(MAX_SAMPLES) + 1; i > 0; i--) {
        sluice_bytes sample = {0};
        wire_text(&sample, 1, "id");
        for (uint32_t j = random_below(10); j > 0; j--) {
            put_field(&sample);
        }
        wire_sample(batch, &sample);
        sl_bytes_fini(&sample);
    }
}

/* Changes, cuts out or doubles a few bytes. */
static void damage(sluice_bytes *bytes)
{
    uint32_t at = random_below((uint32_t)bytes->size);
    switch (random_below(4)) {
    case 0:
        bytes->data[at] = (uint8_t)random_below(256);
        break;
    case 1:
        bytes->data[at] ^= (uint8_t)(1u << random_below(8));
        break;
    case 2:
        memmove(bytes->data + at, bytes->data + at + 1, bytes->size - at - 1);
        bytes->size--;
        break;
    default:
        wire_check(sl_bytes_reserve(bytes, 1));
        memmove(bytes->data + at + 1, bytes->data + at, bytes->size - at);
        bytes->size++;
        break;
    }
}

/* Decodes a copy of exactly that size, so that reading past its end is seen. */
static uint32_t check(sluice_batch *batch, const sluice_bytes *bytes)
{
    uint8_t *copy = malloc(bytes->size + 1);
    assert_non_null(copy);
    memcpy(copy, bytes->data, bytes->size);
    uint32_t n_accepted = oracle_check(batch, (sluice_span){copy, bytes->size});
    free(copy);
    return n_accepted;
}

static void test_decode_random_batches_agree_with_protobuf_c(void **state)
{
    (void)state;
    const char *seed = getenv("SLUICE_SEED");
    uint64_t number = seed != NULL ? strtoull(seed, NULL, 10) : 1;
    random_state = number * UINT64_C(0x9e3779b97f4a7c15) | 1;
    printf("seed %llu\n", (unsigned long long)number);
    sluice_batch *batch;
    sluice_bytes bytes = {0};
    assert_int_equal(sluice_batch_open(&batch), SLUICE_OK);
    uint32_t n_whole = 0;
    uint32_t n_damaged = 0;
    for (int i = 0; i < N_BATCHES; i++) {
        make_batch(&bytes);
        n_whole += check(batch, &bytes);
        for (int j = 0; j < N_DAMAGED && bytes.size > 0; j++) {
            damage(&bytes);
            n_damaged += check(batch, &bytes);
        }
    }
    printf("accepted: %u samples of whole batches, %u of damaged ones\n", n_whole, n_damaged);
    /* The comparison means something only if much is accepted. */
    assert_true(n_whole > N_BATCHES && n_damaged > N_BATCHES);
    sl_bytes_fini(&bytes);
    sluice_batch_close(&batch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode_random_batches_agree_with_protobuf_c),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
