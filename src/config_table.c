/* config_table.c - every key of the configuration as one table.
 *
 *   sl_config_keys[]   in the order in which they are printed; a section comes before its keys
 *     -> config.c         reads YAML by it
 *     -> config_print.c   writes deploy/sluice.yaml by it
 *
 * Why keys without a field are here: a file written for a later version must fail by name, never be
 * half obeyed; at the default it is obeyed already. */
#include "config_table.h"
#include "nearest.h"

#include <string.h>

#define FIELD(member) offsetof(sluice_config, member)
#define LATER         SL_CONFIG_NO_FIELD
#define SECTION(n, d)                                                                              \
    {                                                                                              \
        .name = (n), .type = SL_CONFIG_SECTION, .offset = LATER, .doc = (d)                        \
    }

static const char *const boolean_words[] = {"false", "true", NULL};
static const char *const findings_words[] = {"best", "all", NULL};
static const char *const sync_words[] = {"group", "os", NULL};
static const char *const encoder_words[] = {"upstream", "builtin", "none", NULL};
static const char *const adapter_words[] = {"step", "fixed", NULL};
static const char *const tristate_words[] = {"auto", "false", "true", NULL}; /* sluice_tristate */
static const char *const profile_words[] = {"auto", "news",  "prose", "records", "code",
                                            "cjk",  "pages", "legal", NULL}; /* sluice_profile */
static const char *const image_profile_words[] = {"copies", "alike", NULL};

