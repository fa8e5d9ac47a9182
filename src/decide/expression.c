/* expression.c - runs the expressions of a policy in a box of Lua 5.4.
 *
 *   scan.c: body, parameters --> chunk of text    return function(percentile_leverage)
 *                                                     return (percentile_leverage >= 0.99) end
 *                                    | called once: the function stays on Lua's stack
 *                                    v
 *   a sample's values --> arguments --> the function --> true | false | number
 *
 * The box: no library is opened. Around an expression there are five functions for texts and those
 * of math that neither draw random numbers nor look at anything but their arguments. scan.c has
 * admitted neither loops nor functions, so a run ends by itself; every byte comes from an allocator
 * with a cap, and Lua's own error at the cap is caught like all others.
 * Why arguments and no tables: a number costs nothing to hand over, nothing is left to collect, and
 * an expression sees nothing that it did not name.
 * Why texts are handed over inside a protected call: they are the only arguments that need memory,
 * and an error of memory outside of one would end the program. */
#include "decide/expression.h"
#include "bytes.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct expression {
    uint32_t n_names;
    bool has_text; /* among its values */
    bool tests_duplicate;
    sl_name name[SL_SCAN_NAMES];
} expression;

struct sl_box {
    lua_State *lua; /* expressions at 1 .. n of its stack */
    size_t used_bytes;
    const sl_names *names;
    uint32_t n;
    expression expression[SL_EXPRESSIONS_MAX];
};

/* --- the box --- */

static void *allocate(void *context, void *block, size_t old_size, size_t new_size)
{
    sl_box *box = context;
    old_size = block != NULL ? old_size : 0; /* Lua tells a kind there */
    if (new_size == 0) {
        free(block);
        box->used_bytes -= old_size;
        return NULL;
    }
    if (new_size > old_size && box->used_bytes + (new_size - old_size) > SL_BOX_MEMORY_BYTES) {
        return NULL;
    }
    void *moved = realloc(block, new_size);
    if (moved != NULL) {
        box->used_bytes = box->used_bytes - old_size + new_size;
    }
    return moved;
}

/* A text argument; one that is missing is the empty text. */
static const char *text_at(lua_State *lua, int i, size_t *size)
{
    *size = 0;
    return lua_isnoneornil(lua, i) ? "" : luaL_checklstring(lua, i, size);
}

static int call_contains(lua_State *lua)
{
    size_t size, n;
    const char *text = text_at(lua, 1, &size);
    const char *part = text_at(lua, 2, &n);
    lua_pushboolean(lua, !lua_isnoneornil(lua, 1) && memmem(text, size, part, n) != NULL);
    return 1;
}

static int call_starts(lua_State *lua)
{
    size_t size, n;
    const char *text = text_at(lua, 1, &size);
    const char *part = text_at(lua, 2, &n);
    lua_pushboolean(lua, !lua_isnoneornil(lua, 1) && size >= n && memcmp(text, part, n) == 0);
    return 1;
}

static int call_ends(lua_State *lua)
{
    size_t size, n;
    const char *text = text_at(lua, 1, &size);
    const char *part = text_at(lua, 2, &n);
    lua_pushboolean(lua,
                    !lua_isnoneornil(lua, 1) && size >= n && memcmp(text + size - n, part, n) == 0);
    return 1;
}

/* ASCII letters alone, so that no locale has a say. */
static int call_lower(lua_State *lua)
{
    size_t size;
    const char *text = text_at(lua, 1, &size);
    luaL_Buffer buffer;
    char *out = luaL_buffinitsize(lua, &buffer, size);
    for (size_t i = 0; i < size; i++) {
        out[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] + ('a' - 'A') : text[i]);
    }
    luaL_pushresultsize(&buffer, size);
    return 1;
}

static int call_len(lua_State *lua)
{
    size_t size;
    (void)text_at(lua, 1, &size);
    lua_pushinteger(lua, (lua_Integer)size);
    return 1;
}

