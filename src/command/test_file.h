/* test_file.h - reads a file of unit tests of a policy. */
#ifndef SL_TEST_FILE_H
#define SL_TEST_FILE_H

#include "arena.h"
#include "decide/names.h"
#include "sluice/config.h"

#define SL_TEST_FILE_TESTS 1024

/* One test: what is known of a sample, and what the policy should say of it. */
typedef struct sl_policy_test {
    const char *name;
    uint32_t line;
    sluice_sample sample;
    sluice_span attribute[SL_NAMES_ATTRIBUTES];
    sluice_decision decision;
    bool expects_reasons, expects_weight;
    uint32_t n_reasons;
    const char *reasons[SLUICE_LIMIT_REASONS];
    double weight;
} sl_policy_test;

typedef struct sl_test_file {
    char config[SLUICE_LIMIT_STRING_BYTES]; /* "": the file names none */
    uint32_t n_tests;
    sl_policy_test *tests;
    sl_arena *arena; /* lends all texts */
    sluice_config_errors errors;
} sl_test_file;

/* sl_test_file_config - the `policy:` of a test file alone; the tests cannot be read before the
 * configuration is known. CONFIG: `errors` says what is wrong. */
SLUICE_MUST_USE sluice_status sl_test_file_config(sl_test_file *file, sluice_span text);

/* sl_test_file_read - all of its tests.
 * names    In and out: those of the policy; attributes that only a test has are entered.
 * Returns  CONFIG: `errors` says what is wrong, all of it. */
SLUICE_MUST_USE sluice_status sl_test_file_read(sl_test_file *file, sluice_span text,
                                                sl_names *names);
void sl_test_file_fini(sl_test_file *file);

#endif
