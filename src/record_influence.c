/* record_influence.c - scores as the Influence message and as the JSON object, by the same names.
 *
 *   sluice_scores <--> Influence { state, loss?, self?, ..., toward{name: value?}, percentile }
 *                 --> {"state": "live", "loss": 0.1, ..., "toward": {"name": 0.4}, ...}
 *
 * Why absent and not NaN on the wire: not every runtime keeps NaN, and absent reads as "no value"
 * in all of them. */
#include "record_influence.h"
#include "bytes.h"
#include "record_json.h"

#include <math.h>

static const char *const state_names[SLUICE_N_INFLUENCE_STATES] = {NULL, "warming", "live",
                                                                   "stale"};

_Static_assert(SLUICE__V1__INFLUENCE__STATE__STATE_STALE == (int)SLUICE_STALE, "state");

/* --- the message --- */

/* A value of a `oneof` of its own: its case is its field number. */
static void put_value(float from, unsigned field_number, unsigned *which, float *value)
{
    *which = isfinite(from) ? field_number : 0;
    *value = isfinite(from) ? from : 0;
}

static void pack_toward(const sluice_scores *scores, sl_record_influence *packed)
{
    for (uint32_t r = 0; r < scores->n_toward; r++) {
        unsigned which;
        sluice__v1__influence__toward_entry__init(&packed->toward[r].entry);
        sluice__v1__percentile__toward_entry__init(&packed->toward[r].percentile_entry);
        sluice__v1__score__init(&packed->toward[r].score);
        sluice__v1__score__init(&packed->toward[r].percentile);
        put_value(scores->toward[r], 1, &which, &packed->toward[r].score.value);
        packed->toward[r].score.value_or_null_case = (Sluice__V1__Score__ValueOrNullCase)which;
        put_value(scores->percentile.toward[r], 1, &which, &packed->toward[r].percentile.value);
        packed->toward[r].percentile.value_or_null_case = (Sluice__V1__Score__ValueOrNullCase)which;
        packed->toward[r].entry.key = (char *)(uintptr_t)scores->toward_name[r];
        packed->toward[r].entry.value = &packed->toward[r].score;
        packed->toward[r].percentile_entry.key = (char *)(uintptr_t)scores->toward_name[r];
        packed->toward[r].percentile_entry.value = &packed->toward[r].percentile;
        packed->entries[r] = &packed->toward[r].entry;
        packed->percentile_entries[r] = &packed->toward[r].percentile_entry;
    }
    packed->influence.n_toward = packed->percentile.n_toward = scores->n_toward;
    packed->influence.toward = packed->entries;
    packed->percentile.toward = packed->percentile_entries;
}

Sluice__V1__Influence *sl_record_influence_pack(const sluice_scores *scores,
                                                sl_record_influence *packed)
{
    Sluice__V1__Influence *out = &packed->influence;
    Sluice__V1__Percentile *percentile = &packed->percentile;
    unsigned which;
    if (scores->state == SLUICE_INFLUENCE_NONE) {
        return NULL;
    }
    sluice__v1__influence__init(out);
    sluice__v1__percentile__init(percentile);
    out->state = (Sluice__V1__Influence__State)scores->state;
    put_value(scores->loss, 2, &which, &out->loss);
    out->loss_or_null_case = (Sluice__V1__Influence__LossOrNullCase)which;
    put_value(scores->self, 3, &which, &out->self);
    out->self_or_null_case = (Sluice__V1__Influence__SelfOrNullCase)which;
    put_value(scores->ratio, 4, &which, &out->ratio);
    out->ratio_or_null_case = (Sluice__V1__Influence__RatioOrNullCase)which;
    put_value(scores->leverage, 6, &which, &out->leverage);
    out->leverage_or_null_case = (Sluice__V1__Influence__LeverageOrNullCase)which;
    put_value(scores->residual, 7, &which, &out->residual);
    out->residual_or_null_case = (Sluice__V1__Influence__ResidualOrNullCase)which;
    put_value(scores->source_shift, 8, &which, &out->source_shift);
    out->source_shift_or_null_case = (Sluice__V1__Influence__SourceShiftOrNullCase)which;
    put_value(scores->reliability, 10, &which, &out->reliability);
    out->reliability_or_null_case = (Sluice__V1__Influence__ReliabilityOrNullCase)which;
    put_value(scores->percentile.loss, 1, &which, &percentile->loss);
    percentile->loss_or_null_case = (Sluice__V1__Percentile__LossOrNullCase)which;
    put_value(scores->percentile.self, 2, &which, &percentile->self);
    percentile->self_or_null_case = (Sluice__V1__Percentile__SelfOrNullCase)which;
    put_value(scores->percentile.leverage, 3, &which, &percentile->leverage);
    percentile->leverage_or_null_case = (Sluice__V1__Percentile__LeverageOrNullCase)which;
    out->percentile = percentile;
    pack_toward(scores, packed);
    return out;
}

