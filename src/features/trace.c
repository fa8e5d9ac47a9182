/* trace.c - sixteen bytes of a text that tell in what it differs from one much alike.
 *
 *   units   la  octava  fecha  de  la  liga  2024 ...            length n
 *   words   sum of the hashes of what is no number               20 bits
 *   numbers hash of the numbers in order                         12 bits, 0 = none
 *   front   | s units | s units | ...    from the first unit    12 parts of 4 bits
 *   back       ... | s units | s units | from the last unit     12 parts of 4 bits
 *                                                               0 = there is no such part
 *
 *   a  | = | = | = | x | . | . |        F = 3 leading parts agree in front,
 *   b  | = | = | = | y | . | . |        K = 2 behind: what differs lies in the n - (F + K) s units
 *                  <-K->                between
 *
 * s is the first of 1 2 3 4 6 8 12 16 24 with 12 s >= n, so that texts of about the same length are
 * cut alike.
 * Why parts from both ends: a slot that is longer in one text shifts what is behind it.
 * Why a sum of words: a number of two units in place of one shifts everything, and a bag does not
 * mind.
 * Why so few bits: a match is much alike already; the trace only says how.
 * Why a list of words: "octava fecha" and "decima fecha" are two days' tables. */
#include "features/trace.h"

#include <string.h>

#define N_PARTS         12
#define WORDS_BITS      20
#define NUMBERS_MOST    4095u
#define FRONT_AT        4
#define BACK_AT         10
#define WORDS_UNITS_MAX SL_WORD_LIST_LOOK /* in longer texts only digits make a number */
#define SLOT_PARTS      2                 /* that one run may touch */

_Static_assert(BACK_AT + N_PARTS / 2 == SLUICE_TRACE_BYTES, "two parts a byte");
_Static_assert(SL_TRACE_UNITS_MAX <= 24 * N_PARTS, "the longest part has 24 units");

/* As normalized text has them. No roman i, v, x: they are words. */
static const char number_words[] =
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty "
    "ninety hundred thousand million first second third fourth fifth sixth seventh eighth ninth "
    "tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth "
    "nineteenth twentieth ii iii iv vi vii viii ix xi xii "
    "uno dos tres cuatro cinco seis siete ocho nueve diez once doce veinte cien mil millones "
    "primer primera primero segunda segundo tercer tercera tercero cuarta cuarto quinta quinto "
    "sexta sexto s\u00e9ptima septima s\u00e9ptimo septimo octava octavo novena noveno "
    "d\u00e9cima decima d\u00e9cimo decimo und\u00e9cima undecima duod\u00e9cima duodecima "
    "und\u00e9cimo duod\u00e9cimo decimotercera decimotercero decimocuarta decimocuarto "
    "decimoquinta decimoquinto decimosexta decimosexto decimos\u00e9ptima decimos\u00e9ptimo "
    "decimoctava decimoctavo decimonovena decimonoveno vig\u00e9sima vig\u00e9simo "
    "un deux trois quatre cinq sept huit neuf dix premier premi\u00e8re deuxi\u00e8me "
    "troisi\u00e8me quatri\u00e8me cinqui\u00e8me "
    "eins zwei drei vier f\u00fcnf sechs sieben acht neun zehn erste ersten zweite zweiten dritte "
    "dritten vierte vierten "
    "dois tr\u00eas quatro sete oito nove dez primeira primeiro terceira terceiro quarta quarto "
    "due tre quattro cinque sei sette otto dieci prima primo seconda secondo terza terzo "
    "\u4e00 \u4e8c \u4e09 \u56db \u4e94 \u516d \u4e03 \u516b \u4e5d \u5341 \u767e \u5343 \u4e07 "
    "\u842c \u96f6";

sluice_status sl_trace_open(const sl_unicode *unicode, uint64_t seed, sl_word_list **out)
{
    return sl_word_list_open(unicode, number_words, seed, out);
}

/* ---- making ---------------------------------------------------------------------------------- */

static size_t part_units(size_t n)
{
    static const uint8_t sizes[] = {1, 2, 3, 4, 6, 8, 12, 16, 24};
    size_t i = 0;
    while (N_PARTS * (size_t)sizes[i] < n) {
        i++;
    }
    return sizes[i];
}

static uint64_t mix(uint64_t value)
{
    value *= UINT64_C(0x9e3779b97f4a7c15);
    return value ^ value >> 29;
}

static uint64_t part_of(uint64_t sum)
{
    return 1 + ((mix(sum) >> 32) * 15 >> 32);
}

