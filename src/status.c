/* status.c - names of status codes, failure sentences and the failed assertion. */
#include "status.h"
#include "sluice/version.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT_OF(x)            #x
#define VERSION_TEXT(a, b, c) TEXT_OF(a) "." TEXT_OF(b) "." TEXT_OF(c)

static const struct {
    const char *name;
    sluice_status_kind kind;
} status_table[SLUICE_N_STATUS] = {
    [SLUICE_OK] = {"OK", SLUICE_KIND_OK},
    [SLUICE_E_BADSAMPLE] = {"BADSAMPLE", SLUICE_KIND_DATA},
    [SLUICE_E_TOOBIG] = {"TOOBIG", SLUICE_KIND_DATA},
    [SLUICE_E_NONFINITE] = {"NONFINITE", SLUICE_KIND_DATA},
    [SLUICE_E_AGAIN] = {"AGAIN", SLUICE_KIND_RETRY},
    [SLUICE_E_TIMEOUT] = {"TIMEOUT", SLUICE_KIND_RETRY},
    [SLUICE_E_CLOSED] = {"CLOSED", SLUICE_KIND_RETRY},
    [SLUICE_E_NOMEM] = {"NOMEM", SLUICE_KIND_FATAL},
    [SLUICE_E_CONFIG] = {"CONFIG", SLUICE_KIND_FATAL},
    [SLUICE_E_CORRUPT] = {"CORRUPT", SLUICE_KIND_FATAL},
    [SLUICE_E_IO] = {"IO", SLUICE_KIND_FATAL},
};

const char *sluice_version(void)
{
    return VERSION_TEXT(SLUICE_VERSION_MAJOR, SLUICE_VERSION_MINOR, SLUICE_VERSION_PATCH);
}

const char *sluice_status_name(sluice_status status)
{
    return (unsigned)status < SLUICE_N_STATUS ? status_table[status].name : "UNKNOWN";
}

sluice_status_kind sluice_status_class(sluice_status status)
{
    return (unsigned)status < SLUICE_N_STATUS ? status_table[status].kind : SLUICE_KIND_FATAL;
}

sluice_status sluice_fail(sluice_message *why, sluice_status status, const char *format, ...)
{
    if (why != NULL) {
        va_list args;
        va_start(args, format);
        vsnprintf(why->text, sizeof why->text, format, args);
        va_end(args);
    }
    return status;
}

void sl_assert_failed(const char *file, int line, const char *expression)
{
    fprintf(stderr, "sluice %s: assertion failed at %s:%d: %s\n", sluice_version(), file, line,
            expression);
    abort();
}
