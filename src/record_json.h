/* record_json.h - JSON values in the one way in which records write them. */
#ifndef SL_RECORD_JSON_H
#define SL_RECORD_JSON_H

#include "status.h"
#include "sluice/sample.h"

/* Each appends to `out` and fails with NOMEM only. */
SLUICE_MUST_USE sluice_status sl_json_put_text(sluice_bytes *out, const char *text); /* as it is */

/* A quoted string. What is not UTF-8 becomes U+FFFD: the ids of refused samples are shown too. */
SLUICE_MUST_USE sluice_status sl_json_put_string(sluice_bytes *out, sluice_span span);

/* The shortest decimal that reads back as the same number; null where it is not finite. */
SLUICE_MUST_USE sluice_status sl_json_put_float(sluice_bytes *out, float value);
SLUICE_MUST_USE sluice_status sl_json_put_double(sluice_bytes *out, double value);

SLUICE_MUST_USE sluice_status sl_json_put_base64(sluice_bytes *out, sluice_span span);

/* RFC 3339 in UTC, quoted; seconds where that has no year for it. */
SLUICE_MUST_USE sluice_status sl_json_put_time(sluice_bytes *out, int64_t time_us);

#endif
