/* durable.c - the durable form of what the duplicate stage remembers of one sample.
 *
 *   always         | version 3 | has 1 | offset v | arrived 8 | producer v |
 *                    id size v, id | source size v, source |
 *   RAW            | raw hash 16 |
 *   NORMAL         | normal hash 16 |
 *   SKETCH         | profile 1, sketch 128 | trace 16, in version 3 |
 *   BOTTOM         | n 1, hashes 4 n |
 *   IMAGE          | signature 64, colours 32 |
 *   EMBEDDING      | key 4, sign bits 64, dimension v, vector of 16-bit integers |
 *   always         | oldest offset v of exact, of text, of image, in version 3 of embedding |
 *   VERDICT        | decision 1, weight 4, reasons 1, each: size v, bytes with their NUL |
 *
 *   v = varint; integers are little-endian. About 185 bytes and the names for a text, 140 for an
 *   image. Version 1 has no images and no oldest offset of theirs, version 2 neither traces nor
 *   embeddings; it is written where nothing is said of them. Without VERDICT (0x80) the sample was
 *   kept, with weight 1 and for no reason.
 *
 * Why strict: a row comes back from a disk. What is not exactly a row is refused as a whole, so a
 * damaged one can hide samples and never makes a false duplicate of one.
 * Why the oldest offsets: where samples were forgotten, fewer rows come back than were there, and
 * older ones that had made room for them would fit again. Found again they must not be. */
#include "duplicate/durable.h"

#include "bytes.h"

#include <float.h>

#define VERSION       3
#define VERSION_PLAIN 2 /* no trace, nothing of embeddings */
#define VERSION_TEXT  1 /* before images: never written    */
#define HAS_TEXT      (SLUICE_HAS_RAW | SLUICE_HAS_NORMAL | SLUICE_HAS_SKETCH)
#define HAS_PLAIN     (HAS_TEXT | SLUICE_HAS_IMAGE | SLUICE_HAS_BOTTOM)
#define HAS_ALL       (HAS_PLAIN | SLUICE_HAS_EMBEDDING)
#define HAS_VERDICT   0x80

static sluice_status write_span(sluice_span span, sluice_bytes *out)
{
    SLUICE_TRY(sl_bytes_put_varint(out, span.size));
    return sl_bytes_append(out, span.data, span.size);
}

static sluice_status write_hash(const uint64_t *hash, sluice_bytes *out)
{
    SLUICE_TRY(sl_bytes_put_u64(out, hash[0]));
    return sl_bytes_put_u64(out, hash[1]);
}

static bool is_plain(const sluice_verdict *verdict)
{
    const float one = 1;
    return verdict->decision == SLUICE_KEEP && verdict->n_reasons == 0 &&
           memcmp(&verdict->weight, &one, sizeof one) == 0;
}

static sluice_status write_verdict(const sluice_verdict *verdict, sluice_bytes *out)
{
    uint32_t weight;
    memcpy(&weight, &verdict->weight, sizeof weight);
    SLUICE_TRY(sl_bytes_put_u8(out, (uint8_t)verdict->decision));
    SLUICE_TRY(sl_bytes_put_u32(out, weight));
    SLUICE_TRY(sl_bytes_put_u8(out, (uint8_t)verdict->n_reasons));
    for (uint32_t i = 0; i < verdict->n_reasons; i++) {
        size_t size = strlen(verdict->reasons[i]) + 1;
        SLUICE_TRY(sl_bytes_put_varint(out, size));
        SLUICE_TRY(sl_bytes_append(out, verdict->reasons[i], size));
    }
    return SLUICE_OK;
}

static bool has_trace(const sluice_features *features)
{
    static const uint8_t none[SLUICE_TRACE_BYTES];
    return (features->has & SLUICE_HAS_SKETCH) != 0 &&
           memcmp(features->trace, none, sizeof none) != 0;
}

static sluice_status write_embedding(const sluice_features *features, sluice_bytes *out)
{
    SLUICE_TRY(sl_bytes_put_u32(out, features->embedding_key));
    for (uint32_t k = 0; k < SLUICE_SIGN_WORDS; k++) {
        SLUICE_TRY(sl_bytes_put_u64(out, features->sign_bits[k]));
    }
    SLUICE_TRY(sl_bytes_put_varint(out, features->embedding.size / 2));
    return sl_bytes_append(out, features->embedding.data, features->embedding.size);
}

