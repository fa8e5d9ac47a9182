/* scan.c - checks the words of an expression before Lua sees it.
 *
 *   percentile.leverage >= 0.99 and not contains(attributes["page url"], "test")
 *     | operand | operator | operand ...                          a walk between two states
 *   percentile_leverage >= 0.99 and not contains(quoted_0, "test")
 *
 * Why a grammar of our own in front of Lua's: what has no loop, no function of its own and no
 * assignment ends after as many steps as it has words, so nothing has to be counted while it runs;
 * and a mistake is told with its column and what was meant.
 * Why names become parameters: an expression then takes numbers as arguments, builds no table and
 * finds nothing but the functions below around it. */
#include "decide/scan.h"
#include "bytes.h"
#include "nearest.h"

#include <ctype.h>
#include <stdio.h>

#define DEPTH_MAX 32 /* of parentheses */

const char *const sl_scan_functions[] = {
    "contains",  "starts",     "ends",      "lower",     "len",      "math.abs",
    "math.acos", "math.asin",  "math.atan", "math.ceil", "math.cos", "math.deg",
    "math.exp",  "math.floor", "math.fmod", "math.log",  "math.max", "math.min",
    "math.rad",  "math.sin",   "math.sqrt", "math.tan",  "math.ult", NULL};
static const char *const constants[] = {"math.pi", "math.huge", NULL};

typedef struct scan {
    const char *text, *at;
    sl_names *names;
    sl_scanned *out;
    sl_expression_fault *fault;
    size_t body_size;
    bool in_call[DEPTH_MAX]; /* what each open parenthesis is */
    uint32_t depth;
    bool failed;
} scan;

static void fail_at(scan *self, const char *at, const char *what)
{
    self->failed = true;
    self->fault->at = (size_t)(at - self->text);
    snprintf(self->fault->text.text, sizeof self->fault->text.text, "%s", what);
}

/* Nothing written is longer than what it stands for and a space, so it always fits. */
static void put(scan *self, const char *text, size_t size)
{
    SLUICE_ASSERT(self->body_size + size + 1 < sizeof self->out->body);
    memcpy(self->out->body + self->body_size, text, size);
    self->body_size += size + 1;
    self->out->body[self->body_size - 1] = ' ';
    self->out->body[self->body_size] = '\0';
}

static bool is_word_byte(char c)
{
    return isalnum((unsigned char)c) || c == '_';
}

static bool is_word(const char *at, const char *word)
{
    size_t size = strlen(word);
    return strncmp(at, word, size) == 0 && !is_word_byte(at[size]);
}

static void skip_space(scan *self)
{
    while (*self->at == ' ' || *self->at == '\t' || *self->at == '\n' || *self->at == '\r') {
        self->at++;
    }
}

/* The end of a quoted text, NULL if it has none. */
static const char *end_of_text(const char *at)
{
    const char quote = *at++;
    while (*at != quote) {
        if (*at == '\0' || *at == '\n') {
            return NULL;
        }
        at += *at == '\\' && at[1] != '\0' ? 2 : 1;
    }
    return at + 1;
}

/* --- names --- */

static uint32_t parameter_of(scan *self, const sl_name *name, const char *written)
{
    sl_scanned *out = self->out;
    for (uint32_t i = 0; i < out->n_names; i++) {
        if (out->name[i].kind == name->kind && out->name[i].index == name->index) {
            return i;
        }
    }
    if (out->n_names == SL_SCAN_NAMES) {
        fail_at(self, written, "too many different names; at most 32");
        return 0;
    }
    out->name[out->n_names] = *name;
    return out->n_names++;
}

/* How Lua calls it: the path with _ for dots, so that its own messages can be read; a number where
 * the last part is no word. */
static void put_parameter(scan *self, const sl_name *name, uint32_t i_name, bool is_new)
{
    char word[128];
    const char *last = sl_name_last(self->names, name);
    size_t n_word = 0;
    while (is_word_byte(last[n_word])) {
        n_word++;
    }
    if (last[n_word] != '\0' || n_word > 64) {
        snprintf(word, sizeof word, "quoted_%u", i_name);
    } else {
        snprintf(word, sizeof word, "%s%s%s", sl_name_path(name->kind), n_word > 0 ? "_" : "",
                 last);
    }
    for (char *at = word; *at != '\0'; at++) {
        *at = *at == '.' ? '_' : *at;
    }
    if (is_new) {
        char *parameters = self->out->parameters;
        size_t size = strlen(parameters);
        snprintf(parameters + size, sizeof self->out->parameters - size, "%s%s",
                 i_name > 0 ? "," : "", word);
    }
    put(self, word, strlen(word));
}

