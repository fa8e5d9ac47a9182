/* fuzz_normalize.c - any bytes as the payload of a text: both kernels agree, so does a repeat, and
 * the built-in views are unit rows. */
#include <stdlib.h>
#include <string.h>

#include "features/builtin_text.h"
#include "features/normalize.h"
#include "features/units.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int condition)
{
    if (!condition) {
        abort();
    }
}

static void compare_units(const sl_unicode *unicode, const sl_normal *normal, char unit)
{
    static sl_units plain, fast;
    check(sl_units_make(unicode, normal, unit, 1, SL_KERNEL_REF, &plain) == SLUICE_OK);
    check(plain.n <= normal->size);
    for (sl_kernel kernel = SL_KERNEL_REF + 1; kernel <= sl_kernel_best(); kernel++) {
        check(sl_units_make(unicode, normal, unit, 1, kernel, &fast) == SLUICE_OK);
        check(plain.n == fast.n);
        check(plain.n == 0 || memcmp(plain.hash, fast.hash, plain.n * sizeof *plain.hash) == 0);
    }
}

/* Built-in views of both cuts are the same bits, unit rows, and leave nothing behind. */
static void compare_views(const sl_unicode *unicode, const sl_normal *normal)
{
    static sl_builtin_text *encoder;
    static sl_units plain = {.keep_spans = true}, fast = {.keep_spans = true};
    float one[SL_BUILTIN_VIEWS * SL_BUILTIN_DIM], two[SL_BUILTIN_VIEWS * SL_BUILTIN_DIM];
    check(encoder != NULL || sl_builtin_text_open(&encoder) == SLUICE_OK);
    check(sl_units_make(unicode, normal, 'w', 0, SL_KERNEL_REF, &plain) == SLUICE_OK);
    check(sl_units_make(unicode, normal, 'w', 0, sl_kernel_best(), &fast) == SLUICE_OK);
    bool made = sl_builtin_text_make(encoder, normal, &plain, normal->size, one);
    check(sl_builtin_text_make(encoder, normal, &fast, normal->size, two) == made);
    if (made) {
        check(memcmp(one, two, sizeof one) == 0);
        double square = 0;
        for (uint32_t i = 0; i < SL_BUILTIN_VIEWS * SL_BUILTIN_DIM; i++) {
            square += (double)one[i] * (double)one[i];
        }
        check(square > 2.999 && square < 3.001);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sl_unicode *unicode; /* kept for the run; one thread */
    static sl_normal plain, fast, again;
    check(unicode != NULL || sl_unicode_open(&unicode) == SLUICE_OK);
    sluice_span span = {data, size};
    sluice_status status = sl_normalize(unicode, span, true, SL_KERNEL_REF, &plain);
    for (sl_kernel kernel = SL_KERNEL_REF + 1; kernel <= sl_kernel_best(); kernel++) {
        check(sl_normalize(unicode, span, true, kernel, &fast) == status);
        if (status == SLUICE_OK) {
            check(plain.size == fast.size);
            check(memcmp(plain.data, fast.data, plain.size + SL_NORMAL_SLACK_BYTES) == 0);
            check(memcmp(&plain.counts, &fast.counts, sizeof plain.counts) == 0);
        }
    }
    if (status != SLUICE_OK) {
        return 0;
    }
    check(sl_normalize(unicode, (sluice_span){plain.data, plain.size}, false, sl_kernel_best(),
                       &again) != SLUICE_E_BADSAMPLE); /* what comes out is UTF-8 */
    compare_units(unicode, &plain, 'w');
    compare_units(unicode, &plain, 't');
    compare_units(unicode, &plain, 'c');
    compare_views(unicode, &plain);
    return 0;
}
