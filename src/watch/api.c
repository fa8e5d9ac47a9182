/* api.c - what is answered to one HTTP request; no socket here.
 *
 *   method, uri, host, authorization -> may it be answered? -> table of paths -> JSON, metrics
 *                                       400 403 401 404 405 414
 *
 * Why nothing here waits: one thread answers everybody. What takes long (explain without an offset)
 * is given back as a search, which http.c steps between other answers.
 * Why no payload is ever markup: it leaves as a JSON string, < > & escaped, with a type that a
 * browser must not guess at; a picture leaves re-encoded by us. */
#include "watch/api.h"
#include "bytes.h"
#include "watch/metrics.h"
#include "watch/page.h"
#include "watch/pages.h"
#include "watch/recent.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define STALLED_US      (10 * INT64_C(1000000)) /* the estimator has not answered for so long */
#define JSON_TYPE       "application/json; charset=utf-8"
#define METRICS_TYPE    "text/plain; version=0.0.4; charset=utf-8"
#define EXPLAIN_PATH    "/api/v1/explain/"
#define PICTURE_PATH    "/api/v1/thumbnail/"
#define DEPENDENTS_PATH "/api/v1/dependents/"
#define RESTORE_PATH    "/api/v1/restore/"
#define FORGET_PATH     "/api/v1/forget/"

struct sl_api {
    sl_api_options options;
    sl_view *view;
    sl_tap *tap;
    sl_recent *recent;
    sl_changes *changes;
    sl_search *search;                      /* that is under way; owned by its answer */
    char token[SL_REQUEST_TOKEN_BYTES + 2]; /* "" = none */
    sluice_bytes scratch;
};

/* --- open, close --- */

static sluice_status read_token(const char *path, char *token, sluice_message *why)
{
    if (path[0] == '\0') {
        return SLUICE_OK;
    }
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return sluice_fail(why, SLUICE_E_CONFIG, "security.http_token: cannot open %s: %s", path,
                           strerror(errno));
    }
    size_t size = fread(token, 1, SL_REQUEST_TOKEN_BYTES + 1, file);
    fclose(file);
    token[size] = '\0';
    size_t line = strcspn(token, "\r\n");
    token[line] = '\0';
    bool plain = strlen(token) == line && strspn(token, "\r\n \t") == 0;
    for (size_t i = 0; i < line; i++) {
        plain = plain && token[i] > ' ' && token[i] < 127;
    }
    if (!plain || line < SL_REQUEST_TOKEN_LEAST || line > SL_REQUEST_TOKEN_BYTES) {
        return sluice_fail(why, SLUICE_E_CONFIG,
                           "security.http_token: the first line of %s must be a token of %d to %d "
                           "visible ASCII characters (openssl rand -hex 32)",
                           path, SL_REQUEST_TOKEN_LEAST, SL_REQUEST_TOKEN_BYTES);
    }
    return SLUICE_OK;
}

sluice_status sl_api_open(const sl_api_options *options, sl_api **out, sluice_message *why)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL) {
        return sluice_fail(why, SLUICE_E_NOMEM, "no memory for listen.http");
    }
    (*out)->options = *options;
    const sluice_config *config = options->view.config;
    sluice_status status = read_token(config->security.http_token, (*out)->token, why);
    status = status == SLUICE_OK ? sl_view_open(&options->view, &(*out)->view, why) : status;
    status = status == SLUICE_OK ? sl_tap_open(&(*out)->tap) : status;
    status = status == SLUICE_OK ? sl_recent_open(options->view.spool, (*out)->tap, &(*out)->recent)
                                 : status;
    sl_changes_options changes = {.spool = options->view.spool,
                                  .meters = options->view.meters,
                                  .estimator = options->estimator,
                                  .ingest = options->ingest};
    status = status == SLUICE_OK ? sl_changes_open(&changes, &(*out)->changes) : status;
    if (status != SLUICE_OK) {
        sl_api_close(out);
    }
    return status;
}

void sl_api_close(sl_api **api_p)
{
    if (*api_p != NULL) {
        sl_changes_close(&(*api_p)->changes);
        sl_recent_close(&(*api_p)->recent);
        sl_tap_close(&(*api_p)->tap);
        sl_view_close(&(*api_p)->view);
        sl_bytes_fini(&(*api_p)->scratch);
        free(*api_p);
        *api_p = NULL;
    }
}