/* .word or ["any text"]; only behind attributes and toward the second. */
static bool take_part(scan *self, sluice_span *part, bool *quoted)
{
    skip_space(self);
    if (*self->at == '.' && self->at[1] != '.') {
        self->at++;
        skip_space(self);
        const char *start = self->at;
        while (is_word_byte(*self->at)) {
            self->at++;
        }
        *part = (sluice_span){(const uint8_t *)start, (size_t)(self->at - start)};
        if (part->size == 0) {
            fail_at(self, start, "a name is missing behind the dot");
        }
        return true;
    }
    if (*self->at != '[') {
        return false;
    }
    const char *open = self->at++;
    skip_space(self);
    const char *end = *self->at == '"' || *self->at == '\'' ? end_of_text(self->at) : NULL;
    if (end == NULL || memchr(self->at, '\\', (size_t)(end - self->at)) != NULL) {
        fail_at(self, open, "expected a quoted name in [ ], such as attributes[\"page-url\"]");
        return true;
    }
    *part = (sluice_span){(const uint8_t *)self->at + 1, (size_t)(end - self->at) - 2};
    self->at = end;
    skip_space(self);
    if (*self->at != ']') {
        fail_at(self, self->at, "] is missing");
        return true;
    }
    self->at++;
    *quoted = true;
    return true;
}

static bool is_function(const char *path)
{
    for (uint32_t i = 0; sl_scan_functions[i] != NULL; i++) {
        if (strcmp(sl_scan_functions[i], path) == 0) {
            return true;
        }
    }
    return false;
}

static void open_parenthesis(scan *self, bool call)
{
    if (self->depth == DEPTH_MAX) {
        fail_at(self, self->at, "more than 32 parentheses inside each other");
        return;
    }
    self->in_call[self->depth++] = call;
    put(self, "(", 1);
    self->at++;
}

/* True if the path is a function or a constant of math, or was meant as one. */
static bool take_function(scan *self, const char *path, const char *start, bool *call)
{
    char word[64];
    bool constant = strcmp(path, constants[0]) == 0 || strcmp(path, constants[1]) == 0;
    if (!constant && !is_function(path)) {
        if (strncmp(path, "math", 4) != 0 && *self->at != '(') {
            return false;
        }
        const char *nearest = sl_nearest_word(path, sl_scan_functions);
        snprintf(self->fault->text.text, sizeof self->fault->text.text,
                 "%.60s: unknown function%s%s%s", path, nearest != NULL ? "; did you mean " : "",
                 nearest != NULL ? nearest
                                 : "; there are contains, starts, ends, lower, len and math",
                 nearest != NULL ? "?" : "");
        self->fault->at = (size_t)(start - self->text);
        self->failed = true;
        return true;
    }
    int size = snprintf(word, sizeof word, "%s", path);
    for (int i = 0; i < size; i++) {
        word[i] = word[i] == '.' ? '_' : word[i];
    }
    put(self, word, (size_t)size);
    *call = !constant;
    if (*call && *self->at != '(') {
        fail_at(self, start, "a function must be called: ( is missing behind it");
    } else if (*call) {
        open_parenthesis(self, true);
    }
    return true;
}

/* A name, a constant, or a function with its parenthesis; `call`: an operand comes next. */
static void take_name(scan *self, bool *call)
{
    const char *start = self->at;
    sluice_span part[4];
    uint32_t n_parts = 0;
    bool quoted = false;
    while (is_word_byte(*self->at)) {
        self->at++;
    }
    part[n_parts++] = (sluice_span){(const uint8_t *)start, (size_t)(self->at - start)};
    while (!self->failed && n_parts < 4 && take_part(self, &part[n_parts], &quoted)) {
        n_parts++;
    }
    skip_space(self);
    if (self->failed) {
        return;
    }
    char path[64] = "";
    if (n_parts <= 2 && !quoted) {
        snprintf(path, sizeof path, "%.*s%s%.*s", (int)(part[0].size < 24 ? part[0].size : 24),
                 part[0].data, n_parts == 2 ? "." : "",
                 n_parts == 2 ? (int)(part[1].size < 24 ? part[1].size : 24) : 0,
                 n_parts == 2 ? (const char *)part[1].data : "");
        if (take_function(self, path, start, call)) {
            return;
        }
    }
    sl_name name = {0};
    sluice_message wrong;
    if (n_parts > 3 || !sl_names_find(self->names, part, n_parts, &name, &wrong)) {
        fail_at(self, start, n_parts > 3 ? "no name has so many parts" : wrong.text);
        return;
    }
    uint32_t n_before = self->out->n_names;
    uint32_t i_name = parameter_of(self, &name, start);
    if (!self->failed) {
        put_parameter(self, &name, i_name, i_name == n_before);
    }
}

/* --- operands and operators --- */

static const char *const forbidden[] = {"function", "while", "for",   "repeat", "goto", "local",
                                        "return",   "do",    "end",   "if",     "then", "else",
                                        "elseif",   "until", "break", "in",     NULL};

static bool refuse_keyword(scan *self)
{
    for (uint32_t i = 0; forbidden[i] != NULL; i++) {
        if (is_word(self->at, forbidden[i])) {
            char what[128];
            snprintf(what, sizeof what,
                     "%s is not allowed: a rule is one expression, without statements and "
                     "functions of its own",
                     forbidden[i]);
            fail_at(self, self->at, what);
            return true;
        }
    }
    return false;
}