static sluice_status write_fields(const sluice_sample *sample, const sl_durable_from *from,
                                  sluice_bytes *out)
{
    const sluice_features *features = &sample->features;
    bool whole =
        has_trace(features) || (features->has & SLUICE_HAS_EMBEDDING) != 0 || from->embedding != 0;
    SLUICE_TRY(sl_bytes_put_u8(out, whole ? VERSION : VERSION_PLAIN));
    bool plain = is_plain(&sample->verdict);
    SLUICE_TRY(
        sl_bytes_put_u8(out, (uint8_t)((features->has & HAS_ALL) | (plain ? 0 : HAS_VERDICT))));
    SLUICE_TRY(sl_bytes_put_varint(out, sample->offset));
    SLUICE_TRY(sl_bytes_put_u64(out, (uint64_t)sample->arrived_us));
    SLUICE_TRY(sl_bytes_put_varint(out, sample->i_producer));
    SLUICE_TRY(write_span(sample->id, out));
    SLUICE_TRY(write_span(sample->source, out));
    if (features->has & SLUICE_HAS_RAW) {
        SLUICE_TRY(write_hash(features->raw_hash, out));
    }
    if (features->has & SLUICE_HAS_NORMAL) {
        SLUICE_TRY(write_hash(features->normal_hash, out));
    }
    if (features->has & SLUICE_HAS_SKETCH) {
        SLUICE_TRY(sl_bytes_put_u8(out, features->profile));
        SLUICE_TRY(sl_bytes_append(out, features->sketch, sizeof features->sketch));
    }
    if (whole && (features->has & SLUICE_HAS_SKETCH) != 0) {
        SLUICE_TRY(sl_bytes_append(out, features->trace, sizeof features->trace));
    }
    if (features->has & SLUICE_HAS_BOTTOM) {
        SLUICE_TRY(sl_bytes_put_u8(out, (uint8_t)features->n_bottom));
        SLUICE_TRY(sl_bytes_append(out, features->bottom,
                                   features->n_bottom * sizeof features->bottom[0]));
    }
    if (features->has & SLUICE_HAS_IMAGE) {
        SLUICE_TRY(
            sl_bytes_append(out, features->image_signature, sizeof features->image_signature));
        SLUICE_TRY(sl_bytes_append(out, features->image_colours, sizeof features->image_colours));
    }
    if (features->has & SLUICE_HAS_EMBEDDING) {
        SLUICE_TRY(write_embedding(features, out));
    }
    SLUICE_TRY(sl_bytes_put_varint(out, from->exact));
    SLUICE_TRY(sl_bytes_put_varint(out, from->text));
    SLUICE_TRY(sl_bytes_put_varint(out, from->image));
    if (whole) {
        SLUICE_TRY(sl_bytes_put_varint(out, from->embedding));
    }
    return plain ? SLUICE_OK : write_verdict(&sample->verdict, out);
}

sluice_status sl_durable_write(const sluice_sample *sample, const sl_durable_from *from,
                               sluice_bytes *out)
{
    size_t size = out->size;
    sluice_status status = write_fields(sample, from, out);
    if (status != SLUICE_OK) {
        out->size = size;
    }
    return status;
}

static void read_hash(sl_reader *reader, uint64_t *hash)
{
    hash[0] = sl_reader_u64(reader);
    hash[1] = sl_reader_u64(reader);
}

static void read_bottom(sl_reader *reader, sluice_features *features)
{
    uint8_t n = sl_reader_u8(reader);
    if (n == 0 || n > SLUICE_BOTTOM_HASHES) {
        reader->bad = true;
        return;
    }
    sluice_span bottom = sl_reader_span(reader, n * sizeof features->bottom[0]);
    if (bottom.size == n * sizeof features->bottom[0]) {
        memcpy(features->bottom, bottom.data, bottom.size);
        features->n_bottom = n;
    }
    for (uint32_t i = 1; i < features->n_bottom; i++) {
        reader->bad |= features->bottom[i - 1] >= features->bottom[i];
    }
}

static void read_embedding(sl_reader *reader, sluice_features *features)
{
    features->embedding_key = sl_reader_u32(reader);
    for (uint32_t k = 0; k < SLUICE_SIGN_WORDS; k++) {
        features->sign_bits[k] = sl_reader_u64(reader);
    }
    uint64_t dim = sl_reader_varint(reader);
    if (dim < SLUICE_EMBEDDING_MIN || dim > SLUICE_EMBEDDING_MAX) {
        reader->bad = true;
        return;
    }
    features->embedding = sl_reader_span(reader, 2 * (size_t)dim);
}

static void read_features(sl_reader *reader, uint8_t version, sluice_features *features)
{
    if (features->has & SLUICE_HAS_RAW) {
        read_hash(reader, features->raw_hash);
    }
    if (features->has & SLUICE_HAS_NORMAL) {
        read_hash(reader, features->normal_hash);
    }
    if (features->has & SLUICE_HAS_SKETCH) {
        features->profile = sl_reader_u8(reader);
        sluice_span sketch = sl_reader_span(reader, sizeof features->sketch);
        if (sketch.size == sizeof features->sketch) {
            memcpy(features->sketch, sketch.data, sketch.size);
        }
        if (version == VERSION) {
            sluice_span trace = sl_reader_span(reader, sizeof features->trace);
            if (trace.size == sizeof features->trace) {
                memcpy(features->trace, trace.data, trace.size);
            }
        }
    }
    if (features->has & SLUICE_HAS_BOTTOM) {
        read_bottom(reader, features);
    }
    if (features->has & SLUICE_HAS_IMAGE) {
        sluice_span signature = sl_reader_span(reader, SLUICE_IMAGE_BYTES);
        sluice_span colours = sl_reader_span(reader, SLUICE_IMAGE_COLOURS);
        if (colours.size == SLUICE_IMAGE_COLOURS) {
            memcpy(features->image_signature, signature.data, signature.size);
            memcpy(features->image_colours, colours.data, colours.size);
        }
    }
    if (features->has & SLUICE_HAS_EMBEDDING) {
        read_embedding(reader, features);
    }
}

