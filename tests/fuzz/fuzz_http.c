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
    sl_spool_sample samples[3];
    sluice_bytes wire[3] = {{0}}, note[3] = {{0}};
    for (uint32_t i = 0; i < 3; i++) {
        put_sample(&wire[i], id[i], type[i], "<script>alert(1)</script>&");
        sluice_sample sample = {.offset = i, .id = sl_span_of(id[i])};
        check(sl_record_annotate(&sample, &note[i]));
        samples[i] = (sl_spool_sample){.offset = i,
                                       .arrived_us = 1,
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
                                       .live = &live}};
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

static void ask(sl_api *of, const char *method, const char *uri, const char *host,
                const char *authorization)
{
    sl_answer answer;
    sl_api_answer(of, method, uri, host, authorization, &answer);
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

/* Lines: method, uri, host, authorization; what is missing is not said. */
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
    char *line[4] = {NULL};
    char *rest = text;
    for (int i = 0; i < 4 && rest != NULL; i++) {
        line[i] = strsep(&rest, "\n");
    }
    const char *uri = line[1] != NULL ? line[1] : "";
    ask(api, line[0], uri, line[2], line[3]);
    ask(guarded, line[0], uri, line[2], line[3]);
    free(text);
    return 0;
}