static void take_literal(scan *self, const char *end)
{
    put(self, self->at, (size_t)(end - self->at));
    self->at = end;
}

static const char *end_of_number(const char *at)
{
    while (is_word_byte(*at) || *at == '.' ||
           ((*at == '+' || *at == '-') && (at[-1] == 'e' || at[-1] == 'E'))) {
        at++;
    }
    return at;
}

/* Reads one operand or what stands before one; true if an operator comes next. */
static bool take_operand(scan *self)
{
    static const char *const words[] = {"true", "false", "nil", NULL};
    bool call = false;
    if (is_word(self->at, "not")) {
        put(self, "not", 3);
        self->at += 3;
        return false;
    }
    for (uint32_t i = 0; words[i] != NULL; i++) {
        if (is_word(self->at, words[i])) {
            take_literal(self, self->at + strlen(words[i]));
            return true;
        }
    }
    if (refuse_keyword(self)) {
        return false;
    }
    if (isalpha((unsigned char)*self->at) || *self->at == '_') {
        take_name(self, &call);
        return !call;
    }
    if (isdigit((unsigned char)*self->at) ||
        (*self->at == '.' && isdigit((unsigned char)self->at[1]))) {
        take_literal(self, end_of_number(self->at));
        return true;
    }
    if (*self->at == '"' || *self->at == '\'') {
        const char *end = end_of_text(self->at);
        if (end == NULL) {
            fail_at(self, self->at, "a quote is not closed");
            return false;
        }
        take_literal(self, end);
        return true;
    }
    if (*self->at == '(') {
        open_parenthesis(self, false);
    } else if ((*self->at == '-' && self->at[1] != '-') || *self->at == '#') {
        put(self, self->at, 1);
        self->at++;
    } else {
        fail_at(self, self->at,
                *self->at == '\0' ? "something is missing at the end"
                                  : "expected a name, a number or a text here");
    }
    return false;
}

/* Signs that people bring from other languages. */
static const char *meant_by(const char *at)
{
    static const char *const pairs[][2] = {
        {"&&", "&& is written \"and\""},
        {"||", "|| is written \"or\""},
        {"!=", "!= is written \"~=\""},
        {"--", "comments are not allowed"},
        {"=", "= is written \"==\""},
        {"?", "? : is written \"a and b or c\""},
        {":",
         ": is not allowed: texts have no methods; there are contains, starts, ends, lower, len"},
        {"{", "tables are not allowed"},
        {"[", "[ ] stands behind attributes and toward only"},
        {";", "; is not allowed: a rule is one expression"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (strncmp(at, pairs[i][0], strlen(pairs[i][0])) == 0) {
            return pairs[i][1];
        }
    }
    return "expected an operator here";
}

/* Reads one operator, or a closing parenthesis; true if another operator comes next. */
static bool take_operator(scan *self)
{
    static const char *const signs[] = {"==", "~=", "<=", ">=", "..", "//", "<", ">",
                                        "+",  "-",  "*",  "/",  "%",  "^",  NULL};
    if (*self->at == ')') {
        if (self->depth == 0) {
            fail_at(self, self->at, ") closes nothing");
            return false;
        }
        self->depth--;
        put(self, ")", 1);
        self->at++;
        return true;
    }
    if (*self->at == ',' && self->depth > 0 && self->in_call[self->depth - 1]) {
        put(self, ",", 1);
        self->at++;
        return false;
    }
    for (uint32_t i = 0; i < 2; i++) {
        const char *word = i == 0 ? "and" : "or";
        if (is_word(self->at, word)) {
            put(self, word, strlen(word));
            self->at += strlen(word);
            return false;
        }
    }
    bool comment = strncmp(self->at, "--", 2) == 0;
    for (uint32_t i = 0; signs[i] != NULL && !comment; i++) {
        if (strncmp(self->at, signs[i], strlen(signs[i])) == 0) {
            put(self, signs[i], strlen(signs[i]));
            self->at += strlen(signs[i]);
            return false;
        }
    }
    if (!refuse_keyword(self)) {
        fail_at(self, self->at, meant_by(self->at));
    }
    return false;
}

bool sl_scan_expression(const char *text, sl_names *names, sl_scanned *out,
                        sl_expression_fault *fault)
{
    *fault = (sl_expression_fault){0};
    *out = (sl_scanned){.n_names = 0};
    scan self = {.text = text, .at = text, .names = names, .out = out, .fault = fault};
    if (strlen(text) >= SL_SCAN_BYTES) {
        fail_at(&self, text, "an expression has at most 511 bytes");
        return false;
    }
    bool wants_operator = false;
    for (;;) {
        skip_space(&self);
        if (*self.at == '\0' && wants_operator) {
            break;
        }
        wants_operator = wants_operator ? take_operator(&self) : take_operand(&self);
        if (self.failed) {
            return false;
        }
    }
    if (self.depth > 0) {
        fail_at(&self, self.at, ") is missing");
    }
    return !self.failed;
}
