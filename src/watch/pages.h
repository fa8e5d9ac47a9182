/* pages.h - the JSON documents of the API, made of the numbers and of the log. */
#ifndef SL_PAGES_H
#define SL_PAGES_H

#include "record.h"
#include "watch/object.h"
#include "watch/recent.h"
#include "watch/view.h"

#define SL_PAGES_ROWS      100  /* samples in one document */
#define SL_PAGES_PRODUCERS 256  /* of status; the rest are counted */
#define SL_PAGES_TEXT      4096 /* bytes of a sample's text */

typedef struct sl_pages {
    sl_view *view; /* Borrows, all; gathered where numbers are shown */
    const sl_recent *recent;
    const sl_tap *tap;
} sl_pages;

/* What is shown of a sample of the log. */
typedef struct sl_pages_look {
    size_t text_bytes, text_characters; /* of a text, at most; it ends where a character ends */
    bool inside; /* a picture is in the document, not at an address that makes it */
} sl_pages_look;

/* {"offset", "record", "media_type", "bytes", "text", ...}; null if the log does not hold it. */
void sl_pages_sample(sl_object *object, const char *name, sl_spool *spool, uint64_t offset,
                     const sl_pages_look *look);

/* Each appends one JSON value. An error other than NOMEM: the log cannot be read. */
SLUICE_MUST_USE sluice_status sl_pages_status(const sl_pages *pages, bool ready, sluice_bytes *out);
SLUICE_MUST_USE sluice_status sl_pages_portfolio(const sl_pages *pages, sluice_bytes *out);
SLUICE_MUST_USE sluice_status sl_pages_alerts(const sl_pages *pages, sluice_bytes *out);
SLUICE_MUST_USE sluice_status sl_pages_config(const sl_pages *pages, sluice_bytes *out);

/* The newest duplicates with their representatives. */
SLUICE_MUST_USE sluice_status sl_pages_duplicates(const sl_pages *pages, uint32_t n,
                                                  sluice_bytes *out);

/* The n samples of the recent window with the largest (ascending: smallest) value of a score.
 * BADSAMPLE: there is no such score. */
SLUICE_MUST_USE sluice_status sl_pages_top(const sl_pages *pages, const char *by, bool ascending,
                                           uint32_t n, sluice_bytes *out);

/* The numbers of the recent window, newest first, as columns; what has no value is null. */
SLUICE_MUST_USE sluice_status sl_pages_recent(const sl_pages *pages, sluice_bytes *out);

/* As sl_search_write, for the one sample at `offset`. AGAIN: it is not there, or not of this id. */
SLUICE_MUST_USE sluice_status sl_pages_explain(const sl_pages *pages, const char *id,
                                               uint64_t offset, sluice_bytes *out);

/* From which similarity a sample is a duplicate, and the rules in force: two members. */
void sl_pages_thresholds(sl_object *object, const sluice_config *config);

/* The picture at `offset`, small, as a PNG of our own making. AGAIN, BADSAMPLE: there is none. */
SLUICE_MUST_USE sluice_status sl_pages_thumbnail(const sl_pages *pages, uint64_t offset,
                                                 sluice_bytes *out);

#endif
