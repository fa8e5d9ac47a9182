/* features_units_test.c - what a text is cut into, script by script, by every kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "features/units.h"

#define SEED    7
#define LONGEST (1u << 20)

typedef struct unit_fixture {
    sl_unicode *unicode;
    sl_normal normal;
    sl_units units, alone;
} unit_fixture;

static int open_fixture(void **state)
{
    static unit_fixture fixture;
    *state = &fixture;
    return sl_unicode_open(&fixture.unicode) == SLUICE_OK ? 0 : -1;
}

static int close_fixture(void **state)
{
    unit_fixture *fixture = *state;
    sl_unicode_close(&fixture->unicode);
    sl_normal_fini(&fixture->normal);
    sl_units_fini(&fixture->units);
    sl_units_fini(&fixture->alone);
    return 0;
}

static void cut(unit_fixture *fixture, sluice_span text, char unit, sl_kernel kernel,
                sl_units *units)
{
    assert_int_equal(sl_normalize(fixture->unicode, text, true, kernel, &fixture->normal),
                     SLUICE_OK);
    assert_int_equal(sl_units_make(fixture->unicode, &fixture->normal, unit, SEED, kernel, units),
                     SLUICE_OK);
}

static sluice_span span_of(const char *text)
{
    return (sluice_span){(const uint8_t *)text, strlen(text)};
}

/* `wanted` are the units, in order, up to NULL: each alone must be one unit with the same hash. The
 * text stands behind enough ASCII, too, so that it crosses a block. */
static void assert_units_by(unit_fixture *fixture, const char *text, char unit,
                            const char *const *wanted, sl_kernel kernel)
{
    for (size_t shift = 0; shift < 70; shift += 23) {
        char shifted[1024];
        memset(shifted, ' ', sizeof shifted);
        shifted[0] = 'x'; /* one more unit, unless it is overwritten */
        strcpy(shifted + shift, text);
        cut(fixture, span_of(shifted), unit, kernel, &fixture->units);
        size_t n = shift > 0;
        for (size_t i = 0; wanted[i] != NULL; i++, n++) {
            cut(fixture, span_of(wanted[i]), unit, SL_KERNEL_REF, &fixture->alone);
            assert_int_equal(fixture->alone.n, 1);
            assert_true(n < fixture->units.n);
            assert_true(fixture->units.hash[n] == fixture->alone.hash[0]);
        }
        assert_int_equal(fixture->units.n, n);
    }
}

static void assert_units(void **state, const char *text, char unit, const char *const *wanted)
{
    for (sl_kernel kernel = SL_KERNEL_REF; kernel <= sl_kernel_best(); kernel++) {
        assert_units_by(*state, text, unit, wanted, kernel);
    }
}

static void test_english_is_cut_into_words_and_numbers(void **state)
{
    assert_units(state, "Don't panic: it's 42, or x_1-b!", 'w',
                 (const char *[]){"don", "t", "panic", "it", "s", "42", "or", "x_1", "b", NULL});
}

static void test_code_is_cut_into_words_and_each_punctuation(void **state)
{
    assert_units(
        state, "if (a_b >= 0) {x++;}", 't',
        (const char *[]){"if", "(", "a_b", ">", "=", "0", ")", "{", "x", "+", "+", ";", "}", NULL});
    assert_units(state, "“é”…", 't', (const char *[]){"“", "é", "”", ".", ".", ".", NULL});
}

static void test_accents_and_other_alphabets_stay_in_words(void **state)
{
    assert_units(state, "L’été à Gdańsk", 'w', (const char *[]){"l", "été", "à", "gdańsk", NULL});
    assert_units(state, "Привет, мир Ёлка", 'w', (const char *[]){"привет", "мир", "ёлка", NULL});
    assert_units(state, "नमस्ते दुनिया", 'w', (const char *[]){"नमस्ते", "दुनिया", NULL});
    assert_units(state, "q\xcc\xa3\xcc\x88y x\xcc\xa3", 'w',
                 (const char *[]){"q\xcc\xa3\xcc\x88y", "x\xcc\xa3", NULL});
}

