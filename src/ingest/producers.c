/* producers.c - who sends, and how far each has come. */
#include "ingest/producers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sl_producers {
    uint32_t n; /* one more than the highest number in use */
    sl_spool_producer row[SLUICE_LIMIT_PRODUCERS];
};

sluice_status sl_producers_open(sl_producers **out)
{
    *out = calloc(1, sizeof **out);
    return *out != NULL ? SLUICE_OK : SLUICE_E_NOMEM;
}

void sl_producers_close(sl_producers **producers_p)
{
    free(*producers_p);
    *producers_p = NULL;
}

static bool load_row(void *context, const sl_spool_producer *row)
{
    sl_producers *producers = context;
    if (row->i_producer < SLUICE_LIMIT_PRODUCERS) {
        *sl_producers_at(producers, row->i_producer, row->name) = *row;
    }
    return true;
}

sluice_status sl_producers_load(sl_producers *producers, sl_spool *spool, sluice_message *why)
{
    return sl_spool_producers(spool, load_row, producers, why);
}

sl_spool_producer *sl_producers_at(sl_producers *producers, uint32_t i_producer, const char *name)
{
    SLUICE_ASSERT(i_producer < SLUICE_LIMIT_PRODUCERS);
    sl_spool_producer *row = &producers->row[i_producer];
    if (row->name[0] == '\0') {
        row->i_producer = i_producer;
        snprintf(row->name, sizeof row->name, "%s", name);
    }
    if (i_producer >= producers->n) {
        producers->n = i_producer + 1;
    }
    return row;
}

/* Linear: a name is looked up once a HELLO, and 4,096 rows take microseconds. */
sl_spool_producer *sl_producers_find(sl_producers *producers, const char *name)
{
    for (uint32_t i = 0; i < producers->n; i++) {
        if (strcmp(producers->row[i].name, name) == 0) {
            return &producers->row[i];
        }
    }
    return producers->n < SLUICE_LIMIT_PRODUCERS ? sl_producers_at(producers, producers->n, name)
                                                 : NULL;
}
