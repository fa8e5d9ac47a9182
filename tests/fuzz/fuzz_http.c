/* fuzz_http.c - any request at a small real state: an answer that is well formed, and no markup. */
#include "watch/api.h"
#include "bytes.h"
#include "record.h"
#include "watch/page.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static sluice_config config;
static sl_api *api;
static sl_api *guarded; /* with a token */
static sl_ring *to_estimator, *to_ingest;

static void check(sluice_status status)
{
    SLUICE_ASSERT(status == SLUICE_OK);
}

/* A sample of the log as filters write it. */
static void put_sample(sluice_bytes *wire, const char *id, const char *media_type,
                       const char *payload)
{
    const struct {
        uint8_t tag;
        const char *text;
    } fields[] = {{0x0a, id}, {0x12, "<b>s"}, {0x22, payload}, {0x2a, media_type}};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        size_t length = strlen(fields[i].text);
        check(sl_bytes_put_u8(wire, fields[i].tag));
        check(sl_bytes_put_varint(wire, length));
        check(sl_bytes_append(wire, fields[i].text, length));
    }
}

/* The files stay open; their names need not stay. */
static void remove_names(const char *folder)
{
    static const char *const names[] = {"lock", "data.mdb", "lock.mdb"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char path[64];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
}

static sl_spool *open_spool(void)
{
    static char folder[] = "/tmp/fuzz-http-XXXXXX";
    SLUICE_ASSERT(mkdtemp(folder) != NULL);
    sl_spool_options options = {.path = folder, .max_bytes = 1 << 20, .rows_bytes = 1 << 20};
    sl_spool *spool;
    sluice_message why;
    check(sl_spool_open(&options, &spool, &why));
    static const char *const id[3] = {"a", "b/c", "<script>"};
    static const char *const type[3] = {"text/plain", "", "image/png"};
    static const sluice_decision decision[3] = {SLUICE_KEEP, SLUICE_DROP, SLUICE_KEEP};
    sl_spool_sample samples[3];
    sluice_bytes wire[3] = {{0}}, note[3] = {{0}};
    for (uint32_t i = 0; i < 3; i++) {
        put_sample(&wire[i], id[i], type[i], "<script>alert(1)</script>&");
        sluice_sample sample = {
            .offset = i, .id = sl_span_of(id[i]), .verdict = {.decision = decision[i]}};
        if (decision[i] == SLUICE_DROP) {
            sample.match = (sluice_match){.method = SLUICE_METHOD_TEXT,
                                          .similarity = 0.5F,
                                          .of_id = sl_span_of("a"),
                                          .of_source = sl_span_of("<b>s")};
        }
        check(sl_record_annotate(&sample, &note[i]));
        samples[i] = (sl_spool_sample){.offset = i,
                                       .arrived_us = 1,
                                       .decision = decision[i],
                                       .wire = {wire[i].data, wire[i].size},
                                       .annotation = {note[i].data, note[i].size}};
    }
    sl_spool_producer producer = {.name = "<p>", .next_sequence = 3, .received = 3, .kept = 3};
    sl_spool_group group = {.name = "g\"\\\n"};
    sl_spool_write write = {.samples = samples,
                            .n_samples = 3,
                            .producers = &producer,
                            .n_producers = 1,
                            .groups = &group,
                            .n_groups = 1};
    check(sl_spool_append(spool, &write, &why));
    remove_names(folder);
    for (uint32_t i = 0; i < 3; i++) {
        sl_bytes_fini(&wire[i]);
        sl_bytes_fini(&note[i]);
    }
    return spool;
}

static sl_api *open_api(sl_spool *spool, const char *token)
{
    static sl_view_meters meters;
    static sluice_config *_Atomic live;
    sluice_message why = {""};
    sluice_engine *engine;
    sl_observer *observer;
    sl_api *out;
    snprintf(config.security.http_token, sizeof config.security.http_token, "%s", token);
    check(sluice_engine_open(&config, &engine, &why));
    check(sl_observer_open(&observer));
    sl_observer_publish(observer, engine);
    sluice_engine_close(&engine);
    sl_api_options options = {.view = {.config = &config,
                                       .spool = spool,
                                       .observer = observer,
                                       .meters = &meters,
                                       .live = &live},
                              .estimator = to_estimator,
                              .ingest = to_ingest};
    check(sl_api_open(&options, &out, &why));
    sl_api_tick(out, sl_view_clock_us());
    return out;
}

static void open_all(void)
{
    char path[] = "/tmp/fuzz-http-token-XXXXXX";
    int fd = mkstemp(path);
    SLUICE_ASSERT(fd >= 0 && write(fd, "0123456789abcdef\n", 17) == 17);
    close(fd);
    sluice_config_default(&config);
    config.duplicate.exact_memory = config.duplicate.text_memory = 1 << 20;
    config.duplicate.image_memory = 1 << 20;
    snprintf(config.listen.http, sizeof config.listen.http, "127.0.0.1:9570");
    check(sl_ring_open(8, false, &to_estimator));
    check(sl_ring_open(8, false, &to_ingest));
    sl_spool *spool = open_spool();
    guarded = open_api(spool, path);
    api = open_api(spool, "");
    unlink(path);
}

static void look_at(const sl_answer *answer)
{
    SLUICE_ASSERT(answer->code >= 200 && answer->code < 600 && answer->type != NULL);
    if (strncmp(answer->type, "application/json", 16) == 0) {
        json_t *value = json_loadb((const char *)answer->body.data, answer->body.size, 0, NULL);
        SLUICE_ASSERT(value != NULL);
        json_decref(value);
        for (size_t i = 0; i < answer->body.size; i++) {
            SLUICE_ASSERT(answer->body.data[i] != '<' && answer->body.data[i] != '>');
        }
    }
    if (strstr(answer->type, "html") != NULL) { /* the page itself, which holds no data */
        sluice_span page = {0};
        const char *type;
        SLUICE_ASSERT(sl_page_file("/", &page, &type) && answer->body.size == page.size);
        SLUICE_ASSERT(memcmp(answer->body.data, page.data, page.size) == 0);
    }
}

/* What estimator and ingest would do, by turns well and badly. */
static void work(void)
{
    static uint32_t turn;
    for (sl_job *job = sl_ring_try_pop(to_estimator); job != NULL;
         job = sl_ring_try_pop(to_estimator)) {
        if (job->back != NULL) {
            SLUICE_ASSERT(job->kind == SL_JOB_FORGET && job->wanted->id[0] != '\0');
            job->forgotten = (sl_forgotten){turn % 3, 1, 3};
            job->code = turn++ % 4 == 3 ? SL_CODE_TOO_LARGE : SL_CODE_UNSPECIFIED;
            atomic_store(job->back, true);
        }
    }
    for (sl_job *job = sl_ring_try_pop(to_ingest); job != NULL; job = sl_ring_try_pop(to_ingest)) {
        sluice_message why;
        SLUICE_ASSERT(job->kind == SL_JOB_RESTORE);
        check(sluice_batch_decode(job->batch, job->bytes, &why));
        SLUICE_ASSERT(job->batch->n_samples == 1);
        job->batch->samples[0].offset = 3;
        job->batch->samples[0].match.redelivered = turn++ % 2 == 1;
        atomic_store(job->back, true);
    }
}

static void ask(sl_api *of, const sl_request_head *head)
{
    sl_answer answer;
    sl_api_answer(of, head, &answer);
    if (answer.kind == SL_ANSWER_ORDER) {
        while (!sl_order_step(answer.order, sl_view_clock_us(), 1000)) {
            work();
        }
        sl_api_done(of, &answer);
    }
    if (answer.kind == SL_ANSWER_SEARCH) {
        while (!sl_search_step(answer.search, 1000)) {
        }
        sl_api_found(of, &answer);
    }
    look_at(&answer);
    if (answer.kind == SL_ANSWER_TAP) {
        char events[4096];
        while (sl_watcher_take(answer.watcher, events, sizeof events) > 0) {
        }
    }
    sl_api_leave(of, &answer);
}

/* Lines: method, uri, host, authorization, origin, content type, Sec-Fetch-Site, X-Sluice; then the
 * body. What is missing is not said. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (api == NULL) {
        open_all();
    }
    char *text = malloc(size + 1);
    SLUICE_ASSERT(text != NULL);
    if (size > 0) {
        memcpy(text, data, size);
    }
    text[size] = '\0';
    char *line[8] = {NULL};
    char *rest = text;
    for (int i = 0; i < 8 && rest != NULL; i++) {
        line[i] = strsep(&rest, "\n");
    }
    size_t body = rest != NULL ? size - (size_t)(rest - text) : 0;
    size_t taken = body < SL_REQUEST_BODY_BYTES ? body : SL_REQUEST_BODY_BYTES;
    const sl_request_head head = {.method = line[0],
                                  .uri = line[1] != NULL ? line[1] : "",
                                  .host = line[2],
                                  .authorization = line[3],
                                  .origin = line[4],
                                  .content_type = line[5],
                                  .fetch_site = line[6],
                                  .x_sluice = line[7],
                                  .body = {(const uint8_t *)rest, taken},
                                  .cut = taken < body};
    ask(api, &head);
    ask(guarded, &head);
    free(text);
    return 0;
}