static void test_right_to_left_text_is_cut_in_logical_order(void **state)
{
    assert_units(state, "שלום, עולם", 'w', (const char *[]){"שלום", "עולם", NULL});
    assert_units(state, "مَرْحَبًا بالعالم ١٢٣", 'w',
                 (const char *[]){"مَرْحَبًا", "بالعالم", "١٢٣", NULL});
}

static void test_chinese_and_japanese_are_cut_by_character(void **state)
{
    assert_units(state, "今天GPU很好。", 'w',
                 (const char *[]){"今", "天", "gpu", "很", "好", NULL});
    assert_units(
        state, "カタカナとひらがな、々〇", 'w',
        (const char *[]){"カ", "タ", "カ", "ナ", "と", "ひ", "ら", "が", "な", "々", "〇", NULL});
    assert_units(state, "𠀀𰀀a", 'w',
                 (const char *[]){"𠀀", "𰀀", "a", NULL}); /* extensions B, G */
    assert_units(state, "葛\U000e0100飾", 'w', (const char *[]){"葛\U000e0100", "飾", NULL});
}

static void test_halfwidth_kana_and_fullwidth_letters_are_the_usual_ones(void **state)
{
    assert_units(state, "ｶﾞｷﾞ　ＧＰＵ１２", 'w', (const char *[]){"ガ", "ギ", "gpu12", NULL});
}

static void test_korean_is_cut_into_words(void **state)
{
    assert_units(state, "안녕하세요 세계 3월", 'w',
                 (const char *[]){"안녕하세요", "세계", "3월", NULL});
}

static void test_thai_lao_khmer_and_burmese_are_cut_by_base(void **state)
{
    assert_units(state, "ที่นี่ ๑", 'w', (const char *[]){"ที่", "นี่", "๑", NULL});
    assert_units(state, "ນີ້", 'w', (const char *[]){"ນີ້", NULL});
    assert_units(state, "ខ្ញុំ", 'w', (const char *[]){"ខ្", "ញុំ", NULL});
    assert_units(state, "မြန်", 'w', (const char *[]){"မြ", "န်", NULL});
}

static void test_emoji_are_one_unit_each_with_what_belongs_to_them(void **state)
{
    static const char family[] = "👩‍👩‍👧‍👦", tone[] = "👍🏽",
                      heart[] = "❤️", flag[] = "🇵🇪", england[] = "🏴󠁧󠁢󠁥󠁮󠁧󠁿";
    char text[256] = "hi";
    strcat(strcat(strcat(strcat(strcat(text, family), tone), heart), flag), england);
    strcat(strcat(text, flag), "ok");
    assert_units(state, text, 'w',
                 (const char *[]){"hi", family, tone, heart, flag, england, flag, "ok", NULL});
    assert_units(state, "😀😀😀", 'w', (const char *[]){"😀", "😀", "😀", NULL});
    assert_units(state, "1️⃣2", 'w',
                 (const char *[]){"1️⃣2", NULL}); /* a digit and marks */
}

static void test_a_mark_with_nothing_before_it_begins_a_word(void **state)
{
    assert_units(state,
                 "\xcc\x81"
                 "a",
                 'w',
                 (const char *[]){"\xcc\x81"
                                  "a",
                                  NULL});
    assert_units(state,
                 "-\xcc\x81"
                 "a",
                 't',
                 (const char *[]){"-",
                                  "\xcc\x81"
                                  "a",
                                  NULL});
}

static void test_text_without_units_has_none(void **state)
{
    assert_units(state, "", 'w', (const char *[]){NULL});
    assert_units(state, "... --- !?", 'w', (const char *[]){NULL});
}

static void test_characters_are_code_points_of_the_normalized_text(void **state)
{
    unit_fixture *fixture = *state;
    cut(fixture, span_of("  A \n\t ﬁ世 "), 'c', sl_kernel_best(), &fixture->units);
    assert_int_equal(fixture->units.n, 5); /* "a fi世" */
    cut(fixture, span_of("a"), 'c', sl_kernel_best(), &fixture->alone);
    assert_true(fixture->units.hash[0] == fixture->alone.hash[0]);
    cut(fixture, span_of("世"), 'c', sl_kernel_best(), &fixture->alone);
    assert_true(fixture->units.hash[4] == fixture->alone.hash[0]);
}

