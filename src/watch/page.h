/* page.h - the dashboard and the report, made of one template. */
#ifndef SL_PAGE_H
#define SL_PAGE_H

#include "status.h"
#include "sluice/sample.h"

/* What is served at `path`: "/", "/page.css", ...; type: static. False: nothing of the page. */
bool sl_page_file(const char *path, sluice_span *file, const char **type);

/* sl_page_report - appends the page as one file that needs nothing else: style, code, data inside.
 *
 * data     JSON; it may hold anything that a sender wrote.
 * Returns  NOMEM. */
SLUICE_MUST_USE sluice_status sl_page_report(sluice_span data, sluice_bytes *out);

#endif
