/* fuzz_expression.c - any text as an expression: refused with a message, or it runs and soon ends.
 */
#include "bytes.h"
#include "decide/expression.h"

#include <stdlib.h>
#include <time.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In a sanitized build too; as a rule it is a microsecond. */
static void assert_soon(clock_t start)
{
    if ((double)(clock() - start) / CLOCKS_PER_SEC > 1) {
        abort();
    }
}

static void run(sl_box *box, uint32_t number, bool full)
{
    static uint8_t letters[8192];
    memset(letters, 'A', sizeof letters);
    sluice_span attribute[SL_NAMES_ATTRIBUTES];
    sluice_sample sample = {.source = sl_span_of("web"), .cost = 2};
    for (uint32_t i = 0; i < SL_NAMES_ATTRIBUTES; i++) {
        attribute[i] = full ? (sluice_span){letters, sizeof letters} : (sluice_span){NULL, 0};
    }
    sample.match.method = full ? SLUICE_METHOD_IMAGE : SLUICE_METHOD_NONE;
    sample.scores.state = full ? SLUICE_LIVE : SLUICE_INFLUENCE_NONE;
    sl_facts facts = {&sample, attribute, false};
    double value = 0;
    sluice_message fault = {""};
    sl_outcome outcome = sl_expression_run(box, number, &facts, &value, &fault);
    if (outcome == SL_OUTCOME_FAULT && fault.text[0] == '\0') {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sluice_config config;
    sl_names names;
    sl_box *box;
    sl_expression_fault wrong;
    uint32_t number;
    char *text = malloc(size + 1);
    sluice_config_default(&config);
    config.influence.n_references = 1;
    config.influence.reference[0].name[0] = 'r';
    sl_names_init(&names, &config);
    if (text == NULL || sl_box_open(&box) != SLUICE_OK) {
        abort();
    }
    memcpy(text, data, size);
    text[size] = '\0';
    clock_t start = clock();
    if (sl_expression_compile(box, text, &names, SL_VALUE_BOOLEAN, &number, &wrong) == SLUICE_OK) {
        for (int i = 0; i < 4; i++) {
            run(box, number, i % 2 == 0);
        }
    } else if (wrong.text.text[0] == '\0' || wrong.at > size) {
        abort();
    }
    assert_soon(start);
    sl_box_close(&box);
    free(text);
    return 0;
}