void sl_api_tick(sl_api *api, int64_t now_us)
{
    /* First looks at what the last wish brought: the next one may be answered at once, and what it
     * replaces, perhaps with a portfolio, would never have been seen. */
    const sl_snapshot *snapshot = sl_view_look(api->view);
    sl_recent_advance(api->recent, &snapshot->tallies, now_us);
    sl_job *job =
        api->options.estimator != NULL ? sl_observer_ask(api->options.view.observer) : NULL;
    if (job != NULL) {
        sl_ring_push(api->options.estimator, job);
    }
}

/* --- answers --- */

static void answer_body(sl_answer *answer, uint32_t code, const char *type)
{
    answer->kind = SL_ANSWER_BODY;
    answer->code = code;
    answer->type = type;
}

void sl_api_refuse(sl_answer *answer, uint32_t code, const char *text)
{
    sl_bytes_clear(&answer->body);
    sl_object object = sl_object_of(&answer->body);
    sl_object_open(&object, NULL, '{');
    sl_object_text(&object, "error", text);
    sl_object_close(&object, '}');
    answer_body(answer, code, JSON_TYPE);
}

/* The value in scratch, without anything that a browser could take for a tag. */
static void answer_json(sl_api *api, sl_answer *answer, sluice_status status)
{
    sluice_span json = {api->scratch.data, api->scratch.size};
    sl_bytes_clear(&answer->body);
    if (status != SLUICE_OK || sl_object_defuse(json, &answer->body) != SLUICE_OK) {
        sl_api_refuse(answer, 500, "the state cannot be read now; the log says why");
        return;
    }
    answer_body(answer, 200, JSON_TYPE);
}

static sl_pages pages_of(sl_api *api)
{
    return (sl_pages){.view = api->view, .recent = api->recent, .tap = api->tap};
}

static bool is_ready(const sl_view *view, const char **why)
{
    bool stalled = view->now_us - view->snapshot->at_us > STALLED_US;
    bool full = view->extent.log_bytes >= view->extent.max_bytes;
    *why = stalled ? "the estimator has not answered for 10 s"
           : full  ? "the log is full and a consumer group holds it: producers are held back"
                   : "";
    return !stalled && !full;
}

static void answer_alive(sl_api *api, const sl_request *request, sl_answer *answer)
{
    (void)request;
    sl_object object = sl_object_of(&api->scratch);
    sl_object_open(&object, NULL, '{');
    sl_object_bool(&object, "live", true);
    sl_object_close(&object, '}');
    answer_json(api, answer, object.status);
}

static void answer_ready(sl_api *api, const sl_request *request, sl_answer *answer)
{
    (void)request;
    const char *why;
    bool ready = is_ready(api->view, &why);
    sl_object object = sl_object_of(&api->scratch);
    sl_object_open(&object, NULL, '{');
    sl_object_bool(&object, "ready", ready);
    sl_object_text(&object, "why", why);
    sl_object_close(&object, '}');
    answer_json(api, answer, object.status);
    answer->code = answer->code == 200 && !ready ? 503 : answer->code;
}

static void answer_metrics(sl_api *api, const sl_request *request, sl_answer *answer)
{
    (void)request;
    if (sl_metrics_write(api->view, &answer->body) != SLUICE_OK) {
        sl_api_refuse(answer, 500, "no memory");
        return;
    }
    answer_body(answer, 200, METRICS_TYPE);
}

static void answer_status(sl_api *api, const sl_request *request, sl_answer *answer)
{
    (void)request;
    const char *why;
    sl_pages pages = pages_of(api);
    bool ready = is_ready(api->view, &why);
    answer_json(api, answer, sl_pages_status(&pages, ready, &api->scratch));
}

static void answer_portfolio(sl_api *api, const sl_request *request, sl_answer *answer)
{
    (void)request;
    sl_pages pages = pages_of(api);
    answer_json(api, answer, sl_pages_portfolio(&pages, &api->scratch));
}

static void answer_alerts(sl_api *api, const sl_request *request, sl_answer *answer)
{
    (void)request;
    sl_pages pages = pages_of(api);
    answer_json(api, answer, sl_pages_alerts(&pages, &api->scratch));
}

static void answer_config(sl_api *api, const sl_request *request, sl_answer *answer)
{
    (void)request;
    sl_pages pages = pages_of(api);
    answer_json(api, answer, sl_pages_config(&pages, &api->scratch));
}

