/* decode_tensor_test.c - views become unit rows, or the sample is refused. */
#include "decode/tensor.h"
#include "wire_bytes.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

enum { F32 = 1, F16 = 2, I8 = 3 };

static sluice_batch *batch;

static int open_batch(void **state)
{
    (void)state;
    return sluice_batch_open(&batch) != SLUICE_OK;
}

static int close_batch(void **state)
{
    (void)state;
    sluice_batch_close(&batch);
    return 0;
}

static void put_float(sluice_bytes *out, uint32_t number, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    wire_tag(out, number, 5);
    wire_check(sl_bytes_put_u32(out, bits));
}

static void put_tensor(sluice_bytes *view, uint32_t number, int type, uint32_t n, const void *data,
                       size_t size, float scale)
{
    sluice_bytes tensor = {0};
    wire_varint(&tensor, 1, (uint64_t)type);
    wire_varint(&tensor, 2, n);
    wire_field(&tensor, 3, data, size);
    if (scale != 0) {
        put_float(&tensor, 4, scale);
    }
    wire_field(view, number, tensor.data, tensor.size);
    sl_bytes_fini(&tensor);
}

static void put_view(sluice_bytes *sample, const sluice_bytes *view)
{
    wire_field(sample, 7, view->data, view->size);
}

static void put_f32_view(sluice_bytes *sample, const float *values, uint32_t n)
{
    sluice_bytes view = {0};
    put_tensor(&view, 1, F32, n, values, n * sizeof *values, 0);
    put_view(sample, &view);
    sl_bytes_fini(&view);
}

/* Decodes a sample with id "a" and these views. */
static const sluice_sample *decode(sluice_bytes *views)
{
    static sluice_bytes frame;
    sluice_bytes sample = {0};
    sl_bytes_clear(&frame);
    wire_text(&sample, 1, "a");
    wire_raw(&sample, views->data, views->size);
    wire_sample(&frame, &sample);
    assert_int_equal(sluice_batch_decode(batch, wire_span(&frame), NULL), SLUICE_OK);
    assert_int_equal(batch->n_samples, 1);
    sl_bytes_fini(&sample);
    sl_bytes_fini(views);
    return &batch->samples[0];
}

static void assert_refused(sluice_bytes *views, const char *reason)
{
    const sluice_sample *sample = decode(views);
    assert_int_equal(sample->verdict.decision, SLUICE_REFUSE);
    assert_string_equal(sample->verdict.reasons[0], reason);
    assert_int_equal(sample->views.n_views, 0);
}

static void assert_close(float have, double want)
{
    assert_true(fabs((double)have - want) < 1e-6);
}

static void test_views_of_f32_are_unit_rows(void **state)
{
    (void)state;
    sluice_bytes views = {0};
    put_f32_view(&views, (float[]){3, 4}, 2);
    put_f32_view(&views, (float[]){0, -2e25F}, 2);
    const sluice_sample *sample = decode(&views);
    assert_int_equal(sample->verdict.decision, SLUICE_KEEP);
    assert_int_equal(sample->views.n_views, 2);
    assert_int_equal(sample->views.dim, 2);
    assert_int_equal(sample->views.dim_in, 0);
    assert_null(sample->views.inputs);
    assert_close(sample->views.rows[0], 0.6);
    assert_close(sample->views.rows[1], 0.8);
    assert_close(sample->views.rows[2], 0);
    assert_close(sample->views.rows[3], -1);
}

static void test_views_of_f16_and_i8_are_the_same_directions(void **state)
{
    (void)state;
    sluice_bytes views = {0};
    sluice_bytes view = {0};
    put_tensor(&view, 1, F16, 2, (uint16_t[]){0x4200, 0xc400}, 4, 0); /* 3, -4 */
    put_view(&views, &view);
    sl_bytes_clear(&view);
    put_tensor(&view, 1, I8, 2, (int8_t[]){3, -4}, 2, 0.25F);
    put_view(&views, &view);
    sl_bytes_fini(&view);
    const sluice_sample *sample = decode(&views);
    for (int k = 0; k < 2; k++) {
        assert_close(sample->views.rows[2 * k], 0.6);
        assert_close(sample->views.rows[2 * k + 1], -0.8);
    }
}

