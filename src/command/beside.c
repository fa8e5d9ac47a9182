/* beside.c - two texts beside each other on a terminal. */
#include "command/beside.h"
#include "bytes.h"

#include <stdio.h>

#define COLUMN     46 /* columns of each text */
#define TEXT_LINES 6

static uint32_t code_point_of(const uint8_t *at, size_t size)
{
    uint32_t code_point = size == 1 ? at[0] : at[0] & (0x7FU >> size);
    for (size_t i = 1; i < size; i++) {
        code_point = code_point << 6 | (at[i] & 0x3FU);
    }
    return code_point;
}

/* Columns of a terminal: East Asian wide characters and pictographs take two. */
static int columns_of(uint32_t code_point)
{
    static const uint32_t wide[][2] = {{0x1100, 0x115F}, {0x2E80, 0xA4CF},   {0xAC00, 0xD7A3},
                                       {0xF900, 0xFAFF}, {0xFE30, 0xFE6F},   {0xFF00, 0xFF60},
                                       {0xFFE0, 0xFFE6}, {0x1F300, 0x1FAFF}, {0x20000, 0x3FFFD}};
    for (size_t i = 0; i < sizeof wide / sizeof wide[0]; i++) {
        if (code_point >= wide[i][0] && code_point <= wide[i][1]) {
            return 2;
        }
    }
    return 1;
}

/* One line of at most COLUMN columns of the text; moves `text` behind it. Control characters become
 * spaces. Returns the columns written. */
static int print_piece(sluice_span *text)
{
    int n = 0;
    size_t i = 0;
    while (i < text->size && n < COLUMN) {
        size_t next = i + 1;
        while (next < text->size && (text->data[next] & 0xC0) == 0x80) {
            next++;
        }
        if (text->data[i] == '\n') {
            i = next;
            break;
        }
        bool plain = text->data[i] >= 0x20 && text->data[i] != 0x7F &&
                     sl_utf8_valid((sluice_span){text->data + i, next - i});
        int columns = plain ? columns_of(code_point_of(text->data + i, next - i)) : 1;
        if (n + columns > COLUMN) {
            break;
        }
        fwrite(plain ? (const char *)text->data + i : " ", 1, plain ? next - i : 1, stdout);
        n += columns;
        i = next;
    }
    text->data += i;
    text->size -= i;
    return n;
}

/* Leaves out the lines that both begin with, but one: what differs is what one wants to see. */
static void skip_common_lines(sluice_span *a, sluice_span *b)
{
    size_t line = 0, line_before = 0;
    for (size_t i = 0; i < a->size && i < b->size && a->data[i] == b->data[i]; i++) {
        if (a->data[i] == '\n') {
            line_before = line;
            line = i + 1;
        }
    }
    if (line_before > 0) {
        printf("  the first %zu bytes are the same\n", line_before);
        *a = (sluice_span){a->data + line_before, a->size - line_before};
        *b = (sluice_span){b->data + line_before, b->size - line_before};
    }
}

void sl_beside_print(sluice_span left, const char *left_head, sluice_span right,
                     const char *right_head)
{
    skip_common_lines(&left, &right);
    printf("  %-*s | %s\n", COLUMN, left_head, right_head);
    for (int i = 0; i < TEXT_LINES && left.size + right.size > 0; i++) {
        printf("  ");
        printf("%*s | ", COLUMN - print_piece(&left), "");
        print_piece(&right);
        printf("\n");
    }
    if (left.size + right.size > 0) {
        printf("  %-*s | %s\n", COLUMN, left.size > 0 ? "..." : "", right.size > 0 ? "..." : "");
    }
}