static void answer_duplicates(sl_api *api, const sl_request *request, sl_answer *answer)
{
    sl_pages pages = pages_of(api);
    uint32_t n = (uint32_t)sl_request_count(request, "n", 20, SL_PAGES_ROWS);
    answer_json(api, answer, sl_pages_duplicates(&pages, n, &api->scratch));
}

static void answer_top(sl_api *api, const sl_request *request, sl_answer *answer)
{
    sl_pages pages = pages_of(api);
    uint32_t n = (uint32_t)sl_request_count(request, "n", 20, SL_PAGES_ROWS);
    char by[80] = "self", order[8] = "desc";
    (void)sl_request_query(request, "by", by, sizeof by);
    (void)sl_request_query(request, "order", order, sizeof order);
    sluice_status status = sl_pages_top(&pages, by, strcmp(order, "asc") == 0, n, &api->scratch);
    if (status == SLUICE_E_BADSAMPLE) {
        sl_api_refuse(answer, 400,
                      "by is self, loss, leverage, source_shift or toward.NAME of a reference");
        return;
    }
    answer_json(api, answer, status);
}

static void answer_recent(sl_api *api, const sl_request *request, sl_answer *answer)
{
    (void)request;
    sl_pages pages = pages_of(api);
    answer_json(api, answer, sl_pages_recent(&pages, &api->scratch));
}

/* --- the tap --- */

static uint32_t decision_bit(const char *word)
{
    for (int i = 0; i < SLUICE_N_DECISIONS; i++) {
        if (strcmp(word, sl_record_decision_name((sluice_decision)i)) == 0) {
            return 1u << i;
        }
    }
    return 0;
}

static uint32_t method_bit(const char *word)
{
    for (int i = SLUICE_METHOD_NONE + 1; i < SLUICE_N_METHODS; i++) {
        if (strcmp(word, sl_record_method_name((sluice_method)i)) == 0) {
            return 1u << i;
        }
    }
    return 0;
}

static void answer_tap(sl_api *api, const sl_request *request, sl_answer *answer)
{
    sl_tap_filter filter = {0};
    char word[16];
    if (sl_request_query(request, "decision", word, sizeof word) && word[0] != '\0') {
        filter.decisions = decision_bit(word);
        if (filter.decisions == 0) {
            sl_api_refuse(answer, 400, "decision is keep, flag, drop or refuse");
            return;
        }
    }
    if (sl_request_query(request, "method", word, sizeof word) && word[0] != '\0') {
        filter.methods = method_bit(word);
        if (filter.methods == 0) {
            sl_api_refuse(answer, 400, "method is exact, text, image or embedding");
            return;
        }
    }
    filter.by_source = sl_request_query(request, "source", filter.source, sizeof filter.source) &&
                       filter.source[0] != '\0';
    answer->watcher = sl_tap_join(api->tap, &filter, sl_view_clock_us());
    if (answer->watcher == NULL) {
        sl_api_refuse(answer, 503, "16 watchers are connected already");
        return;
    }
    answer_body(answer, 200, "text/event-stream; charset=utf-8");
    answer->kind = SL_ANSWER_TAP;
}

/* --- one sample --- */

static void answer_at_offset(sl_api *api, const char *id, uint64_t offset, sl_answer *answer)
{
    sl_pages pages = pages_of(api);
    sluice_status status = sl_pages_explain(&pages, id, offset, &api->scratch);
    if (status == SLUICE_E_AGAIN) {
        sl_api_refuse(answer, 404, "no sample of this id at this offset");
        return;
    }
    answer_json(api, answer, status);
}

static void answer_busy(sl_answer *answer, const char *text)
{
    sl_api_refuse(answer, 503, text);
    answer->header = "Retry-After";
    answer->value = "1";
}

static void begin_search(sl_api *api, sl_search_for what, const char *id, sl_answer *answer)
{
    if (id[0] == '\0' || strlen(id) > SLUICE_LIMIT_ID_BYTES) {
        sl_api_refuse(answer, 400, "an id has 1 to 256 bytes");
    } else if (api->search != NULL) {
        answer_busy(answer, "another search is under way; ?offset=N needs none");
    } else if (sl_search_open(api->options.view.spool, what, id, 0, &answer->search) != SLUICE_OK) {
        sl_api_refuse(answer, 500, "no memory");
    } else {
        api->search = answer->search;
        answer->kind = SL_ANSWER_SEARCH;
    }
}