/* sum[i] = of the first i hashes, so that any run of them is one difference. */
static void add_up(const uint64_t *hash, size_t n, uint64_t *sum)
{
    uint64_t all = 0;
    for (size_t i = 0; i < n; i++) {
        sum[i] = all;
        all += hash[i];
    }
    sum[n] = all;
}

/* The last part of either side has what is left. */
static void put_parts(const uint64_t *sum, size_t n, uint8_t *out)
{
    size_t size = part_units(n), n_whole = n / size;
    uint64_t front = 0, back = 0;
    for (size_t i = 0; i < n_whole; i++) {
        front |= part_of(sum[(i + 1) * size] - sum[i * size]) << 4 * i;
        back |= part_of(sum[n - i * size] - sum[n - (i + 1) * size]) << 4 * i;
    }
    if (n_whole * size < n) {
        front |= part_of(sum[n] - sum[n_whole * size]) << 4 * n_whole;
        back |= part_of(sum[n - n_whole * size]) << 4 * n_whole;
    }
    memcpy(out + FRONT_AT, &front, N_PARTS / 2);
    memcpy(out + BACK_AT, &back, N_PARTS / 2);
}

/* What is no number as a bag, the numbers in order. `words` is the sum of all. */
static void put_words(const sl_word_list *list, const sl_units *units, uint64_t words,
                      sl_kernel kernel, uint8_t *out)
{
    uint64_t numbers = 0;
    for (size_t from = 0; from < units->n; from += 64) {
        uint64_t found = units->digits[from / 64];
        if (units->n <= WORDS_UNITS_MAX) {
            found |= sl_word_list_find(list, units->hash, units->n, kernel);
        }
        for (; found != 0; found &= found - 1) {
            uint64_t hash = units->hash[from + (size_t)__builtin_ctzll(found)];
            words -= hash;
            numbers = mix(numbers + hash);
        }
    }
    uint32_t both = (uint32_t)(mix(words) >> 8) & ((1u << WORDS_BITS) - 1);
    if (numbers != 0) {
        both |= (1 + (uint32_t)(numbers >> 40) % NUMBERS_MOST) << WORDS_BITS;
    }
    memcpy(out, &both, FRONT_AT);
}

void sl_trace_make(const sl_word_list *list, const sl_units *units, sl_kernel kernel,
                   uint8_t out[SLUICE_TRACE_BYTES])
{
    memset(out, 0, SLUICE_TRACE_BYTES);
    if (units->n > 0 && units->n <= SL_TRACE_UNITS_MAX) {
        uint64_t sum[SL_TRACE_UNITS_MAX + 1];
        add_up(units->hash, units->n, sum);
        put_words(list, units, sum[units->n], kernel, out);
        put_parts(sum, units->n, out);
    }
}

/* ---- comparing ------------------------------------------------------------------------------- */

static uint32_t part_at(const uint8_t *parts, uint32_t i)
{
    return (uint32_t)parts[i / 2] >> (i % 2 * 4) & 15u;
}

static uint32_t count_parts(const uint8_t *parts)
{
    uint32_t n = 0;
    while (n < N_PARTS && part_at(parts, n) != 0) {
        n++;
    }
    return n;
}

static uint32_t count_equal(const uint8_t *a, const uint8_t *b)
{
    uint32_t n = 0;
    while (n < N_PARTS && part_at(a, n) != 0 && part_at(a, n) == part_at(b, n)) {
        n++;
    }
    return n;
}

sluice_differs sl_trace_compare(const uint8_t *a, const uint8_t *b)
{
    uint32_t n_a = count_parts(a + FRONT_AT), n_b = count_parts(b + FRONT_AT);
    if (n_a == 0 || n_b == 0) {
        return SLUICE_DIFFERS_NONE;
    }
    uint32_t both_a, both_b;
    memcpy(&both_a, a, FRONT_AT);
    memcpy(&both_b, b, FRONT_AT);
    if (both_a << (32 - WORDS_BITS) == both_b << (32 - WORDS_BITS)) {
        return both_a != both_b ? SLUICE_DIFFERS_NUMBERS : SLUICE_DIFFERS_NONE;
    }
    uint32_t equal =
        count_equal(a + FRONT_AT, b + FRONT_AT) + count_equal(a + BACK_AT, b + BACK_AT);
    uint32_t most = n_a > n_b ? n_a : n_b;
    return equal > 0 && equal + SLOT_PARTS >= most ? SLUICE_DIFFERS_SLOT : SLUICE_DIFFERS_NONE;
}
