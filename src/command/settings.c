/* settings.c - the configuration that a verb was given: a file, then every --set over it.
 *
 *   defaults --> FILE --> --set --> --set --> sluice_config
 *                 \________\_________\____--> faults: one does not hide the others */
#include "settings.h"
#include "bytes.h"

#include <errno.h>
#include <stdlib.h>

bool sl_settings_assign(sl_settings *settings, const char *assignment)
{
    if (settings->n_assignments == SL_SETTINGS_ASSIGNMENTS) {
        return false;
    }
    settings->assignments[settings->n_assignments++] = assignment;
    return true;
}

static void add_faults(sl_settings_faults *faults, const char *file, const char *assignment,
                       const sluice_config_errors *errors)
{
    uint32_t n_kept =
        errors->n < SLUICE_LIMIT_CONFIG_ERRORS ? errors->n : SLUICE_LIMIT_CONFIG_ERRORS;
    for (uint32_t i = 0; i < n_kept && faults->n + i < SL_SETTINGS_FAULTS; i++) {
        faults->fault[faults->n + i] = (sl_settings_fault){file, assignment, errors->error[i]};
    }
    faults->n += errors->n;
}

static void add_unreadable(sl_settings_faults *faults, const char *file, int number)
{
    if (faults->n < SL_SETTINGS_FAULTS) {
        sl_settings_fault *fault = &faults->fault[faults->n];
        *fault = (sl_settings_fault){.file = file};
        snprintf(fault->error.text, sizeof fault->error.text, "cannot read it: %s",
                 strerror(number));
    }
    faults->n++;
}

/* At most one byte more than may be parsed, so that too much is noticed. */
static int read_file(const char *path, sluice_bytes *text)
{
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    if (file == NULL) {
        return errno;
    }
    int number = sl_bytes_reserve(text, SLUICE_LIMIT_CONFIG_BYTES + 1) == SLUICE_OK ? 0 : ENOMEM;
    if (number == 0) {
        text->size = fread(text->data, 1, SLUICE_LIMIT_CONFIG_BYTES + 1, file);
        number = ferror(file) ? errno : 0;
    }
    if (file != stdin) {
        fclose(file);
    }
    return number;
}

typedef struct file_text {
    int unreadable; /* errno; 0: it was read */
    sluice_bytes text;
} file_text;

/* FILE and every --set over `config`. */
static void load_over(const sl_settings *settings, const file_text *file, sluice_config *config,
                      sl_settings_faults *faults, sluice_config_errors *errors)
{
    if (file->unreadable != 0) {
        add_unreadable(faults, settings->file, file->unreadable);
    } else if (settings->file != NULL &&
               sluice_config_parse(config, (sluice_span){file->text.data, file->text.size},
                                   errors) != SLUICE_OK) {
        add_faults(faults, settings->file, NULL, errors);
    }
    for (uint32_t i = 0; i < settings->n_assignments; i++) {
        if (sluice_config_set(config, settings->assignments[i], errors) != SLUICE_OK) {
            add_faults(faults, NULL, settings->assignments[i], errors);
        }
    }
}

/* A policy may name a reference set that a later --set brings: should the order matter, once more
 * over what every --set says by itself. */
static sluice_status load_in_any_order(const sl_settings *settings, const file_text *file,
                                       sluice_config *config, sl_settings_faults *faults,
                                       sluice_config_errors *errors)
{
    load_over(settings, file, config, faults, errors);
    if (faults->n == 0 || settings->n_assignments == 0) {
        return SLUICE_OK;
    }
    sl_settings_faults *again = calloc(1, sizeof *again);
    if (again == NULL) {
        return SLUICE_E_NOMEM;
    }
    sluice_config_default(config);
    for (uint32_t i = 0; i < settings->n_assignments; i++) {
        (void)!sluice_config_set(config, settings->assignments[i], errors);
    }
    load_over(settings, file, config, again, errors);
    if (again->n < faults->n) {
        *faults = *again;
    }
    free(again);
    return SLUICE_OK;
}

sluice_status sl_settings_load(const sl_settings *settings, sluice_config *config,
                               sl_settings_faults *faults)
{
    faults->n = 0;
    sluice_config_default(config);
    sluice_config_errors *errors = calloc(1, sizeof *errors);
    if (errors == NULL) {
        return SLUICE_E_NOMEM;
    }
    file_text file = {0};
    if (settings->file != NULL) {
        file.unreadable = read_file(settings->file, &file.text);
    }
    sluice_status status = load_in_any_order(settings, &file, config, faults, errors);
    sl_bytes_fini(&file.text);
    free(errors);
    if (status != SLUICE_OK) {
        return status;
    }
    return faults->n > 0 ? SLUICE_E_CONFIG : SLUICE_OK;
}

void sl_settings_print(const sl_settings_faults *faults, FILE *file)
{
    uint32_t n_kept = faults->n < SL_SETTINGS_FAULTS ? faults->n : SL_SETTINGS_FAULTS;
    for (uint32_t i = 0; i < n_kept; i++) {
        const sl_settings_fault *fault = &faults->fault[i];
        if (fault->file == NULL) {
            fprintf(file, "--set %.80s: %s\n", fault->assignment, fault->error.text);
        } else if (fault->error.line == 0) {
            fprintf(file, "%s: %s\n", fault->file, fault->error.text);
        } else {
            fprintf(file, "%s:%u:%u: %s\n", fault->file, fault->error.line, fault->error.column,
                    fault->error.text);
        }
    }
    if (faults->n > n_kept) {
        fprintf(file, "and %u more\n", faults->n - n_kept);
    }
}

bool sl_settings_read(const sl_settings *settings, sluice_config *config)
{
    sl_settings_faults *faults = calloc(1, sizeof *faults);
    if (faults == NULL) {
        fprintf(stderr, "sluice: no memory to read the configuration\n");
        return false;
    }
    sluice_status status = sl_settings_load(settings, config, faults);
    sl_settings_print(faults, stderr);
    free(faults);
    return status == SLUICE_OK;
}

sluice_status sl_settings_as_stored(sl_spool *spool, sluice_config *config, sluice_message *why)
{
    sluice_bytes lines = {0};
    sluice_status status = sl_spool_state_lines(spool, &lines, why);
    if (status == SLUICE_OK) {
        status = sl_bytes_put_u8(&lines, 0);
    }
    char *at = (char *)lines.data;
    while (status == SLUICE_OK && *at != '\0') {
        char *end = at + strcspn(at, "\n");
        char *next = *end != '\0' ? end + 1 : end;
        *end = '\0';
        char *colon = strstr(at, ": ");
        sluice_config_errors errors = {0};
        if (colon != NULL) {
            *colon = '=';
            memmove(colon + 1, colon + 2, strlen(colon + 2) + 1);
            status = sluice_config_set(config, at, &errors);
        }
        if (status != SLUICE_OK) {
            status = sluice_fail(why, SLUICE_E_CONFIG, "the state was made with %s: %s", at,
                                 errors.n > 0 ? errors.error[0].text : "not understood");
        }
        at = next;
    }
    sl_bytes_fini(&lines);
    return status;
}