static void test_views_with_activations_share_the_norm_of_the_output(void **state)
{
    (void)state;
    sluice_bytes views = {0};
    sluice_bytes view = {0};
    put_tensor(&view, 1, F32, 2, (float[]){3, 4}, 8, 0);
    put_tensor(&view, 2, F32, 3, (float[]){10, 0, 5}, 12, 0);
    put_view(&views, &view);
    sl_bytes_fini(&view);
    const sluice_sample *sample = decode(&views);
    assert_int_equal(sample->views.dim_in, 3);
    assert_close(sample->views.inputs[0], 2);
    assert_close(sample->views.inputs[2], 1);
}

static void test_half_agrees_with_the_format(void **state)
{
    (void)state;
    assert_close(sl_half_to_float(0x3c00), 1);
    assert_close(sl_half_to_float(0x0001) * 0x1p24F, 1);
    assert_close(sl_half_to_float(0x83ff) * 0x1p24F, -1023);
    assert_true(isinf(sl_half_to_float(0x7c00)));
    assert_true(isnan(sl_half_to_float(0x7e00)));
    assert_close(sl_half_to_float(0x7bff), 65504);
}

static void test_views_that_are_not_numbers_are_refused(void **state)
{
    (void)state;
    sluice_bytes views = {0};
    put_f32_view(&views, (float[]){1, NAN}, 2);
    assert_refused(&views, "view_not_finite");
    put_f32_view(&views, (float[]){1, 2}, 2);
    put_f32_view(&views, (float[]){-INFINITY, 2}, 2);
    assert_refused(&views, "view_not_finite");
    put_f32_view(&views, (float[]){0, 0}, 2);
    assert_refused(&views, "view_zero_norm");
    put_f32_view(&views, (float[]){1e-25F, 0}, 2);
    assert_refused(&views, "view_zero_norm");
}

static void test_views_of_wrong_shape_are_refused(void **state)
{
    (void)state;
    sluice_bytes views = {0};
    sluice_bytes view = {0};
    put_f32_view(&views, (float[]){1, 2}, 2);
    put_f32_view(&views, (float[]){1, 2, 3}, 3);
    assert_refused(&views, "views_differ");
    put_f32_view(&views, (float[]){1}, 1);
    assert_refused(&views, "tensor_shape");
    put_tensor(&view, 1, F32, 3, (float[]){1, 2}, 8, 0);
    put_view(&views, &view);
    assert_refused(&views, "tensor_size");
    sl_bytes_clear(&view);
    put_tensor(&view, 1, 4, 2, (float[]){1, 2}, 8, 0);
    put_view(&views, &view);
    assert_refused(&views, "tensor_type");
    sl_bytes_clear(&view);
    wire_text(&view, 3, "crop");
    put_view(&views, &view);
    assert_refused(&views, "view_without_embedding");
    sl_bytes_fini(&view);
}

static void test_views_at_the_limits_pass_and_beyond_are_refused(void **state)
{
    (void)state;
    static float many[SLUICE_LIMIT_DIMENSION + 1];
    sluice_bytes views = {0};
    many[0] = 1;
    put_f32_view(&views, many, SLUICE_LIMIT_DIMENSION);
    assert_int_equal(decode(&views)->views.dim, SLUICE_LIMIT_DIMENSION);
    put_f32_view(&views, many, SLUICE_LIMIT_DIMENSION + 1);
    assert_refused(&views, "tensor_shape");
    for (int k = 0; k < SLUICE_LIMIT_VIEWS; k++) {
        put_f32_view(&views, (float[]){1, 2}, 2);
    }
    assert_int_equal(decode(&views)->views.n_views, SLUICE_LIMIT_VIEWS);
    for (int k = 0; k <= SLUICE_LIMIT_VIEWS; k++) {
        put_f32_view(&views, (float[]){1, 2}, 2);
    }
    assert_refused(&views, "too_many_views");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_views_of_f32_are_unit_rows),
        cmocka_unit_test(test_views_of_f16_and_i8_are_the_same_directions),
        cmocka_unit_test(test_views_with_activations_share_the_norm_of_the_output),
        cmocka_unit_test(test_half_agrees_with_the_format),
        cmocka_unit_test(test_views_that_are_not_numbers_are_refused),
        cmocka_unit_test(test_views_of_wrong_shape_are_refused),
        cmocka_unit_test(test_views_at_the_limits_pass_and_beyond_are_refused),
    };
    return cmocka_run_group_tests(tests, open_batch, close_batch);
}
