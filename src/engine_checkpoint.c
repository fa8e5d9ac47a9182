/* engine_checkpoint.c - the small state of an engine as bytes and back, and two of them as one.
 *
 *   | magic, version, next offset | portfolio | decide | portfolio by group | influence |
 *
 * The index is not in it: rows are. */
#include "engine_parts.h"
#include "bytes.h"

#define CHECKPOINT_MAGIC   UINT32_C(0x50434c53) /* "SLCP" */
/* 1: no influence; 2: no decide, no table of references; 3: of groups only counts, in decide */
#define CHECKPOINT_VERSION 4

/* Its size, then the part. */
static sluice_status put_part(sluice_bytes *out, sluice_bytes *part, sluice_status saved)
{
    saved = saved == SLUICE_OK ? sl_bytes_put_u64(out, part->size) : saved;
    saved = saved == SLUICE_OK ? sl_bytes_append(out, part->data, part->size) : saved;
    sl_bytes_fini(part);
    return saved;
}

sluice_status sluice_engine_save(const sluice_engine *engine, sluice_bytes *out)
{
    sluice_bytes part = {0};
    SLUICE_TRY(sl_bytes_put_u32(out, CHECKPOINT_MAGIC));
    SLUICE_TRY(sl_bytes_put_u32(out, CHECKPOINT_VERSION));
    SLUICE_TRY(sl_bytes_put_u64(out, engine->next_offset));
    SLUICE_TRY(put_part(out, &part, sluice_portfolio_save(engine->portfolio, &part)));
    SLUICE_TRY(put_part(out, &part, sl_decide_save(engine->decide, &part)));
    SLUICE_TRY(put_part(out, &part, sl_decide_save_groups(engine->decide, &part)));
    return sl_influence_save(engine->influence, out);
}

static sluice_span rest_of(const sl_reader *reader)
{
    return (sluice_span){reader->at, (size_t)(reader->end - reader->at)};
}

/* The parts of a checkpoint, lent by it; empty where its version has none. */
typedef struct checkpoint_parts {
    uint64_t next_offset;
    sluice_span portfolio, decide, groups, influence;
    bool has_influence, has_sets, has_counts; /* has_counts: of groups, in `decide` */
} checkpoint_parts;

static sluice_span read_part(sl_reader *reader)
{
    uint64_t size = sl_reader_u64(reader);
    return sl_reader_span(reader, (size_t)size);
}

static sluice_status read_parts(sluice_span checkpoint, checkpoint_parts *out)
{
    sl_reader reader = sl_reader_of(checkpoint);
    uint32_t magic = sl_reader_u32(&reader);
    uint32_t version = sl_reader_u32(&reader);
    *out = (checkpoint_parts){.next_offset = sl_reader_u64(&reader)};
    if (reader.bad || magic != CHECKPOINT_MAGIC || version < 1 || version > CHECKPOINT_VERSION) {
        return SLUICE_E_CORRUPT;
    }
    out->has_influence = version > 1;
    out->has_sets = version > 2;
    if (!out->has_influence) {
        out->portfolio = rest_of(&reader);
        return SLUICE_OK;
    }
    out->portfolio = read_part(&reader);
    if (version > 2) {
        out->decide = read_part(&reader);
        out->has_counts = version == 3;
    }
    if (version > 3) {
        out->groups = read_part(&reader);
    }
    out->influence = rest_of(&reader);
    return reader.bad ? SLUICE_E_CORRUPT : SLUICE_OK;
}

static sluice_status load_decide(sluice_engine *engine, const checkpoint_parts *parts)
{
    sl_reader reader = sl_reader_of(parts->decide);
    SLUICE_TRY(sl_decide_load(engine->decide, &reader, parts->has_counts));
    if (reader.at != reader.end || reader.bad) {
        return SLUICE_E_CORRUPT;
    }
    return sl_decide_load_groups(engine->decide, parts->groups);
}

sluice_status sluice_engine_load(sluice_engine *engine, sluice_span checkpoint)
{
    checkpoint_parts parts;
    SLUICE_TRY(read_parts(checkpoint, &parts));
    if (parts.decide.size > 0) {
        SLUICE_TRY(load_decide(engine, &parts));
    }
    if (parts.has_influence) {
        SLUICE_TRY(sl_influence_load(engine->influence, parts.influence, parts.has_sets));
    }
    SLUICE_TRY(sluice_portfolio_load(engine->portfolio, parts.portfolio));
    engine->next_offset = parts.next_offset;
    return SLUICE_OK;
}

/* Counts first, for the numbers of the sources; back to what they were if influence fails. */
static sluice_status merge_parts(sluice_engine *engine, const checkpoint_parts *parts,
                                 sluice_portfolio *other, sluice_bytes *before)
{
    uint16_t source_of[SLUICE_LIMIT_SOURCES + 1];
    SLUICE_TRY(sluice_portfolio_load(other, parts->portfolio));
    SLUICE_TRY(sluice_portfolio_save(engine->portfolio, before));
    sluice_portfolio_merge(engine->portfolio, other, source_of);
    sluice_status status =
        parts->has_influence
            ? sl_influence_merge(engine->influence, parts->influence, parts->has_sets, source_of)
            : SLUICE_OK;
    if (status != SLUICE_OK) {
        const sluice_span counted = {before->data, before->size};
        SLUICE_ASSERT(sluice_portfolio_load(engine->portfolio, counted) == SLUICE_OK);
    }
    return status;
}

sluice_status sluice_engine_merge(sluice_engine *engine, sluice_span checkpoint,
                                  sluice_message *why)
{
    checkpoint_parts parts;
    sluice_portfolio *other = NULL;
    sluice_portfolio *groups = NULL;
    sluice_bytes before = {0};
    sluice_status status = read_parts(checkpoint, &parts);
    status = status == SLUICE_OK ? sluice_portfolio_open(&other) : status;
    status =
        status == SLUICE_OK ? sl_decide_read_groups(engine->decide, parts.groups, &groups) : status;
    status = status == SLUICE_OK ? merge_parts(engine, &parts, other, &before) : status;
    if (status == SLUICE_OK && groups != NULL) {
        sl_decide_add_groups(engine->decide, groups);
    }
    sluice_portfolio_close(&other);
    sluice_portfolio_close(&groups);
    sl_bytes_fini(&before);
    if (status == SLUICE_E_CONFIG) {
        return sluice_fail(why, status,
                           "the encoders or reference sets of the two states do not go together");
    }
    return status == SLUICE_OK ? status
                               : sluice_fail(why, status, "the other state cannot be read");
}

sluice_status sluice_portfolio_of_checkpoint(sluice_span checkpoint, sluice_portfolio *portfolio,
                                             sluice_portfolio *groups, uint64_t *next_offset)
{
    checkpoint_parts parts;
    SLUICE_TRY(read_parts(checkpoint, &parts));
    *next_offset = parts.next_offset;
    if (groups != NULL && parts.groups.size > 0) {
        SLUICE_TRY(sluice_portfolio_load(groups, parts.groups));
    }
    return sluice_portfolio_load(portfolio, parts.portfolio);
}
