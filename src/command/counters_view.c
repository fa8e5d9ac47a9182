/* counters_view.c - the numbers of the duplicate stage, for people and for programs. */
#include "command/counters_view.h"
#include "command/progress.h"
#include "counters.h"

#include <inttypes.h>

static void print_method(const char *name, const sluice_method_counters *method,
                         uint64_t next_offset, FILE *file)
{
    char n[4][32];
    fprintf(file, "  %-9s %12s of %12s rows, %s evicted", name,
            sl_progress_count(method->rows, n[0], sizeof n[0]),
            sl_progress_count(method->rows_max, n[1], sizeof n[1]),
            sl_progress_count(method->evicted, n[2], sizeof n[2]));
    if (method->oldest_offset < next_offset) {
        fprintf(file, ", back to offset %" PRIu64, method->oldest_offset);
    }
    if (method->probes > 0) {
        fprintf(file, "; %.2f compared a sample",
                (double)method->candidates / (double)method->probes);
    }
    double recall = sl_counters_recall(method);
    if (recall >= 0) {
        fprintf(file, "; recall %.4f of %s watched", recall,
                sl_progress_count(method->recall_found + method->recall_missed, n[3], sizeof n[3]));
    }
    fputs("\n", file);
}

void sl_counters_print(const sluice_counters *counters, FILE *file)
{
    const char *title = "  remembered\n";
    for (int m = SLUICE_METHOD_EXACT; m < SLUICE_N_METHODS; m++) {
        const sluice_method_counters *method = &counters->method[m];
        if (method->rows > 0 || method->evicted > 0) {
            fputs(title, file);
            title = "";
            print_method(sl_counters_method_name((sluice_method)m), method, counters->next_offset,
                         file);
        }
    }
}

json_t *sl_counters_json(const sluice_counters *counters)
{
    json_t *all = json_object();
    for (int m = SLUICE_METHOD_EXACT; m < SLUICE_N_METHODS; m++) {
        const sluice_method_counters *method = &counters->method[m];
        if (method->memory_bytes == 0) {
            continue;
        }
        json_t *object = json_object();
        for (uint32_t i = 0; i < sl_n_counters_of_method; i++) {
            uint64_t value = sl_counters_value(method, &sl_counters_of_method[i]);
            json_object_set_new(object, sl_counters_of_method[i].name,
                                json_integer((json_int_t)value));
        }
        double recall = sl_counters_recall(method);
        json_object_set_new(object, "recall", recall < 0 ? json_null() : json_real(recall));
        json_object_set_new(all, sl_counters_method_name((sluice_method)m), object);
    }
    return all;
}