static void test_unit_hash_depends_on_every_byte_and_on_the_seed(void **state)
{
    unit_fixture *fixture = *state;
    char word[100];
    for (size_t size = 1; size < sizeof word; size++) {
        memset(word, 'a', size);
        word[size] = 0;
        cut(fixture, span_of(word), 'w', SL_KERNEL_REF, &fixture->alone);
        assert_int_equal(fixture->alone.n, 1);
        uint64_t plain = fixture->alone.hash[0];
        for (size_t i = 0; i < size; i++) {
            word[i] = 'b';
            cut(fixture, span_of(word), 'w', SL_KERNEL_REF, &fixture->alone);
            assert_true(fixture->alone.hash[0] != plain);
            word[i] = 'a';
        }
        assert_int_equal(sl_units_make(fixture->unicode, &fixture->normal, 'w', SEED + 1,
                                       SL_KERNEL_REF, &fixture->alone),
                         SLUICE_OK);
        assert_true(fixture->alone.hash[0] != plain);
    }
}

/* One character, as many as a text may hold: no unit is lost or doubled between chunks. */
static void test_longest_texts_of_one_character_are_cut_completely(void **state)
{
    unit_fixture *fixture = *state;
    static const struct {
        const char *character;
        size_t of_w, of_t; /* units of n characters: n, 1 or 0 */
    } rows[] = {{"a", 1, 1}, {"世", SIZE_MAX, SIZE_MAX}, {"!", 0, SIZE_MAX},       {"é", 1, 1},
                {" ", 0, 0}, {"ก", SIZE_MAX, SIZE_MAX},  {"😀", SIZE_MAX, SIZE_MAX}};
    uint8_t *text = malloc(LONGEST);
    assert_non_null(text);
    for (size_t row = 0; row < sizeof rows / sizeof rows[0]; row++) {
        size_t size = strlen(rows[row].character);
        size_t n = LONGEST / size;
        for (size_t i = 0; i < n; i++) {
            memcpy(text + i * size, rows[row].character, size);
        }
        for (int kernel = 0; kernel <= (int)sl_kernel_best(); kernel++) {
            sluice_span span = {text, n * size};
            cut(fixture, span, 'w', (sl_kernel)kernel, &fixture->units);
            assert_int_equal(fixture->units.n, rows[row].of_w == SIZE_MAX ? n : rows[row].of_w);
            cut(fixture, span, 't', (sl_kernel)kernel, &fixture->units);
            assert_int_equal(fixture->units.n, rows[row].of_t == SIZE_MAX ? n : rows[row].of_t);
            cut(fixture, span, 'c', (sl_kernel)kernel, &fixture->units);
            assert_int_equal(fixture->units.n, rows[row].character[0] == ' ' ? 0 : n);
        }
    }
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_english_is_cut_into_words_and_numbers),
        cmocka_unit_test(test_code_is_cut_into_words_and_each_punctuation),
        cmocka_unit_test(test_accents_and_other_alphabets_stay_in_words),
        cmocka_unit_test(test_right_to_left_text_is_cut_in_logical_order),
        cmocka_unit_test(test_chinese_and_japanese_are_cut_by_character),
        cmocka_unit_test(test_halfwidth_kana_and_fullwidth_letters_are_the_usual_ones),
        cmocka_unit_test(test_korean_is_cut_into_words),
        cmocka_unit_test(test_thai_lao_khmer_and_burmese_are_cut_by_base),
        cmocka_unit_test(test_emoji_are_one_unit_each_with_what_belongs_to_them),
        cmocka_unit_test(test_a_mark_with_nothing_before_it_begins_a_word),
        cmocka_unit_test(test_text_without_units_has_none),
        cmocka_unit_test(test_characters_are_code_points_of_the_normalized_text),
        cmocka_unit_test(test_unit_hash_depends_on_every_byte_and_on_the_seed),
        cmocka_unit_test(test_longest_texts_of_one_character_are_cut_completely),
    };
    return cmocka_run_group_tests(tests, open_fixture, close_fixture);
}
