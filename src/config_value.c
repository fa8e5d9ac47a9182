/* config_value.c - one value of the configuration, from what a person writes and back.
 *
 *   "512MiB" --parse--> number 536870912 --store--> field of sluice_config
 *            <--print--                  <--load---
 *
 * Why sizes and durations are whole in their base unit: 1.5GiB is exact, 0.3KiB is a slip. */
#include "config_value.h"
#include "config_node.h"
#include "nearest.h"
#include "bytes.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define SL_NUMBER_BYTES 48 /* longest number worth reading, with its end */

typedef struct unit {
    const char *name;
    uint64_t factor;
} unit;

/* Largest first, so that printing finds the shortest form. */
static const unit size_units[] = {
    {"GiB", UINT64_C(1) << 30}, {"MiB", UINT64_C(1) << 20}, {"KiB", UINT64_C(1) << 10}, {NULL, 0}};
static const unit duration_units[] = {{"d", UINT64_C(86400000000)}, {"h", UINT64_C(3600000000)},
                                      {"m", UINT64_C(60000000)},    {"s", UINT64_C(1000000)},
                                      {"ms", UINT64_C(1000)},       {NULL, 0}};

static const char *const type_names[] = {
    [SL_CONFIG_SECTION] = "a section",
    [SL_CONFIG_STRING] = "a text of at most 255 bytes",
    [SL_CONFIG_ENDPOINT] = "tcp://HOST:PORT, ipc://PATH or \"\"",
    [SL_CONFIG_ADDRESS] = "HOST:PORT or \"\"",
    [SL_CONFIG_SWITCH] = "",
    [SL_CONFIG_CHOICE] = "",
    [SL_CONFIG_COUNT32] = "a whole number",
    [SL_CONFIG_COUNT] = "a whole number",
    [SL_CONFIG_SIZE] = "a size such as 512MiB (KiB, MiB or GiB)",
    [SL_CONFIG_DURATION] = "a duration such as 90s (ms, s, m, h or d)",
    [SL_CONFIG_THRESHOLD] = "auto or a number",
    [SL_CONFIG_SHINGLE] = "auto, or w, t or c and a number from 1 to 16, such as w3",
    [SL_CONFIG_REAL] = "a number",
    [SL_CONFIG_AUTO32] = "auto or a whole number",
    [SL_CONFIG_DAMPING] = "",
    [SL_CONFIG_OFFSETS] = "",
    [SL_CONFIG_REFERENCES] = "",
};

static void list_words(const char *const *words, sluice_message *out)
{
    size_t used = 0;
    out->text[0] = '\0';
    for (uint32_t i = 0; words[i] != NULL; i++) {
        const char *between = i == 0 ? "" : words[i + 1] == NULL ? " or " : ", ";
        int added = snprintf(out->text + used, sizeof out->text - used, "%s%s", between, words[i]);
        used += (size_t)added;
    }
}

void sl_config_expected(const sl_config_key *key, sluice_message *expected)
{
    if (key->words != NULL) {
        list_words(key->words, expected);
    } else if (sl_config_node_is(key)) {
        snprintf(expected->text, sizeof expected->text, "%s", sl_config_node_expected(key));
    } else if (key->min != NULL) {
        snprintf(expected->text, sizeof expected->text, "%s, %s to %s", type_names[key->type],
                 key->min, key->max);
    } else {
        snprintf(expected->text, sizeof expected->text, "%s", type_names[key->type]);
    }
}

/* Digits with an optional fraction, and the unit behind them. False if it does not start so. */
static bool split_number(const char *written, double *value, bool *whole, const char **rest)
{
    size_t digits = strspn(written, "0123456789");
    size_t fraction = written[digits] == '.' ? 1 + strspn(written + digits + 1, "0123456789") : 0;
    if (digits == 0 || fraction == 1) {
        return false;
    }
    *value = strtod(written, NULL);
    *whole = fraction == 0;
    *rest = written + digits + fraction;
    return true;
}

static bool parse_whole(const char *digits, uint64_t *number)
{
    if (digits[0] == '\0' || strspn(digits, "0123456789") != strlen(digits)) {
        return false;
    }
    errno = 0;
    *number = strtoull(digits, NULL, 10);
    return errno == 0;
}