static void answer_explain(sl_api *api, const sl_request *request, sl_answer *answer)
{
    const char *id = request->path + strlen(EXPLAIN_PATH);
    uint64_t offset = sl_request_count(request, "offset", UINT64_MAX, UINT64_MAX);
    if (offset != UINT64_MAX && id[0] != '\0' && strlen(id) <= SLUICE_LIMIT_ID_BYTES) {
        answer_at_offset(api, id, offset, answer);
    } else {
        begin_search(api, SL_SEARCH_RECORDS, id, answer);
    }
}

static void answer_dependents(sl_api *api, const sl_request *request, sl_answer *answer)
{
    begin_search(api, SL_SEARCH_REPRESENTED, request->path + strlen(DEPENDENTS_PATH), answer);
}

/* --- changes --- */

static void begin_change(sl_api *api, sl_change what, const char *id, const sl_request *request,
                         sl_answer *answer)
{
    sluice_message why = {""};
    uint32_t code =
        sl_changes_begin(api->changes, what, id, request->head.body, &answer->order, &why);
    answer->kind = SL_ANSWER_ORDER;
    if (code == 503) {
        answer_busy(answer, why.text);
    } else if (code != 0) {
        sl_api_refuse(answer, code, why.text);
    }
}

static void answer_restore(sl_api *api, const sl_request *request, sl_answer *answer)
{
    const char *id = request->path + strlen(RESTORE_PATH);
    begin_change(api, SL_CHANGE_RESTORE, id, request, answer);
}

static void answer_forget(sl_api *api, const sl_request *request, sl_answer *answer)
{
    const char *id = request->path + strlen(FORGET_PATH);
    begin_change(api, SL_CHANGE_FORGET, id, request, answer);
}

void sl_api_done(sl_api *api, sl_answer *answer)
{
    sl_bytes_clear(&api->scratch);
    uint32_t code = sl_order_write(answer->order, &api->scratch);
    answer_json(api, answer, SLUICE_OK);
    answer->code = answer->code == 200 ? code : answer->code;
    sl_order_leave(&answer->order);
}

void sl_api_found(sl_api *api, sl_answer *answer)
{
    uint32_t n_found = 0;
    sl_bytes_clear(&api->scratch);
    sluice_status status = sl_search_write(answer->search, &api->scratch, &n_found);
    answer_json(api, answer, status);
    bool none = n_found == 0 && sl_search_is_for_records(answer->search);
    answer->code = answer->code == 200 && none ? 404 : answer->code;
    api->search = NULL;
    sl_search_close(&answer->search);
}

static void answer_thumbnail(sl_api *api, const sl_request *request, sl_answer *answer)
{
    const char *digits = request->path + strlen(PICTURE_PATH);
    if (digits[0] == '\0' || strlen(digits) > 19 ||
        strspn(digits, "0123456789") != strlen(digits)) {
        sl_api_refuse(answer, 400, "a thumbnail is named by an offset");
        return;
    }
    sl_pages pages = pages_of(api);
    sluice_status status = sl_pages_thumbnail(&pages, strtoull(digits, NULL, 10), &answer->body);
    if (status != SLUICE_OK) {
        sl_api_refuse(answer, status == SLUICE_E_NOMEM ? 500 : 404,
                      "the log holds no picture at this offset that can be decoded");
        return;
    }
    answer_body(answer, 200, "image/png");
}

static void answer_page(sl_api *api, const sl_request *request, sl_answer *answer)
{
    (void)api;
    sluice_span file = {0};
    const char *type = NULL;
    if (!sl_page_file(request->path, &file, &type)) {
        sl_api_refuse(answer, 404, "nothing is here");
    } else if (sl_bytes_append(&answer->body, file.data, file.size) != SLUICE_OK) {
        sl_api_refuse(answer, 500, "no memory");
    } else {
        answer_body(answer, 200, type);
    }
}

/* --- the table of paths --- */

