/* config.h - the configuration as one value: every key of deploy/sluice.yaml is a field here. */
#ifndef SLUICE_CONFIG_H
#define SLUICE_CONFIG_H

#include "sluice/sample.h"

#define SLUICE_LIMIT_STRING_BYTES 256
#define SLUICE_LIMIT_WORKERS      64
#define SLUICE_LIMIT_CONFIG_BYTES (1u << 20)

typedef struct sluice_shingle {
    char unit; /* 'w' words | 't' words and punctuation | 'c' characters; 0 = the profile's    */
    uint8_t n; /* 1..16 consecutive units                                                      */
} sluice_shingle;

typedef enum sluice_tristate { SLUICE_AUTO, SLUICE_NO, SLUICE_YES } sluice_tristate;

typedef enum sluice_image_profile {
    SLUICE_IMAGE_COPIES, /* the same picture saved again: size, quality, format, tone          */
    SLUICE_IMAGE_ALIKE,  /* also another crop or exposure, at the price of look-alikes         */
    SLUICE_N_IMAGE_PROFILES
} sluice_image_profile;

/* Which views are scored. */
typedef enum sluice_encoder {
    SLUICE_ENCODER_UPSTREAM, /* those that arrive                                        */
    SLUICE_ENCODER_BUILTIN,  /* and weak ones that are made where none arrive            */
    SLUICE_ENCODER_NONE
} sluice_encoder;

#define SLUICE_LIMIT_REFRESHES 32

/* One entry of influence.references: `source` and `samples`, or `path` and perhaps `views`. */
typedef struct sluice_reference {
    char name[64];
    char source[SLUICE_LIMIT_STRING_BYTES];
    char path[SLUICE_LIMIT_STRING_BYTES];
    char views[SLUICE_LIMIT_STRING_BYTES];
    uint32_t samples;
} sluice_reference;

typedef struct sluice_influence_config {
    bool enabled;
    uint64_t half_life; /* samples; 0 = never forget                         */
    struct {
        double margin;   /* mu = margin |min Lambda_H| at warm-up; 0: relative is used */
        double relative; /* mu = relative x mean eigenvalue                   */
    } damping;
    uint32_t n_references;
    sluice_reference reference[SLUICE_LIMIT_REFERENCES];
    struct {
        uint32_t adapter; /* 0 step, 1 fixed                                  */
        uint32_t warmup;  /* samples; 0 = auto                                */
        uint32_t n_refresh;
        uint64_t refresh[SLUICE_LIMIT_REFRESHES]; /* offsets, ascending; none = auto */
        uint64_t refresh_lag;                     /* blocks                          */
        double ridge;
        uint32_t rank;       /* 0 = auto                                             */
        double bound_sample; /* 0 = off                                              */
        double bound_source; /* 0 = off                                              */
    } expert;
} sluice_influence_config;

#define SLUICE_LIMIT_RULES            64
#define SLUICE_LIMIT_EXPRESSION_BYTES 512 /* with its end */
#define SLUICE_LIMIT_REASON_BYTES     64  /* with its end */

/* One rule of the policy; deploy/docs/policy.md says what may stand in it. */
typedef struct sluice_rule {
    char when[SLUICE_LIMIT_EXPRESSION_BYTES];
    char reason[SLUICE_LIMIT_REASON_BYTES];
    sluice_decision decision; /* KEEP, FLAG or DROP */
    double weight;            /* of what it matches; several multiply */
} sluice_rule;

