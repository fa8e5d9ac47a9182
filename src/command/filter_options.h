/* filter_options.h - what the command line of sluice filter asks for. */
#ifndef SL_FILTER_OPTIONS_H
#define SL_FILTER_OPTIONS_H

#include "command/input.h"
#include "command/settings.h"

typedef struct sl_filter_options {
    sl_settings settings;
    const char *out, *verdicts, *state, *views;
    sl_input_format format;
    bool bare, json;
    const char *const *inputs;
    uint32_t n_inputs;
} sl_filter_options;

/* Borrows argv. False: *exit_code says how to end; what is wrong was said. */
bool sl_filter_options_parse(int argc, char **argv, sl_filter_options *options, int *exit_code);

#endif
