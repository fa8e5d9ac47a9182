/* bench_documents.c - writes made-up samples for `sluice filter --format pb` to standard output.
 *
 *   usage: bench_documents N_DISTINCT [N_COPIES [N_AGAIN [N_WORDS]]]
 *
 *   first | distinct and copies of the first, mixed evenly | the last N_AGAIN distinct, newest
 * first
 *
 * Text number i is N_WORDS (40: about 250 bytes) words drawn from 20,000 by the hash of i and the
 * place, so no two are near-duplicates. Every sample has an id of its own; a sample of the last
 * part is a duplicate exactly if its text is still remembered, since what is dropped evicts
 * nothing: the newest-first order measures the window without moving it. The first text once more
 * before them: so it has its one row, whether there were copies or not. */
#include "bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N_WORDS_KNOWN  20000
#define MAX_WORDS      4000
#define MAX_WORD_BYTES 10
#define WRITE_BYTES    ((size_t)1 << 20)
#define COPIED_TEXT    UINT64_MAX /* the number of the first text */

static char word[N_WORDS_KNOWN][MAX_WORD_BYTES + 1];
static uint32_t n_words = 40;
static uint64_t n_written;

static void fail(const char *what)
{
    fprintf(stderr, "bench_documents: %s\n", what);
    exit(1);
}

static uint64_t mix(uint64_t value) /* the finalizer of splitmix64 */
{
    value += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
    return value ^ value >> 31;
}

static void make_words(void)
{
    for (uint64_t i = 0; i < N_WORDS_KNOWN; i++) {
        uint64_t size = 3 + mix(i) % 6;
        for (uint64_t k = 0; k < size; k++) {
            word[i][k] = (char)('a' + mix(i * 16 + k + (UINT64_C(1) << 40)) % 26);
        }
    }
}

static size_t make_text(uint64_t number, char *text)
{
    size_t size = 0;
    uint64_t seed = mix(number);
    for (uint32_t i = 0; i < n_words; i++) {
        const char *drawn = word[mix(seed + i) % N_WORDS_KNOWN];
        size_t length = strlen(drawn);
        memcpy(text + size, drawn, length);
        size += length;
        text[size++] = ' ';
    }
    return size;
}

/* | size | id | source | text |: one Sample of sample.proto behind its size. */
static void put_sample(sluice_bytes *out, uint64_t number)
{
    static char text[MAX_WORDS * (MAX_WORD_BYTES + 1)];
    char id[17];
    snprintf(id, sizeof id, "%016llx", (unsigned long long)n_written);
    size_t text_size = make_text(number, text);
    size_t source_number = (size_t)(n_written++ % 4);
    char source[9] = "source 0";
    source[7] = (char)('0' + source_number);
    size_t varint = text_size < 128 ? 1 : text_size < 16384 ? 2 : 3;
    if (sl_bytes_put_varint(out, 18 + 10 + 1 + varint + text_size) != SLUICE_OK ||
        sl_bytes_put_u8(out, 0x0a) != SLUICE_OK || sl_bytes_put_u8(out, 16) != SLUICE_OK ||
        sl_bytes_append(out, id, 16) != SLUICE_OK || sl_bytes_put_u8(out, 0x12) != SLUICE_OK ||
        sl_bytes_put_u8(out, 8) != SLUICE_OK || sl_bytes_append(out, source, 8) != SLUICE_OK ||
        sl_bytes_put_u8(out, 0x22) != SLUICE_OK ||
        sl_bytes_put_varint(out, text_size) != SLUICE_OK ||
        sl_bytes_append(out, text, text_size) != SLUICE_OK) {
        fail("no memory");
    }
    if (out->size >= WRITE_BYTES) {
        if (fwrite(out->data, 1, out->size, stdout) != out->size) {
            fail("cannot write");
        }
        sl_bytes_clear(out);
    }
}

/* After i distinct ones, i * N_COPIES / N_DISTINCT copies are out as well. */
static void put_documents(sluice_bytes *out, uint64_t n_distinct, uint64_t n_copies,
                          uint64_t n_again)
{
    uint64_t n_copied = 0;
    put_sample(out, COPIED_TEXT);
    for (uint64_t i = 0; i < n_distinct; i++) {
        put_sample(out, i);
        for (; n_copied * n_distinct < (i + 1) * n_copies; n_copied++) {
            put_sample(out, COPIED_TEXT);
        }
    }
    if (n_again > 0) {
        put_sample(out, COPIED_TEXT);
    }
    for (uint64_t i = 0; i < n_again && i < n_distinct; i++) {
        put_sample(out, n_distinct - 1 - i);
    }
}

int main(int argc, char **argv)
{
    uint64_t count[4] = {0, 0, 0, 40};
    for (int i = 1; i < argc && i <= 4; i++) {
        count[i - 1] = (uint64_t)strtod(argv[i], NULL);
    }
    if (argc < 2 || argc > 5 || count[3] < 1 || count[3] > MAX_WORDS) {
        fail("see the head of bench_documents.c for how to call it");
    }
    n_words = (uint32_t)count[3];
    make_words();
    sluice_bytes out = {0};
    put_documents(&out, count[0], count[1], count[2]);
    if (fwrite(out.data, 1, out.size, stdout) != out.size || fflush(stdout) != 0) {
        fail("cannot write");
    }
    sl_bytes_fini(&out);
    return 0;
}