/* A number with one of `units`; a bare whole number is allowed for sizes, a bare 0 everywhere. */
static bool parse_scaled(const char *written, const unit *units, bool bare, uint64_t *number)
{
    double value;
    bool whole;
    const char *rest;
    if (!split_number(written, &value, &whole, &rest)) {
        return false;
    }
    if (*rest == '\0') {
        return parse_whole(written, number) && (bare || *number == 0);
    }
    while (*rest == ' ') {
        rest++;
    }
    for (; units->name != NULL; units++) {
        if (strcmp(rest, units->name) == 0) {
            double scaled = value * (double)units->factor;
            *number = scaled < 0x1p63 ? (uint64_t)scaled : 0;
            return scaled < 0x1p63 && floor(scaled) == scaled;
        }
    }
    return false;
}

static bool parse_shingle(const char *written, sluice_shingle *shingle)
{
    uint64_t n;
    if (strcmp(written, "auto") == 0) {
        *shingle = (sluice_shingle){0, 0};
        return true;
    }
    if (written[0] == '\0' || strchr("wtc", written[0]) == NULL || !parse_whole(written + 1, &n) ||
        n < 1 || n > 16) {
        return false;
    }
    *shingle = (sluice_shingle){written[0], (uint8_t)n};
    return true;
}

static bool parse_real(const char *written, double *real)
{
    const char *allowed = "0123456789.eE-+";
    char *end;
    *real = strtod(written, &end);
    return *end == '\0' && written[0] != '\0' && strspn(written, allowed) == strlen(written) &&
           isfinite(*real);
}

static bool parse_threshold(const char *written, double *real)
{
    if (strcmp(written, "auto") == 0) {
        *real = 0;
        return true;
    }
    return parse_real(written, real) && *real > 0 && *real <= 1;
}

static bool has_port(const char *written)
{
    const char *colon = strrchr(written, ':');
    uint64_t port;
    return colon != NULL && colon > written &&
           (strcmp(colon, ":*") == 0 || (parse_whole(colon + 1, &port) && port <= 65535));
}

static bool is_endpoint(const char *written)
{
    return written[0] == '\0' || (strncmp(written, "tcp://", 6) == 0 && has_port(written + 6)) ||
           (strncmp(written, "ipc://", 6) == 0 && written[6] != '\0') ||
           (strncmp(written, "inproc://", 9) == 0 && written[9] != '\0');
}

static bool parse_word(const char *written, const char *const *words, uint64_t *number)
{
    for (uint64_t i = 0; words[i] != NULL; i++) {
        if (strcmp(written, words[i]) == 0) {
            *number = i;
            return true;
        }
    }
    return false;
}

static bool parse_typed(const sl_config_key *key, const char *written, sl_config_value *value)
{
    switch (key->type) {
    case SL_CONFIG_STRING:
        /* What has no default may be empty; a name or a folder may not. */
        return written[0] != '\0' || key->initial[0] == '\0';
    case SL_CONFIG_ENDPOINT:
        return is_endpoint(written);
    case SL_CONFIG_ADDRESS:
        return written[0] == '\0' || has_port(written);
    case SL_CONFIG_SWITCH:
    case SL_CONFIG_CHOICE:
        return parse_word(written, key->words, &value->number);
    case SL_CONFIG_COUNT32:
    case SL_CONFIG_COUNT:
        return parse_whole(written, &value->number);
    case SL_CONFIG_SIZE:
        return parse_scaled(written, size_units, true, &value->number);
    case SL_CONFIG_DURATION:
        return parse_scaled(written, duration_units, false, &value->number);
    case SL_CONFIG_THRESHOLD:
        return parse_threshold(written, &value->real);
    case SL_CONFIG_SHINGLE:
        return parse_shingle(written, &value->shingle);
    case SL_CONFIG_REAL:
        return parse_real(written, &value->real);
    case SL_CONFIG_AUTO32:
        return strcmp(written, "auto") == 0 || parse_whole(written, &value->number);
    default:
        break;
    }
    return false;
}

static bool inside_range(const sl_config_key *key, const sl_config_value *value)
{
    sl_config_value low = {0};
    sl_config_value high = {0};
    bool automatic = (key->type == SL_CONFIG_THRESHOLD && value->real <= 0) ||
                     (key->type == SL_CONFIG_AUTO32 && strcmp(value->text, "auto") == 0);
    if (key->min == NULL || automatic) {
        return true;
    }
    SLUICE_ASSERT(parse_typed(key, key->min, &low) && parse_typed(key, key->max, &high));
    if (key->type == SL_CONFIG_THRESHOLD || key->type == SL_CONFIG_REAL) {
        return value->real >= low.real && value->real <= high.real;
    }
    return value->number >= low.number && value->number <= high.number;
}