/* Inside a protected call: everything here may need memory. */
static int furnish(lua_State *lua)
{
    static const luaL_Reg own[] = {{"contains", call_contains}, {"starts", call_starts},
                                   {"ends", call_ends},         {"lower", call_lower},
                                   {"len", call_len},           {NULL, NULL}};
    luaL_requiref(lua, "math", luaopen_math, 0);
    lua_rawgeti(lua, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    luaL_setfuncs(lua, own, 0);
    for (uint32_t i = 0; sl_scan_functions[i] != NULL; i++) {
        char name[32];
        if (strncmp(sl_scan_functions[i], "math.", 5) == 0) {
            snprintf(name, sizeof name, "math_%s", sl_scan_functions[i] + 5);
            lua_getfield(lua, -2, sl_scan_functions[i] + 5);
            lua_setfield(lua, -2, name);
        }
    }
    lua_pushnumber(lua, M_PI);
    lua_setfield(lua, -2, "math_pi");
    lua_pushnumber(lua, HUGE_VAL);
    lua_setfield(lua, -2, "math_huge");
    lua_pushnil(lua); /* math itself is not kept */
    lua_setfield(lua, LUA_REGISTRYINDEX, LUA_LOADED_TABLE);
    return 0;
}

sluice_status sl_box_open(sl_box **out)
{
    *out = NULL;
    sl_box *box = calloc(1, sizeof *box);
    if (box == NULL) {
        return SLUICE_E_NOMEM;
    }
    box->lua = lua_newstate(allocate, box);
    if (box->lua != NULL) {
        lua_pushcfunction(box->lua, furnish);
    }
    if (box->lua == NULL || lua_pcall(box->lua, 0, 0, 0) != LUA_OK ||
        !lua_checkstack(box->lua, SL_EXPRESSIONS_MAX + SL_SCAN_NAMES + 8)) {
        sl_box_close(&box);
        return SLUICE_E_NOMEM;
    }
    *out = box;
    return SLUICE_OK;
}

void sl_box_close(sl_box **box_p)
{
    if (*box_p != NULL) {
        if ((*box_p)->lua != NULL) {
            lua_close((*box_p)->lua);
        }
        free(*box_p);
        *box_p = NULL;
    }
}

/* --- running --- */

static void push_value(lua_State *lua, const sl_value *value)
{
    switch (value->type) {
    case SL_VALUE_NIL:
        lua_pushnil(lua);
        break;
    case SL_VALUE_BOOLEAN:
        lua_pushboolean(lua, value->truth);
        break;
    case SL_VALUE_NUMBER:
        lua_pushnumber(lua, value->number);
        break;
    case SL_VALUE_TEXT:
        lua_pushlstring(lua, value->text.size > 0 ? (const char *)value->text.data : "",
                        value->text.size);
        break;
    }
}

static void push_call(sl_box *box, uint32_t number, const sl_facts *facts)
{
    const expression *self = &box->expression[number];
    lua_pushvalue(box->lua, (int)number + 1);
    for (uint32_t i = 0; i < self->n_names; i++) {
        sl_value value = sl_name_value(box->names, &self->name[i], facts);
        push_value(box->lua, &value);
    }
}

typedef struct protected_call {
    sl_box *box;
    uint32_t number;
    const sl_facts *facts;
} protected_call;

/* Its stack is its own: the expression comes along as an argument. */
static int run_protected(lua_State *lua)
{
    const protected_call *call = lua_touserdata(lua, 1);
    const expression *self = &call->box->expression[call->number];
    for (uint32_t i = 0; i < self->n_names; i++) {
        sl_value value = sl_name_value(call->box->names, &self->name[i], call->facts);
        push_value(lua, &value);
    }
    lua_call(lua, (int)self->n_names, 1);
    return 1;
}

static int call(sl_box *box, uint32_t number, const sl_facts *facts)
{
    if (!box->expression[number].has_text) {
        push_call(box, number, facts);
        return lua_pcall(box->lua, (int)box->expression[number].n_names, 1, 0);
    }
    protected_call inner = {box, number, facts};
    lua_pushcfunction(box->lua, run_protected);
    lua_pushlightuserdata(box->lua, &inner);
    lua_pushvalue(box->lua, (int)number + 1);
    return lua_pcall(box->lua, 2, 1, 0);
}

/* Lua's own words without the place it thinks they are at. */
static void tell(lua_State *lua, sluice_message *message)
{
    const char *text = lua_type(lua, -1) == LUA_TSTRING ? lua_tostring(lua, -1) : "no memory";
    const char *behind = strstr(text, ":1: ");
    (void)sluice_fail(message, SLUICE_OK, "%.200s", behind != NULL ? behind + 4 : text);
}

sl_outcome sl_expression_run(sl_box *box, uint32_t number, const sl_facts *facts, double *value,
                             sluice_message *fault)
{
    lua_State *lua = box->lua;
    sl_outcome outcome = SL_OUTCOME_FAULT;
    if (call(box, number, facts) != LUA_OK) {
        tell(lua, fault);
    } else if (lua_isnil(lua, -1) || lua_isboolean(lua, -1)) {
        outcome = lua_toboolean(lua, -1) ? SL_OUTCOME_TRUE : SL_OUTCOME_FALSE;
    } else if (lua_type(lua, -1) == LUA_TNUMBER) {
        *value = lua_tonumber(lua, -1);
        outcome = SL_OUTCOME_NUMBER;
    } else {
        outcome = SL_OUTCOME_TEXT;
    }
    lua_pop(lua, 1);
    return outcome;
}

/* --- compiling --- */

typedef struct chunk {
    const char *text;
    size_t size;
} chunk;

static int load_protected(lua_State *lua)
{
    const chunk *source = lua_touserdata(lua, 1);
    if (luaL_loadbufferx(lua, source->text, source->size, "=", "t") != LUA_OK) {
        return lua_error(lua);
    }
    lua_call(lua, 0, 1);
    return 1;
}

/* A sample of which nothing is known, or everything. */
static void make_facts(bool full, sluice_sample *sample, sluice_span *attribute, sl_facts *facts)
{
    static const uint8_t x[] = "x";
    const sluice_span word = {x, 1};
    *sample = (sluice_sample){.cost = 1};
    sluice_scores *scores = &sample->scores;
    for (uint32_t i = 0; i < SL_NAMES_ATTRIBUTES; i++) {
        attribute[i] = full ? word : (sluice_span){NULL, 0};
    }
    if (full) {
        sample->source = sample->media_type = sample->payload = word;
        sample->arrived_us = 2000000;
        sample->event_time_us = 1000000;
        sample->match = (sluice_match){
            .method = SLUICE_METHOD_EXACT, .similarity = 1, .of_id = word, .of_source = word};
        scores->state = SLUICE_LIVE;
        scores->loss = scores->self = scores->leverage = scores->source_shift = 1;
        scores->reliability = scores->percentile.loss = scores->percentile.self = 1;
        scores->percentile.leverage = 1;
    }
    *facts = (sl_facts){sample, attribute, false};
}

/* Whether both runs give what is wanted. The one with nothing may stumble over a missing text; the
 * one with everything may not, for names have types that no sample changes. */
static bool try_out(sl_box *box, uint32_t number, sl_value_type wanted, sluice_message *fault)
{
    for (int full = 0; full < 2; full++) {
        sluice_sample sample;
        sluice_span attribute[SL_NAMES_ATTRIBUTES];
        sl_facts facts;
        double value = 0;
        make_facts(full == 1, &sample, attribute, &facts);
        sl_outcome outcome = sl_expression_run(box, number, &facts, &value, fault);
        bool truth = outcome == SL_OUTCOME_TRUE || outcome == SL_OUTCOME_FALSE;
        bool good = wanted == SL_VALUE_NUMBER ? outcome == SL_OUTCOME_NUMBER : truth;
        if (outcome == SL_OUTCOME_FAULT && full == 1) {
            return false;
        }
        if (outcome != SL_OUTCOME_FAULT && !good) {
            const char *expected =
                wanted == SL_VALUE_NUMBER ? "a number" : "a comparison, which gives true or false";
            const char *given = outcome == SL_OUTCOME_NUMBER ? "a number" : "a text";
            (void)sluice_fail(fault, SLUICE_OK, "it gives %s; expected %s",
                              truth ? "true or false" : given, expected);
            return false;
        }
    }
    return true;
}

static void take_names(expression *self, const sl_scanned *scanned)
{
    *self = (expression){.n_names = scanned->n_names};
    for (uint32_t i = 0; i < scanned->n_names; i++) {
        sl_name_kind kind = scanned->name[i].kind;
        self->name[i] = scanned->name[i];
        self->has_text = self->has_text || sl_name_type(kind) == SL_VALUE_TEXT;
        self->tests_duplicate = self->tests_duplicate || kind <= SL_NAME_DUPLICATE_SOURCE;
    }
}

sluice_status sl_expression_compile(sl_box *box, const char *text, sl_names *names,
                                    sl_value_type wanted, uint32_t *number,
                                    sl_expression_fault *fault)
{
    sl_scanned scanned;
    char source[2 * sizeof scanned.body + 64];
    *number = box->n;
    box->names = names;
    SLUICE_ASSERT(box->n < SL_EXPRESSIONS_MAX);
    if (!sl_scan_expression(text, names, &scanned, fault)) {
        return SLUICE_E_CONFIG;
    }
    int size = snprintf(source, sizeof source, "return function(%s) return (%s) end",
                        scanned.parameters, scanned.body);
    chunk whole = {source, (size_t)size};
    lua_pushcfunction(box->lua, load_protected);
    lua_pushlightuserdata(box->lua, &whole);
    if (lua_pcall(box->lua, 1, 1, 0) != LUA_OK) {
        tell(box->lua, &fault->text);
        lua_pop(box->lua, 1);
        return SLUICE_E_CONFIG;
    }
    take_names(&box->expression[box->n], &scanned);
    if (!try_out(box, box->n, wanted, &fault->text)) {
        lua_pop(box->lua, 1);
        return SLUICE_E_CONFIG;
    }
    box->n++;
    return SLUICE_OK;
}

bool sl_expression_tests_duplicate(const sl_box *box, uint32_t number)
{
    return box->expression[number].tests_duplicate;
}