static const struct route {
    const char *path;
    bool prefix; /* more follows */
    bool open;   /* answered without the token: says nothing of samples */
    bool looks;  /* needs the numbers of this moment */
    bool posts;  /* POST alone: it changes something */
    void (*answer)(sl_api *api, const sl_request *request, sl_answer *answer);
} routes[] = {
    {"/", false, false, false, false, answer_page},
    {"/icon.svg", false, false, false, false, answer_page},
    {"/page.css", false, false, false, false, answer_page},
    {"/chart.js", false, false, false, false, answer_page},
    {"/draw.js", false, false, false, false, answer_page},
    {"/live.js", false, false, false, false, answer_page},
    {"/page.js", false, false, false, false, answer_page},
    {"/metrics", false, false, true, false, answer_metrics},
    {"/livez", false, true, false, false, answer_alive},
    {"/readyz", false, true, true, false, answer_ready},
    {"/api/v1/status", false, false, true, false, answer_status},
    {"/api/v1/portfolio", false, false, true, false, answer_portfolio},
    {"/api/v1/duplicates", false, false, true, false, answer_duplicates},
    {"/api/v1/top", false, false, true, false, answer_top},
    {"/api/v1/recent", false, false, false, false, answer_recent},
    {"/api/v1/alerts", false, false, true, false, answer_alerts},
    {"/api/v1/config", false, false, true, false, answer_config},
    {"/api/v1/tap", false, false, false, false, answer_tap},
    {EXPLAIN_PATH, true, false, false, false, answer_explain},
    {PICTURE_PATH, true, false, false, false, answer_thumbnail},
    {DEPENDENTS_PATH, true, false, false, false, answer_dependents},
    {RESTORE_PATH, true, false, false, true, answer_restore},
    {FORGET_PATH, true, false, false, true, answer_forget},
};

static const struct route *route_of(const char *path)
{
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        const struct route *route = &routes[i];
        if (route->prefix ? strncmp(path, route->path, strlen(route->path)) == 0
                          : strcmp(path, route->path) == 0) {
            return route;
        }
    }
    return NULL;
}

static bool may_change(const sl_api *api, const sl_request *request, sl_answer *answer)
{
    const char *why = "";
    uint32_t code = sl_request_may_change(request, &why);
    if (code == 0 && api->token[0] == '\0' &&
        !sl_request_is_loopback(api->options.view.config->listen.http)) {
        code = 403;
        why = "to change something, security.http_token is needed, or listen.http on a loopback "
              "address";
    }
    if (code != 0) {
        sl_api_refuse(answer, code, why);
    }
    return code == 0;
}

/* False: the refusal was answered. */
static bool may_ask(sl_api *api, const sl_request *request, const struct route *route,
                    sl_answer *answer)
{
    const char *listen = api->options.view.config->listen.http;
    bool has_token = api->token[0] != '\0';
    const char *host = request->head.host;
    if (!has_token && (host == NULL || !sl_request_host_is_ours(host, listen))) {
        sl_api_refuse(answer, 403,
                      "the Host header must be an address, localhost or the name in listen.http");
        return false;
    }
    if (has_token && (route == NULL || !route->open) &&
        !sl_request_has_token(request->head.authorization, api->token)) {
        sl_api_refuse(answer, 401, "this filter asks for the token of security.http_token");
        answer->header = "WWW-Authenticate";
        answer->value = "Basic realm=\"sluice\", charset=\"UTF-8\"";
        return false;
    }
    if (route == NULL) {
        sl_api_refuse(answer, 404,
                      "nothing is here; deploy/docs/operations.md lists what there is");
        return false;
    }
    if (route->posts ? !request->posts : !request->reads) {
        sl_api_refuse(answer, 405, route->posts ? "POST only" : "GET and HEAD only");
        answer->header = "Allow";
        answer->value = route->posts ? "POST" : "GET, HEAD";
        return false;
    }
    return !route->posts || may_change(api, request, answer);
}

void sl_api_answer(sl_api *api, const sl_request_head *head, sl_answer *answer)
{
    *answer = (sl_answer){.kind = SL_ANSWER_BODY};
    sl_request request;
    sluice_message why = {""};
    uint32_t fault = sl_request_read(head, &request);
    const struct route *route = fault == 0 ? route_of(request.path) : NULL;
    if (fault != 0) {
        sl_api_refuse(answer, fault, fault == 414 ? "the path is too long" : "this is no path");
    } else if (may_ask(api, &request, route, answer)) {
        sl_bytes_clear(&api->scratch);
        if (route->looks && sl_view_gather(api->view, &why) != SLUICE_OK) {
            sl_api_refuse(answer, 500, why.text);
            return;
        }
        route->answer(api, &request, answer);
    }
}

void sl_api_leave(sl_api *api, sl_answer *answer)
{
    if (answer->watcher != NULL) {
        sl_tap_leave(api->tap, answer->watcher);
    }
    if (answer->search != NULL) {
        api->search = NULL;
        sl_search_close(&answer->search);
    }
    sl_order_leave(&answer->order);
    sl_bytes_fini(&answer->body);
    *answer = (sl_answer){.kind = SL_ANSWER_BODY};
}