/* At most 60 bytes of what was written, fit to be shown. */
static void quote(sluice_span written, char shown[80])
{
    size_t n = written.size < 60 ? written.size : 60;
    while (n < written.size && n > 0 && (written.data[n] & 0xc0) == 0x80) {
        n--;
    }
    for (size_t i = 0; i < n; i++) {
        shown[i] = written.data[i] < 0x20 || written.data[i] == 0x7f ? '?' : (char)written.data[i];
    }
    memcpy(shown + n, n < written.size ? "..." : "", n < written.size ? 4 : 1);
}

static bool is_printable(sluice_span written)
{
    for (size_t i = 0; i < written.size; i++) {
        if (written.data[i] < 0x20 || written.data[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

static const char *guess_unit(const sl_config_key *key, const char *text)
{
    size_t digits = strspn(text, "0123456789.");
    static const char *const sizes[] = {"KiB", "MiB", "GiB", NULL};
    if (key->type != SL_CONFIG_SIZE || digits == 0) {
        return NULL;
    }
    for (uint32_t i = 0; sizes[i] != NULL; i++) {
        if ((text[digits] & 0xdf) == sizes[i][0]) { /* k, K, KB -> KiB */
            return sizes[i];
        }
    }
    return NULL;
}

bool sl_config_value_parse(const sl_config_key *key, sluice_span written, sl_config_value *value,
                           sluice_message *wrong)
{
    *value = (sl_config_value){0};
    bool fits = written.size < sizeof value->text && is_printable(written);
    if (fits && written.size > 0) {
        memcpy(value->text, written.data, written.size);
    }
    if (fits && parse_typed(key, value->text, value) && inside_range(key, value)) {
        return true;
    }
    char shown[80];
    sluice_message expected;
    quote(written, shown);
    sl_config_expected(key, &expected);
    const char *near = NULL;
    if (fits) {
        near = key->words != NULL ? sl_nearest_word(value->text, key->words)
                                  : guess_unit(key, value->text);
    }
    (void)sluice_fail(wrong, SLUICE_E_CONFIG, "have \"%s\"; expected %.200s%s%s%s", shown,
                      expected.text, near != NULL ? "; did you mean " : "",
                      near != NULL ? near : "", near != NULL ? "?" : "");
    return false;
}

bool sl_config_value_equal(const sl_config_key *key, const sl_config_value *a,
                           const sl_config_value *b)
{
    switch (key->type) {
    case SL_CONFIG_STRING:
    case SL_CONFIG_ENDPOINT:
    case SL_CONFIG_ADDRESS:
        return strcmp(a->text, b->text) == 0;
    case SL_CONFIG_THRESHOLD:
    case SL_CONFIG_REAL:
        return fabs(a->real - b->real) <= 0;
    case SL_CONFIG_SHINGLE:
        return a->shingle.unit == b->shingle.unit && a->shingle.n == b->shingle.n;
    default:
        return a->number == b->number;
    }
}

void sl_config_value_store(const sl_config_key *key, const sl_config_value *value,
                           sluice_config *config)
{
    void *field = (char *)config + key->offset;
    uint32_t number = (uint32_t)value->number;
    switch (key->type) {
    case SL_CONFIG_STRING:
    case SL_CONFIG_ENDPOINT:
    case SL_CONFIG_ADDRESS:
        memcpy(field, value->text, sizeof value->text);
        break;
    case SL_CONFIG_SWITCH:
        *(bool *)field = value->number == 1;
        break;
    case SL_CONFIG_CHOICE: /* every enum of the configuration is an unsigned int */
    case SL_CONFIG_COUNT32:
    case SL_CONFIG_AUTO32:
        memcpy(field, &number, sizeof number);
        break;
    case SL_CONFIG_COUNT:
    case SL_CONFIG_SIZE:
    case SL_CONFIG_DURATION:
        memcpy(field, &value->number, sizeof value->number);
        break;
    case SL_CONFIG_THRESHOLD:
    case SL_CONFIG_REAL:
        memcpy(field, &value->real, sizeof value->real);
        break;
    case SL_CONFIG_SHINGLE:
        memcpy(field, &value->shingle, sizeof value->shingle);
        break;
    default:
        SLUICE_ASSERT(false && "a key without a field");
    }
}

void sl_config_value_load(const sl_config_key *key, const sluice_config *config,
                          sl_config_value *value)
{
    const void *field = (const char *)config + key->offset;
    uint32_t number = 0;
    *value = (sl_config_value){0};
    switch (key->type) {
    case SL_CONFIG_STRING:
    case SL_CONFIG_ENDPOINT:
    case SL_CONFIG_ADDRESS:
        memcpy(value->text, field, sizeof value->text);
        break;
    case SL_CONFIG_SWITCH:
        value->number = *(const bool *)field;
        break;
    case SL_CONFIG_CHOICE:
    case SL_CONFIG_COUNT32:
    case SL_CONFIG_AUTO32:
        memcpy(&number, field, sizeof number);
        value->number = number;
        break;
    case SL_CONFIG_COUNT:
    case SL_CONFIG_SIZE:
    case SL_CONFIG_DURATION:
        memcpy(&value->number, field, sizeof value->number);
        break;
    case SL_CONFIG_THRESHOLD:
    case SL_CONFIG_REAL:
        memcpy(&value->real, field, sizeof value->real);
        break;
    case SL_CONFIG_SHINGLE:
        memcpy(&value->shingle, field, sizeof value->shingle);
        break;
    default:
        SLUICE_ASSERT(false && "a key without a field");
    }
}

sluice_status sl_config_put_text(sluice_bytes *out, const char *text)
{
    return sl_bytes_append(out, text, strlen(text));
}

sluice_status sl_config_put_quoted(sluice_bytes *out, const char *text)
{
    SLUICE_TRY(sl_bytes_put_u8(out, '"'));
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\') {
            SLUICE_TRY(sl_bytes_put_u8(out, '\\'));
        }
        SLUICE_TRY(sl_bytes_put_u8(out, (uint8_t)*text));
    }
    return sl_bytes_put_u8(out, '"');
}

/* Plain where YAML cannot take it for anything else, quoted otherwise. */
static sluice_status print_text(const char *text, sluice_bytes *out)
{
    const char *word = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-";
    static const char *const taken[] = {"true", "false", "null", "yes", "no", "on", "off", NULL};
    bool plain = text[0] != '\0' && strchr("0123456789-", text[0]) == NULL &&
                 strspn(text, word) == strlen(text) && strcmp(text, "...") != 0;
    for (uint32_t i = 0; taken[i] != NULL; i++) {
        plain = plain && sl_nearest_edits(text, taken[i]) != 0;
    }
    return plain ? sl_config_put_text(out, text) : sl_config_put_quoted(out, text);
}

static sluice_status print_scaled(uint64_t number, const unit *units, sluice_bytes *out)
{
    char written[SL_NUMBER_BYTES];
    while (units->name != NULL && (number == 0 || number % units->factor != 0)) {
        units++;
    }
    bool scaled = units->name != NULL;
    snprintf(written, sizeof written, "%llu%s",
             (unsigned long long)(scaled ? number / units->factor : number),
             scaled ? units->name : "");
    return sl_config_put_text(out, written);
}

sluice_status sl_config_put_real(sluice_bytes *out, double real)
{
    char written[SL_NUMBER_BYTES];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(written, sizeof written, "%.*g", digits, real);
        if (fabs(strtod(written, NULL) - real) <= 0) {
            break;
        }
    }
    return sl_config_put_text(out, written);
}

sluice_status sl_config_value_print(const sl_config_key *key, const sl_config_value *value,
                                    bool plain, sluice_bytes *out)
{
    static const unit none = {NULL, 0};
    char shingle[8];
    switch (key->type) {
    case SL_CONFIG_STRING:
    case SL_CONFIG_ENDPOINT:
    case SL_CONFIG_ADDRESS:
        return print_text(value->text, out);
    case SL_CONFIG_SWITCH:
    case SL_CONFIG_CHOICE:
        return sl_config_put_text(out, key->words[value->number]);
    case SL_CONFIG_SIZE:
        return print_scaled(value->number, plain ? &none : size_units, out);
    case SL_CONFIG_DURATION:
        return print_scaled(value->number, plain ? &none : duration_units, out);
    case SL_CONFIG_REAL:
        return sl_config_put_real(out, value->real);
    case SL_CONFIG_AUTO32:
        return value->number > 0 ? print_scaled(value->number, &none, out)
                                 : sl_config_put_text(out, "auto");
    case SL_CONFIG_THRESHOLD:
        return value->real > 0 ? sl_config_put_real(out, value->real)
                               : sl_config_put_text(out, "auto");
    case SL_CONFIG_SHINGLE:
        if (value->shingle.unit == 0) {
            return sl_config_put_text(out, "auto");
        }
        snprintf(shingle, sizeof shingle, "%c%u", value->shingle.unit, value->shingle.n);
        return sl_config_put_text(out, shingle);
    default:
        return print_scaled(value->number, &none, out);
    }
}