/* A size is checked before it is used: hostile ones reach 2^64. */
static sluice_span read_name(sl_reader *reader, size_t limit)
{
    uint64_t size = sl_reader_varint(reader);
    if (size > limit) {
        reader->bad = true;
        return (sluice_span){0};
    }
    return sl_reader_span(reader, (size_t)size);
}

static bool is_name(sluice_span name)
{
    return sl_utf8_valid(name) && (name.size == 0 || memchr(name.data, 0, name.size) == NULL);
}

/* A signature has none. */
static uint32_t bits_beyond(const uint8_t *signature)
{
    _Static_assert(SLUICE_IMAGE_BITS / 8 == SLUICE_IMAGE_BYTES - 3, "17 bits beyond the last");
    return (uint32_t)signature[61] >> SLUICE_IMAGE_BITS % 8 | signature[62] | signature[63];
}

static bool is_row(const sluice_sample *sample)
{
    const sluice_features *features = &sample->features;
    bool has_profile =
        features->profile > SLUICE_PROFILE_AUTO && features->profile < SLUICE_N_PROFILES;
    return features->has != 0 && (features->has & ~HAS_ALL) == 0 && sample->offset != UINT64_MAX &&
           sample->id.size > 0 && is_name(sample->id) && is_name(sample->source) &&
           ((features->has & SLUICE_HAS_SKETCH) == 0 || has_profile) &&
           bits_beyond(features->image_signature) == 0;
}

/* Of a kept or flagged sample; the reasons stay in the row. */
static void read_verdict(sl_reader *reader, sluice_verdict *verdict)
{
    uint8_t decision = sl_reader_u8(reader);
    uint32_t weight = sl_reader_u32(reader);
    memcpy(&verdict->weight, &weight, sizeof weight);
    verdict->decision = decision == SLUICE_FLAG ? SLUICE_FLAG : SLUICE_KEEP;
    verdict->n_reasons = sl_reader_u8(reader);
    bool good = (decision == SLUICE_KEEP || decision == SLUICE_FLAG) &&
                verdict->n_reasons <= SLUICE_LIMIT_REASONS && verdict->weight >= 0 &&
                verdict->weight <= FLT_MAX;
    for (uint32_t i = 0; good && i < verdict->n_reasons; i++) {
        sluice_span reason = read_name(reader, SLUICE_LIMIT_SOURCE_BYTES);
        good = reason.size > 0 &&
               memchr(reason.data, 0, reason.size) == reason.data + reason.size - 1 &&
               sl_utf8_valid(reason);
        verdict->reasons[i] = (const char *)reason.data;
    }
    reader->bad = reader->bad || !good || is_plain(verdict);
}

sluice_status sl_durable_read(sluice_span row, sluice_sample *sample, sl_durable_from *from)
{
    *from = (sl_durable_from){0};
    *sample = (sluice_sample){0};
    sl_reader reader = sl_reader_of(row);
    uint8_t version = sl_reader_u8(&reader);
    uint8_t has = sl_reader_u8(&reader);
    sample->features.has = has & (uint8_t)~HAS_VERDICT;
    sample->verdict.weight = 1;
    sample->offset = sl_reader_varint(&reader);
    sample->arrived_us = (int64_t)sl_reader_u64(&reader);
    uint64_t i_producer = sl_reader_varint(&reader);
    sample->i_producer = (uint32_t)i_producer;
    sample->id = read_name(&reader, SLUICE_LIMIT_ID_BYTES);
    sample->source = read_name(&reader, SLUICE_LIMIT_SOURCE_BYTES);
    read_features(&reader, version, &sample->features);
    from->exact = sl_reader_varint(&reader);
    from->text = sl_reader_varint(&reader);
    from->image = version >= VERSION_PLAIN ? sl_reader_varint(&reader) : 0;
    from->embedding = version >= VERSION ? sl_reader_varint(&reader) : 0;
    if (has & HAS_VERDICT) {
        read_verdict(&reader, &sample->verdict);
    }
    uint8_t told = sample->features.has;
    bool known = version == VERSION || (version == VERSION_PLAIN && (told & ~HAS_PLAIN) == 0) ||
                 (version == VERSION_TEXT && (told & ~HAS_TEXT) == 0);
    if (!known || reader.bad || reader.at != reader.end || i_producer > UINT32_MAX ||
        !is_row(sample)) {
        *sample = (sluice_sample){0};
        *from = (sl_durable_from){0};
        return SLUICE_E_BADSAMPLE;
    }
    return SLUICE_OK;
}