typedef struct sluice_config {
    char name[SLUICE_LIMIT_STRING_BYTES];
    char state[SLUICE_LIMIT_STRING_BYTES]; /* directory of the LMDB environment          */
    struct {
        char ingest[SLUICE_LIMIT_STRING_BYTES]; /* ZeroMQ endpoint; "" = not listening        */
        char egress[SLUICE_LIMIT_STRING_BYTES];
        char http[SLUICE_LIMIT_STRING_BYTES]; /* host:port                                  */
        char pull[SLUICE_LIMIT_STRING_BYTES];
        char push[SLUICE_LIMIT_STRING_BYTES];
    } listen;
    struct {
        bool insecure;
        char server_key[SLUICE_LIMIT_STRING_BYTES]; /* file                                       */
        char clients[SLUICE_LIMIT_STRING_BYTES];    /* folder of NAME.key                         */
        char http_token[SLUICE_LIMIT_STRING_BYTES]; /* file                                       */
    } security;
    uint32_t workers; /* feature threads, 1..64                     */
    uint64_t seed;
    struct {
        bool enabled;
        bool all_findings;       /* findings: all                              */
        uint64_t window_samples; /* 0 = as many as fit                         */
        uint64_t window_age_us;  /* 0 = any age                                */
        uint64_t exact_memory;   /* bytes                                      */
        uint64_t text_memory;    /* bytes                                      */
        sluice_profile text_profile;
        sluice_shingle text_shingle;       /* unit 0 = the profile's                     */
        double text_threshold;             /* 0 = the profile's; else (0, 1]             */
        sluice_tristate text_fold_chinese; /* Traditional to Simplified; AUTO = profile's */
        double text_containment;           /* 0 = not asked for; else (0, 1]               */
        sluice_tristate text_weights; /* what is common counts less; AUTO = the profile's        */
        sluice_tristate text_numbers; /* tell texts apart; AUTO = the profile's                  */
        uint64_t image_memory;        /* bytes                                      */
        sluice_image_profile image_profile;
        double image_threshold;     /* 0 = the profile's; else share of equal bits (.5, 1] */
        bool image_turns;           /* look for flips and quarter turns too       */
        uint32_t image_min_quality; /* 0..100; less is not compared               */
        uint64_t embedding_memory;  /* bytes                                      */
        double embedding_threshold; /* cosine, (0, 1]                             */
    } duplicate;
    sluice_encoder encoder;
    sluice_influence_config influence;
    struct {
        uint32_t n_rules;
        sluice_rule rule[SLUICE_LIMIT_RULES];
    } policy;
    struct {
        double keep_fraction; /* 0: no budget */
        char by[SLUICE_LIMIT_EXPRESSION_BYTES];
    } budget;
    struct {
        char group_by[SLUICE_LIMIT_STRING_BYTES]; /* attributes.NAME | sample.source; "": none */
        double max_ratio;
        uint64_t min_samples;
    } fairness;
    struct {
        uint64_t max_bytes; /* of the log                                 */
        bool sync_os;       /* sync: os                                   */
    } spool;
} sluice_config;

/* One thing that is wrong, with where and what was expected. */
typedef struct sluice_config_error {
    uint32_t line, column; /* 1-based; 0 = from --set                                            */
    char text[384]; /* "duplicate.text.memroy: unknown key; did you mean duplicate.text.memory?" */
} sluice_config_error;

#define SLUICE_LIMIT_CONFIG_ERRORS 64

typedef struct sluice_config_errors {
    uint32_t n; /* found in all; the first SLUICE_LIMIT_CONFIG_ERRORS are kept        */
    sluice_config_error error[SLUICE_LIMIT_CONFIG_ERRORS];
} sluice_config_errors;

void sluice_config_default(sluice_config *config);

/* sluice_config_parse - reads YAML over the values already in `config`.
 *
 * text     Borrows; at most SLUICE_LIMIT_CONFIG_BYTES.
 * errors   Every error of the text, not the first only.
 * Returns  CONFIG if there is any error; `config` is then unchanged. */
SLUICE_MUST_USE sluice_status sluice_config_parse(sluice_config *config, sluice_span text,
                                                  sluice_config_errors *errors);

/* One `KEY=VALUE` of --set, VALUE in YAML flow syntax. Same contract. */
SLUICE_MUST_USE sluice_status sluice_config_set(sluice_config *config, const char *assignment,
                                                sluice_config_errors *errors);

/* Every key with its value in `config`, annotated with doc, unit, range and class; parsing the
 * output gives `config` back. deploy/sluice.yaml is this for the defaults. */
SLUICE_MUST_USE sluice_status sluice_config_print(const sluice_config *config, sluice_bytes *out);

/* The `state` class of keys as sorted lines "key: value\n": what a stored state must agree with. */
SLUICE_MUST_USE sluice_status sluice_config_state_lines(const sluice_config *config,
                                                        sluice_bytes *out);

/* Names of the keys, by class, whose values differ between two configurations: "policy, budget";
 * "" if none do. */
typedef struct sluice_config_changes {
    sluice_message live, restart, state;
} sluice_config_changes;
SLUICE_MUST_USE sluice_status sluice_config_compare(const sluice_config *a, const sluice_config *b,
                                                    sluice_config_changes *changes);

/* One number for all keys of the `live` class: what the log calls a policy. */
SLUICE_MUST_USE sluice_status sluice_config_live_hash(const sluice_config *config, uint64_t *hash);

#endif