static float percentile_toward(const Sluice__V1__Percentile *from, const char *name)
{
    for (size_t i = 0; from != NULL && i < from->n_toward; i++) {
        const Sluice__V1__Score *value = from->toward[i]->value;
        if (strcmp(from->toward[i]->key, name) == 0 && value != NULL &&
            value->value_or_null_case != 0) {
            return value->value;
        }
    }
    return NAN;
}

void sl_record_influence_unpack(const Sluice__V1__Influence *from, sluice_scores *out)
{
    *out = (sluice_scores){.state = SLUICE_INFLUENCE_NONE};
    if (from == NULL || from->state < 0 || (unsigned)from->state >= SLUICE_N_INFLUENCE_STATES) {
        return;
    }
    const Sluice__V1__Percentile *percentile = from->percentile;
    out->state = (sluice_influence_state)from->state;
    out->loss = from->loss_or_null_case != 0 ? from->loss : NAN;
    out->self = from->self_or_null_case != 0 ? from->self : NAN;
    out->ratio = from->ratio_or_null_case != 0 ? from->ratio : NAN;
    out->leverage = from->leverage_or_null_case != 0 ? from->leverage : NAN;
    out->residual = from->residual_or_null_case != 0 ? from->residual : NAN;
    out->source_shift = from->source_shift_or_null_case != 0 ? from->source_shift : NAN;
    out->reliability = from->reliability_or_null_case != 0 ? from->reliability : NAN;
    out->percentile.loss =
        percentile != NULL && percentile->loss_or_null_case != 0 ? percentile->loss : NAN;
    out->percentile.self =
        percentile != NULL && percentile->self_or_null_case != 0 ? percentile->self : NAN;
    out->percentile.leverage =
        percentile != NULL && percentile->leverage_or_null_case != 0 ? percentile->leverage : NAN;
    for (size_t i = 0; i < from->n_toward && out->n_toward < SLUICE_LIMIT_REFERENCES; i++) {
        const Sluice__V1__Score *value = from->toward[i]->value;
        const uint32_t r = out->n_toward++;
        out->toward_name[r] = from->toward[i]->key;
        out->toward[r] = value != NULL && value->value_or_null_case != 0 ? value->value : NAN;
        out->percentile.toward[r] = percentile_toward(percentile, out->toward_name[r]);
    }
}

/* --- JSON --- */

static sluice_status put_member(sluice_bytes *out, const char *name, float value)
{
    SLUICE_TRY(sl_json_put_text(out, name));
    return sl_json_put_float(out, value);
}

static sluice_status put_toward(sluice_bytes *out, const sluice_scores *scores, const float *value)
{
    SLUICE_TRY(sl_json_put_text(out, "{"));
    for (uint32_t r = 0; r < scores->n_toward; r++) {
        SLUICE_TRY(sl_json_put_text(out, r > 0 ? ", " : ""));
        SLUICE_TRY(sl_json_put_string(out, sl_span_of(scores->toward_name[r])));
        SLUICE_TRY(put_member(out, ": ", value[r]));
    }
    return sl_json_put_text(out, "}");
}

sluice_status sl_record_influence_json(const sluice_scores *scores, sluice_bytes *out)
{
    const char *state = state_names[scores->state];
    if (state == NULL) {
        return sl_json_put_text(out, "null");
    }
    SLUICE_TRY(sl_json_put_text(out, "{\"state\": \""));
    SLUICE_TRY(sl_json_put_text(out, state));
    SLUICE_TRY(put_member(out, "\", \"loss\": ", scores->loss));
    SLUICE_TRY(put_member(out, ", \"self\": ", scores->self));
    SLUICE_TRY(put_member(out, ", \"ratio\": ", scores->ratio));
    SLUICE_TRY(sl_json_put_text(out, ", \"toward\": "));
    SLUICE_TRY(put_toward(out, scores, scores->toward));
    SLUICE_TRY(put_member(out, ", \"leverage\": ", scores->leverage));
    SLUICE_TRY(put_member(out, ", \"residual\": ", scores->residual));
    SLUICE_TRY(put_member(out, ", \"source_shift\": ", scores->source_shift));
    SLUICE_TRY(put_member(out, ", \"percentile\": {\"loss\": ", scores->percentile.loss));
    SLUICE_TRY(put_member(out, ", \"self\": ", scores->percentile.self));
    SLUICE_TRY(put_member(out, ", \"leverage\": ", scores->percentile.leverage));
    SLUICE_TRY(sl_json_put_text(out, ", \"toward\": "));
    SLUICE_TRY(put_toward(out, scores, scores->percentile.toward));
    SLUICE_TRY(put_member(out, "}, \"reliability\": ", scores->reliability));
    return sl_json_put_text(out, "}");
}