const sl_config_key sl_config_keys[] = {
    {"name", SL_CONFIG_STRING, FIELD(name), NULL, NULL, "sluice", NULL, NULL, SL_CONFIG_RESTART,
     "Name of this filter, in the log and in annotations."},
    {"state", SL_CONFIG_STRING, FIELD(state), NULL, NULL, "./sluice-state", NULL, NULL,
     SL_CONFIG_RESTART, "Directory of the durable state."},
    SECTION("listen", "Where to listen; \"\" = not at all. Loopback unless told otherwise."),
    {"listen.ingest", SL_CONFIG_ENDPOINT, FIELD(listen.ingest), NULL, NULL, "tcp://127.0.0.1:5570",
     NULL, NULL, SL_CONFIG_RESTART, "Producers put samples here and get them acknowledged."},
    {"listen.egress", SL_CONFIG_ENDPOINT, FIELD(listen.egress), NULL, NULL, "tcp://127.0.0.1:5571",
     NULL, NULL, SL_CONFIG_RESTART, "Consumers fetch kept samples here."},
    {"listen.http", SL_CONFIG_ADDRESS, FIELD(listen.http), NULL, NULL, "127.0.0.1:9570", NULL, NULL,
     SL_CONFIG_RESTART, "Metrics, API and dashboard."},
    {"listen.pull", SL_CONFIG_ENDPOINT, FIELD(listen.pull), NULL, NULL, "", NULL, NULL,
     SL_CONFIG_RESTART, "Plain PUSH senders connect here; what they lose before us stays lost."},
    {"listen.push", SL_CONFIG_ENDPOINT, FIELD(listen.push), NULL, NULL, "", NULL, NULL,
     SL_CONFIG_RESTART, "Plain PULL receivers connect here; what they lose stays lost."},
    SECTION("security", "CURVE keys. Needed as soon as a listener is not on loopback."),
    {"security.insecure", SL_CONFIG_SWITCH, FIELD(security.insecure), NULL, NULL, "false", NULL,
     boolean_words, SL_CONFIG_RESTART, "Listen beyond loopback without keys."},
    {"security.server_key", SL_CONFIG_STRING, FIELD(security.server_key), NULL, NULL, "", NULL,
     NULL, SL_CONFIG_RESTART, "File of this filter's own secret key (sluice keygen)."},
    {"security.clients", SL_CONFIG_STRING, FIELD(security.clients), NULL, NULL, "", NULL, NULL,
     SL_CONFIG_RESTART, "Folder of NAME.key: who may connect, and with which rights."},
    {"security.http_token", SL_CONFIG_STRING, FIELD(security.http_token), NULL, NULL, "", NULL,
     NULL, SL_CONFIG_RESTART,
     "File of the token that listen.http asks for; needed beyond loopback."},
    {"workers", SL_CONFIG_COUNT32, FIELD(workers), "1", "64", "1", NULL, NULL, SL_CONFIG_RESTART,
     "Feature threads. Verdicts do not depend on it."},
    {"seed", SL_CONFIG_COUNT, FIELD(seed), "0", "18446744073709551615", "1", NULL, NULL,
     SL_CONFIG_STATE, "Seed of every random choice: same input and seed, same verdicts."},
    {"encoder", SL_CONFIG_CHOICE, FIELD(encoder), NULL, NULL, "upstream", NULL, encoder_words,
     SL_CONFIG_STATE,
     "upstream: use the views that arrive; builtin: make weak ones where none arrive; none."},
    SECTION("duplicate", "Has this sample, or nearly this one, been kept already?"),
    {"duplicate.enabled", SL_CONFIG_SWITCH, FIELD(duplicate.enabled), NULL, NULL, "true", NULL,
     boolean_words, SL_CONFIG_STATE, "Look for duplicates at all."},
    {"duplicate.findings", SL_CONFIG_SWITCH, FIELD(duplicate.all_findings), NULL, NULL, "best",
     NULL, findings_words, SL_CONFIG_RESTART,
     "all: the record also names what the other methods found. Decisions do not depend on it."},
    SECTION("duplicate.window", "How far back a duplicate is found; 0 = whatever memory holds."),
    {"duplicate.window.samples", SL_CONFIG_COUNT, FIELD(duplicate.window_samples), "0",
     "1000000000000", "0", NULL, NULL, SL_CONFIG_STATE, "By count of samples."},
    {"duplicate.window.age", SL_CONFIG_DURATION, FIELD(duplicate.window_age_us), "0", "36500d", "0",
     NULL, NULL, SL_CONFIG_STATE, "By recorded time of arrival."},
    SECTION("duplicate.exact", "Equal bytes, or equal text once normalized."),
    {"duplicate.exact.memory", SL_CONFIG_SIZE, FIELD(duplicate.exact_memory), "1MiB", "1024GiB",
     "64MiB", NULL, NULL, SL_CONFIG_STATE, "Hard budget; the oldest are forgotten first."},
    SECTION("duplicate.text", "Texts that share most of their shingles."),
    {"duplicate.text.memory", SL_CONFIG_SIZE, FIELD(duplicate.text_memory), "1MiB", "1024GiB",
     "512MiB", NULL, NULL, SL_CONFIG_STATE, "Hard budget; the oldest are forgotten first."},
    {"duplicate.text.profile", SL_CONFIG_CHOICE, FIELD(duplicate.text_profile), NULL, NULL, "auto",
     NULL, profile_words, SL_CONFIG_STATE, "Which kind of text this is; auto decides by sample."},
    {"duplicate.text.shingle", SL_CONFIG_SHINGLE, FIELD(duplicate.text_shingle), NULL, NULL, "auto",
     NULL, NULL, SL_CONFIG_STATE, "w3: three words; t3: words and punctuation; c5: characters."},
    {"duplicate.text.threshold", SL_CONFIG_THRESHOLD, FIELD(duplicate.text_threshold), "0.05", "1",
     "auto", NULL, NULL, SL_CONFIG_STATE, "Share of common shingles (Jaccard) of a duplicate."},
    {"duplicate.text.fold_chinese", SL_CONFIG_CHOICE, FIELD(duplicate.text_fold_chinese), NULL,
     NULL, "auto", NULL, tristate_words, SL_CONFIG_STATE, "Compare Traditional as Simplified."},
    {"duplicate.text.containment", SL_CONFIG_THRESHOLD, FIELD(duplicate.text_containment), "0.3",
     "1", "auto", NULL, NULL, SL_CONFIG_STATE,
     "Share of a text that a longer kept one must have to be reported; auto = never looked for."},
    {"duplicate.text.weights", SL_CONFIG_CHOICE, FIELD(duplicate.text_weights), NULL, NULL, "auto",
     NULL, tristate_words, SL_CONFIG_STATE,
     "What the stream is full of counts less (boilerplate)."},
    {"duplicate.text.numbers", SL_CONFIG_CHOICE, FIELD(duplicate.text_numbers), NULL, NULL, "auto",
     NULL, tristate_words, SL_CONFIG_STATE,
     "Texts that differ in numbers alone are no duplicates."},
    SECTION("duplicate.image", "Images that look the same."),
    {"duplicate.image.memory", SL_CONFIG_SIZE, FIELD(duplicate.image_memory), "1MiB", "1024GiB",
     "128MiB", NULL, NULL, SL_CONFIG_STATE, "Hard budget; the oldest are forgotten first."},
    {"duplicate.image.profile", SL_CONFIG_CHOICE, FIELD(duplicate.image_profile), NULL, NULL,
     "copies", NULL, image_profile_words, SL_CONFIG_STATE,
     "copies: the same picture saved again; alike: also other crops and exposures."},
    {"duplicate.image.threshold", SL_CONFIG_THRESHOLD, FIELD(duplicate.image_threshold), "0.7", "1",
     "auto", NULL, NULL, SL_CONFIG_STATE,
     "Share of equal signature bits of a duplicate; auto: 0.94 for copies, 0.785 for alike."},
    {"duplicate.image.min_quality", SL_CONFIG_COUNT32, FIELD(duplicate.image_min_quality), "0",
     "100", "50", NULL, NULL, SL_CONFIG_STATE,
     "Images with less structure than this are compared by their bytes only."},
    {"duplicate.image.turns", SL_CONFIG_SWITCH, FIELD(duplicate.image_turns), NULL, NULL, "false",
     NULL, boolean_words, SL_CONFIG_STATE,
     "Also find images that were flipped or turned by quarters; eight times the looks."},
    SECTION("duplicate.embedding", "Embeddings that point the same way."),
    {"duplicate.embedding.memory", SL_CONFIG_SIZE, FIELD(duplicate.embedding_memory), "1MiB",
     "1024GiB", "320MiB", NULL, NULL, SL_CONFIG_STATE,
     "Hard budget; the oldest are forgotten first."},
    {"duplicate.embedding.threshold", SL_CONFIG_REAL, FIELD(duplicate.embedding_threshold), "0.5",
     "1", "0.95", NULL, NULL, SL_CONFIG_STATE,
     "Cosine of a duplicate; means something else for every encoder (sluice check --calibrate)."},
    SECTION("influence", "How much a sample moves the representation."),
    {"influence.enabled", SL_CONFIG_SWITCH, FIELD(influence.enabled), NULL, NULL, "true", NULL,
     boolean_words, SL_CONFIG_STATE, "Score samples that come with views."},
    {"influence.half_life", SL_CONFIG_COUNT, FIELD(influence.half_life), "0", "1000000000000",
     "100000", NULL, NULL, SL_CONFIG_STATE,
     "Samples after which what was learned counts half; 0 = never forget."},
    {"influence.damping", SL_CONFIG_DAMPING, FIELD(influence.damping), NULL, NULL, "{margin: 2}",
     NULL, NULL, SL_CONFIG_STATE,
     "Strength of the prior: X x |min eigenvalue| at warm-up, or X x the mean eigenvalue."},
    {"influence.references", SL_CONFIG_REFERENCES, FIELD(influence.reference), NULL, NULL, "[]",
     NULL, NULL, SL_CONFIG_STATE, "Sets toward which influence is measured."},
    SECTION("influence.expert", "Rarely needed."),
    {"influence.expert.adapter", SL_CONFIG_CHOICE, FIELD(influence.expert.adapter), NULL, NULL,
     "step", NULL, adapter_words, SL_CONFIG_STATE,
     "step: scores are taken near the stream's own minimum; fixed: at the block as it is."},
    {"influence.expert.warmup", SL_CONFIG_AUTO32, FIELD(influence.expert.warmup), "256", "16384",
     "auto", NULL, NULL, SL_CONFIG_STATE,
     "Samples before the first score; auto = 4 x dimension, at least 512."},
    {"influence.expert.refresh", SL_CONFIG_OFFSETS, FIELD(influence.expert.refresh), NULL, NULL,
     "auto", NULL, NULL, SL_CONFIG_STATE, "Offsets at which the basis is made anew."},
    {"influence.expert.refresh_lag", SL_CONFIG_COUNT, FIELD(influence.expert.refresh_lag), "0",
     "1024", "16", NULL, NULL, SL_CONFIG_STATE,
     "Blocks of 256 samples from the trigger of a refresh to its publication."},
    {"influence.expert.ridge", SL_CONFIG_REAL, FIELD(influence.expert.ridge), "0.000001", "1000",
     "0.01", NULL, NULL, SL_CONFIG_STATE, "Of the leverage, x the mean variance."},
    {"influence.expert.rank", SL_CONFIG_AUTO32, FIELD(influence.expert.rank), "1", "1024", "auto",
     NULL, NULL, SL_CONFIG_STATE, "Directions left out of the residual; auto = dimension / 8."},
    {"influence.expert.bound_sample", SL_CONFIG_REAL, FIELD(influence.expert.bound_sample), "0",
     "1000000", "5", NULL, NULL, SL_CONFIG_STATE,
     "A sample of larger leverage counts less when learning; 0 = off."},
    {"influence.expert.bound_source", SL_CONFIG_REAL, FIELD(influence.expert.bound_source), "0",
     "1", "0.2", NULL, NULL, SL_CONFIG_STATE,
     "A source with a larger share of the stream counts as if it had this share; 0 = off."},
    {"policy", SL_CONFIG_POLICY, FIELD(policy), NULL, NULL,
     "\n  - {when: \"duplicate\", do: drop, reason: duplicate}"
     "\n  - {when: \"percentile.leverage >= 0.99\", do: flag, reason: rare}",
     NULL, NULL, SL_CONFIG_LIVE, "Ordered rules; what none of them ends is kept."},
    {"budget", SL_CONFIG_BUDGET, FIELD(budget), NULL, NULL, "{}", NULL, NULL, SL_CONFIG_LIVE,
     "Keep a share of the stream, by a score."},
    {"fairness", SL_CONFIG_FAIRNESS, FIELD(fairness), NULL, NULL, "{}", NULL, NULL, SL_CONFIG_LIVE,
     "Bounds on how unequally groups are dropped."},
    SECTION("spool", "The log of accepted samples."),
    {"spool.max_bytes", SL_CONFIG_SIZE, FIELD(spool.max_bytes), "8MiB", "65536GiB", "16GiB", NULL,
     NULL, SL_CONFIG_RESTART,
     "When it is full, producers are held back; nothing is deleted unread."},
    {"spool.sync", SL_CONFIG_SWITCH, FIELD(spool.sync_os), NULL, NULL, "group", NULL, sync_words,
     SL_CONFIG_RESTART, "group: on disk before it is acknowledged; os: when the system likes."},
};
const uint32_t sl_config_n_keys = sizeof sl_config_keys / sizeof sl_config_keys[0];

const sl_config_key *sl_config_find(const char *path)
{
    for (uint32_t i = 0; i < sl_config_n_keys; i++) {
        if (strcmp(sl_config_keys[i].name, path) == 0) {
            return &sl_config_keys[i];
        }
    }
    return NULL;
}

static const char *last_part(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot != NULL ? dot + 1 : path;
}

const char *sl_config_nearest(const char *path)
{
    const char *nearest = NULL;
    uint32_t fewest = UINT32_MAX;
    for (uint32_t i = 0; i < sl_config_n_keys; i++) {
        const char *name = sl_config_keys[i].name;
        uint32_t edits = sl_nearest_edits(path, name);
        if (edits < fewest && sl_nearest_plausible(last_part(path), edits)) {
            fewest = edits;
            nearest = name;
        }
    }
    /* A key of the right name in the wrong place. */
    for (uint32_t i = 0; i < sl_config_n_keys && nearest == NULL; i++) {
        if (strcmp(last_part(path), last_part(sl_config_keys[i].name)) == 0) {
            nearest = sl_config_keys[i].name;
        }
    }
    return nearest;
}
