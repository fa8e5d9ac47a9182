/* session.c - the messages of a session as values: encode and decode of frame 1.
 *
 *   sl_message { kind, as.put { sequence, count, xxh3 } }  <->  ToFilter { put: Put { ... } }
 *
 * Why values of fixed size: the loops that handle them own no memory of a message, and a name that
 * does not fit is refused here, once.
 * Why a string is repaired when it is written: a text may have been cut to its size inside a
 * character, and most runtimes refuse a whole message for one string that is not UTF-8. */
#include "wire/session.h"

#include "arena.h"
#include "bytes.h"
#include "decode/unpack.h"
#include "sluice/v1/session.pb-c.h"

typedef Sluice__V1__ToFilter to_filter;
typedef Sluice__V1__FromFilter from_filter;

_Static_assert(SL_CODE_SHUTTING_DOWN == (int)SLUICE__V1__ERROR__CODE__CODE_SHUTTING_DOWN,
               "sl_code follows Error.Code");

bool sl_session_batch_fits(sluice_span batch)
{
    if (batch.size <= SLUICE_LIMIT_BATCH_BYTES) {
        return true;
    }
    sl_reader reader = sl_reader_of(batch);
    bool is_sample = sl_reader_varint(&reader) == 0x0a; /* Batch.samples */
    uint64_t size = sl_reader_varint(&reader);
    return batch.size <= SLUICE_LIMIT_MESSAGE_BYTES && is_sample && !reader.bad &&
           size == (uint64_t)(reader.end - reader.at);
}

const char *sl_code_name(sl_code code)
{
    static const char *const names[] = {
        [SL_CODE_UNSPECIFIED] = "UNSPECIFIED",
        [SL_CODE_MALFORMED] = "MALFORMED",
        [SL_CODE_TOO_LARGE] = "TOO_LARGE",
        [SL_CODE_GAP] = "GAP",
        [SL_CODE_FENCED] = "FENCED",
        [SL_CODE_UNKNOWN_PRODUCER] = "UNKNOWN_PRODUCER",
        [SL_CODE_FORBIDDEN] = "FORBIDDEN",
        [SL_CODE_WINDOW_EXCEEDED] = "WINDOW_EXCEEDED",
        [SL_CODE_OFFSET_GONE] = "OFFSET_GONE",
        [SL_CODE_LEASE_LOST] = "LEASE_LOST",
        [SL_CODE_WIRE_VERSION] = "WIRE_VERSION",
        [SL_CODE_SHUTTING_DOWN] = "SHUTTING_DOWN",
    };
    return (unsigned)code < sizeof names / sizeof *names ? names[code] : "UNSPECIFIED";
}

/* --- decode --- */

/* Copies a string that sl_prescan has checked; false with a sentence if it is too long. */
static bool take_text(const char *name, const char *text, char *out, size_t room,
                      sluice_message *why)
{
    size_t size = strlen(text);
    if (size >= room) {
        (void)sluice_fail(why, SLUICE_E_BADSAMPLE, "%s is %zu bytes; the limit is %zu", name, size,
                          room - 1);
        return false;
    }
    memcpy(out, text, size + 1);
    return true;
}

/* The fields of a fixed array, whose size it knows. */
#define TAKE_TEXT(name, text, out) take_text(name, text, out, sizeof(out), why)

static sluice_status refuse_empty(const char *name, sluice_message *why)
{
    return sluice_fail(why, SLUICE_E_BADSAMPLE, "%s is empty; it takes 1 to %d bytes", name,
                       SLUICE_LIMIT_ID_BYTES);
}

static sluice_status take_hello(const Sluice__V1__Hello *from, sl_hello *hello, sluice_message *why)
{
    hello->wire = from->wire;
    if (!TAKE_TEXT("hello.producer", from->producer, hello->producer)) {
        return SLUICE_E_BADSAMPLE;
    }
    return hello->producer[0] != 0 ? SLUICE_OK : refuse_empty("hello.producer", why);
}

static sluice_status take_fetch(const Sluice__V1__Fetch *from, sl_fetch *fetch, sluice_message *why)
{
    if (!TAKE_TEXT("fetch.group", from->group, fetch->group) ||
        !TAKE_TEXT("fetch.consumer", from->consumer, fetch->consumer)) {
        return SLUICE_E_BADSAMPLE;
    }
    if (from->from_case == SLUICE__V1__FETCH__FROM_OFFSET) {
        fetch->offset = from->offset;
    } else if (from->from_case == SLUICE__V1__FETCH__FROM_AFTER_COMMITS && from->after_commits) {
        fetch->after_commits = true;
    } else {
        return sluice_fail(why, SLUICE_E_BADSAMPLE,
                           "fetch says neither offset nor after_commits: true");
    }
    fetch->max_bytes = from->max_bytes;
    fetch->wait_ms = from->wait_ms;
    fetch->shard = from->shard;
    fetch->shards = from->shards;
    fetch->lease_ms = from->lease_ms;
    fetch->all = from->all;
    return SLUICE_OK;
}

static sluice_status take_commit(const Sluice__V1__Commit *from, sl_commit *commit,
                                 sluice_message *why)
{
    commit->first_offset = from->first_offset;
    commit->next_offset = from->next_offset;
    return TAKE_TEXT("commit.group", from->group, commit->group) ? SLUICE_OK : SLUICE_E_BADSAMPLE;
}

static sluice_status take_reject(const Sluice__V1__Reject *from, sl_reject *reject,
                                 sluice_message *why)
{
    reject->offset = from->offset;
    bool taken = TAKE_TEXT("reject.group", from->group, reject->group) &&
                 TAKE_TEXT("reject.reason", from->reason, reject->reason);
    return taken ? SLUICE_OK : SLUICE_E_BADSAMPLE;
}

static sluice_status take_reference(const Sluice__V1__Reference *from, sl_reference_request *out,
                                    sluice_message *why)
{
    if (from->action < 0 || from->action > SLUICE__V1__REFERENCE__ACTION__REMOVE) {
        return sluice_fail(why, SLUICE_E_BADSAMPLE, "reference.action %d is not known",
                           (int)from->action);
    }
    out->action = (sl_reference_action)from->action;
    out->at = from->at;
    out->more = from->more;
    return TAKE_TEXT("reference.name", from->name, out->name) ? SLUICE_OK : SLUICE_E_BADSAMPLE;
}

static sluice_status take_forget(const Sluice__V1__Forget *from, sl_forget *out,
                                 sluice_message *why)
{
    out->has_offset = from->only_case == SLUICE__V1__FORGET__ONLY_OFFSET;
    out->offset = out->has_offset ? from->offset : 0;
    return TAKE_TEXT("forget.id", from->id, out->id) ? SLUICE_OK : SLUICE_E_BADSAMPLE;
}

static sluice_status take_references(const Sluice__V1__References *from, sl_references *out,
                                     sluice_message *why)
{
    if (from->n_sets > SLUICE_LIMIT_REFERENCES) {
        return sluice_fail(why, SLUICE_E_BADSAMPLE, "references.sets are %zu; the limit is %d",
                           from->n_sets, SLUICE_LIMIT_REFERENCES);
    }
    for (size_t i = 0; i < from->n_sets; i++) {
        sl_reference_set *set = &out->set[out->n++];
        set->samples = from->sets[i]->samples;
        set->wanted = from->sets[i]->wanted;
        if (!TAKE_TEXT("set.name", from->sets[i]->name, set->name) ||
            !TAKE_TEXT("set.origin", from->sets[i]->origin, set->origin)) {
            return SLUICE_E_BADSAMPLE;
        }
    }
    return SLUICE_OK;
}

static sluice_status take_ack(const Sluice__V1__Ack *from, sl_ack *ack, sluice_message *why)
{
    ack->next_sequence = from->next_sequence;
    ack->max_in_flight_bytes = from->max_in_flight_bytes;
    ack->kept = from->kept;
    ack->flagged = from->flagged;
    ack->dropped = from->dropped;
    ack->refused = from->refused;
    ack->redelivered = from->redelivered;
    if (from->n_faults > SLUICE_LIMIT_FAULTS) {
        return sluice_fail(why, SLUICE_E_BADSAMPLE, "ack.faults are %zu; the limit is %d",
                           from->n_faults, SLUICE_LIMIT_FAULTS);
    }
    for (size_t i = 0; i < from->n_faults; i++) {
        sl_fault *fault = &ack->fault[i];
        fault->sequence = from->faults[i]->sequence;
        if (!TAKE_TEXT("fault.reason", from->faults[i]->reason, fault->reason) ||
            !TAKE_TEXT("fault.text", from->faults[i]->text, fault->text)) {
            return SLUICE_E_BADSAMPLE;
        }
        ack->n_faults++;
    }
    return SLUICE_OK;
}

static sluice_status take_error(const Sluice__V1__Error *from, sl_error *error, sluice_message *why)
{
    /* A newer filter may have codes that this one does not: `retry` and the text still tell. */
    bool known = from->code >= 0 && from->code <= SLUICE__V1__ERROR__CODE__CODE_SHUTTING_DOWN;
    error->code = known ? (sl_code)from->code : SL_CODE_UNSPECIFIED;
    error->retry = from->retry;
    error->expected_sequence = from->expected_sequence;
    error->retry_after_ms = from->retry_after_ms;
    return TAKE_TEXT("error.text", from->text, error->text) ? SLUICE_OK : SLUICE_E_BADSAMPLE;
}

static sluice_status refuse_kind(const char *type, sluice_message *why)
{
    return sluice_fail(why, SLUICE_E_BADSAMPLE, "%s has no kind of message that this version knows",
                       type);
}

static sluice_status take_to(const to_filter *from, sl_message *out, sluice_message *why)
{
    switch (from->kind_case) {
    case SLUICE__V1__TO_FILTER__KIND_HELLO:
        out->kind = SL_HELLO;
        return take_hello(from->hello, &out->as.hello, why);
    case SLUICE__V1__TO_FILTER__KIND_PUT:
        out->kind = SL_PUT;
        out->as.put = (sl_put){from->put->sequence, from->put->count, from->put->xxh3};
        return SLUICE_OK;
    case SLUICE__V1__TO_FILTER__KIND_FETCH:
        out->kind = SL_FETCH;
        return take_fetch(from->fetch, &out->as.fetch, why);
    case SLUICE__V1__TO_FILTER__KIND_COMMIT:
        out->kind = SL_COMMIT;
        return take_commit(from->commit, &out->as.commit, why);
    case SLUICE__V1__TO_FILTER__KIND_REJECT:
        out->kind = SL_REJECT;
        return take_reject(from->reject, &out->as.reject, why);
    case SLUICE__V1__TO_FILTER__KIND_REFERENCE:
        out->kind = SL_REFERENCE;
        return take_reference(from->reference, &out->as.reference, why);
    case SLUICE__V1__TO_FILTER__KIND_FORGET:
        out->kind = SL_FORGET;
        return take_forget(from->forget, &out->as.forget, why);
    case SLUICE__V1__TO_FILTER__KIND_PING:
        out->kind = SL_PING;
        return SLUICE_OK;
    default:
        return refuse_kind("ToFilter", why);
    }
}

static sluice_status take_from(const from_filter *from, sl_message *out, sluice_message *why)
{
    switch (from->kind_case) {
    case SLUICE__V1__FROM_FILTER__KIND_WELCOME:
        out->kind = SL_WELCOME;
        out->as.welcome =
            (sl_welcome){from->welcome->next_sequence, from->welcome->max_in_flight_bytes,
                         from->welcome->max_batch_bytes};
        return SLUICE_OK;
    case SLUICE__V1__FROM_FILTER__KIND_ACK:
        out->kind = SL_ACK;
        return take_ack(from->ack, &out->as.ack, why);
    case SLUICE__V1__FROM_FILTER__KIND_RECORDS:
        out->kind = SL_RECORDS;
        out->as.records =
            (sl_records){from->records->first_offset, from->records->next_offset,
                         from->records->head_offset, from->records->count, from->records->delivery};
        return SLUICE_OK;
    case SLUICE__V1__FROM_FILTER__KIND_COMMITTED:
        out->kind = SL_COMMITTED;
        out->as.committed.floor_offset = from->committed->floor_offset;
        return SLUICE_OK;
    case SLUICE__V1__FROM_FILTER__KIND_PONG:
        out->kind = SL_PONG;
        return SLUICE_OK;
    case SLUICE__V1__FROM_FILTER__KIND_REFERENCES:
        out->kind = SL_REFERENCES;
        return take_references(from->references, &out->as.references, why);
    case SLUICE__V1__FROM_FILTER__KIND_FORGOTTEN:
        out->kind = SL_FORGOTTEN;
        out->as.forgotten = (sl_forgotten){from->forgotten->rows, from->forgotten->offset,
                                           from->forgotten->head_offset};
        return SLUICE_OK;
    case SLUICE__V1__FROM_FILTER__KIND_ERROR:
        out->kind = SL_ERROR;
        return take_error(from->error, &out->as.error, why);
    default:
        return refuse_kind("FromFilter", why);
    }
}

/* Two kinds in one frame: runtimes agree that the last one counts, but a sender that does so means
 * something else. */
static bool has_one_kind(sluice_span frame, const ProtobufCMessageDescriptor *type)
{
    sl_reader reader = sl_reader_of(frame);
    sl_wire_field field;
    unsigned n_kinds = 0;
    while (sl_wire_field_next(&reader, &field)) {
        n_kinds += protobuf_c_message_descriptor_get_field(type, field.number) != NULL;
    }
    return n_kinds <= 1;
}

static sluice_status unpack_frame(sluice_span frame, const ProtobufCMessageDescriptor *type,
                                  sl_arena *arena, const ProtobufCMessage **out,
                                  sluice_message *why)
{
    sl_arena_reset(arena, sl_unpack_cap(frame.size));
    SLUICE_TRY(sl_unpack(type, frame, arena, out, why));
    if (!has_one_kind(frame, type)) {
        return sluice_fail(why, SLUICE_E_BADSAMPLE, "%s has more than one kind of message",
                           type->short_name);
    }
    return SLUICE_OK;
}

static sluice_status decode_frame(sluice_span frame, bool to, sl_message *out, sluice_message *why)
{
    memset(out, 0, sizeof *out);
    if (frame.size > SLUICE_LIMIT_FRAME_BYTES) {
        return sluice_fail(why, SLUICE_E_BADSAMPLE, "frame 1 is %zu bytes; the limit is %u",
                           frame.size, SLUICE_LIMIT_FRAME_BYTES);
    }
    sl_arena *arena;
    SLUICE_TRY(sl_arena_open(&arena));
    const ProtobufCMessage *unpacked;
    sluice_status status = unpack_frame(
        frame, to ? &sluice__v1__to_filter__descriptor : &sluice__v1__from_filter__descriptor,
        arena, &unpacked, why);
    if (status == SLUICE_OK) {
        status = to ? take_to((const to_filter *)unpacked, out, why)
                    : take_from((const from_filter *)unpacked, out, why);
    }
    sl_arena_close(&arena);
    if (status != SLUICE_OK) {
        memset(out, 0, sizeof *out);
    }
    return status == SLUICE_E_TOOBIG ? SLUICE_E_BADSAMPLE : status;
}

sluice_status sl_session_decode_to(sluice_span frame, sl_message *out, sluice_message *why)
{
    return decode_frame(frame, true, out, why);
}

sluice_status sl_session_decode_from(sluice_span frame, sl_message *out, sluice_message *why)
{
    return decode_frame(frame, false, out, why);
}

/* --- encode --- */

/* Replaces what is not UTF-8 by '?'. */
static void repair(char *text)
{
    for (size_t left = strlen(text); left > 0;) {
        size_t size = 1;
        while (size <= 4 && size <= left &&
               !sl_utf8_valid((sluice_span){(const uint8_t *)text, size})) {
            size++;
        }
        if (size > 4 || size > left) {
            *text = '?';
            size = 1;
        }
        text += size;
        left -= size;
    }
}

static char *repaired(char *text)
{
    if (!sl_utf8_valid(sl_span_of(text))) {
        repair(text);
    }
    return text;
}

static sluice_status pack(const ProtobufCMessage *message, sluice_bytes *out)
{
    sl_bytes_clear(out);
    SLUICE_TRY(sl_bytes_reserve(out, protobuf_c_message_get_packed_size(message)));
    out->size = protobuf_c_message_pack(message, out->data);
    return SLUICE_OK;
}

static sluice_status pack_fetch(sl_fetch *fetch, to_filter *to, sluice_bytes *out)
{
    Sluice__V1__Fetch packed = SLUICE__V1__FETCH__INIT;
    packed.group = repaired(fetch->group);
    packed.consumer = repaired(fetch->consumer);
    if (fetch->after_commits) {
        packed.from_case = SLUICE__V1__FETCH__FROM_AFTER_COMMITS;
        packed.after_commits = true;
    } else {
        packed.from_case = SLUICE__V1__FETCH__FROM_OFFSET;
        packed.offset = fetch->offset;
    }
    packed.max_bytes = fetch->max_bytes;
    packed.wait_ms = fetch->wait_ms;
    packed.shard = fetch->shard;
    packed.shards = fetch->shards;
    packed.lease_ms = fetch->lease_ms;
    packed.all = fetch->all;
    to->kind_case = SLUICE__V1__TO_FILTER__KIND_FETCH;
    to->fetch = &packed;
    return pack(&to->base, out);
}

static sluice_status pack_reference(sl_reference_request *request, to_filter *to, sluice_bytes *out)
{
    Sluice__V1__Reference packed = SLUICE__V1__REFERENCE__INIT;
    packed.action = (Sluice__V1__Reference__Action)request->action;
    packed.name = repaired(request->name);
    packed.at = request->at;
    packed.more = request->more;
    to->kind_case = SLUICE__V1__TO_FILTER__KIND_REFERENCE;
    to->reference = &packed;
    return pack(&to->base, out);
}

static sluice_status pack_forget(sl_forget *forget, to_filter *to, sluice_bytes *out)
{
    Sluice__V1__Forget packed = SLUICE__V1__FORGET__INIT;
    packed.id = repaired(forget->id);
    packed.only_case =
        forget->has_offset ? SLUICE__V1__FORGET__ONLY_OFFSET : SLUICE__V1__FORGET__ONLY__NOT_SET;
    packed.offset = forget->offset;
    to->kind_case = SLUICE__V1__TO_FILTER__KIND_FORGET;
    to->forget = &packed;
    return pack(&to->base, out);
}

static sluice_status encode_to(sl_message *message, sluice_bytes *out)
{
    to_filter to = SLUICE__V1__TO_FILTER__INIT;
    Sluice__V1__Hello hello = SLUICE__V1__HELLO__INIT;
    Sluice__V1__Put put = SLUICE__V1__PUT__INIT;
    Sluice__V1__Commit commit = SLUICE__V1__COMMIT__INIT;
    Sluice__V1__Reject reject = SLUICE__V1__REJECT__INIT;
    Sluice__V1__Ping ping = SLUICE__V1__PING__INIT;
    switch (message->kind) {
    case SL_HELLO:
        hello.wire = message->as.hello.wire;
        hello.producer = repaired(message->as.hello.producer);
        to.kind_case = SLUICE__V1__TO_FILTER__KIND_HELLO;
        to.hello = &hello;
        break;
    case SL_PUT:
        put.sequence = message->as.put.sequence;
        put.count = message->as.put.count;
        put.xxh3 = message->as.put.xxh3;
        to.kind_case = SLUICE__V1__TO_FILTER__KIND_PUT;
        to.put = &put;
        break;
    case SL_FETCH:
        return pack_fetch(&message->as.fetch, &to, out);
    case SL_COMMIT:
        commit.group = repaired(message->as.commit.group);
        commit.first_offset = message->as.commit.first_offset;
        commit.next_offset = message->as.commit.next_offset;
        to.kind_case = SLUICE__V1__TO_FILTER__KIND_COMMIT;
        to.commit = &commit;
        break;
    case SL_REJECT:
        reject.group = repaired(message->as.reject.group);
        reject.reason = repaired(message->as.reject.reason);
        reject.offset = message->as.reject.offset;
        to.kind_case = SLUICE__V1__TO_FILTER__KIND_REJECT;
        to.reject = &reject;
        break;
    case SL_REFERENCE:
        return pack_reference(&message->as.reference, &to, out);
    case SL_FORGET:
        return pack_forget(&message->as.forget, &to, out);
    default:
        to.kind_case = SLUICE__V1__TO_FILTER__KIND_PING;
        to.ping = &ping;
        break;
    }
    return pack(&to.base, out);
}

static sluice_status pack_ack(sl_ack *ack, from_filter *from, sluice_bytes *out)
{
    Sluice__V1__Ack packed = SLUICE__V1__ACK__INIT;
    Sluice__V1__Fault faults[SLUICE_LIMIT_FAULTS];
    Sluice__V1__Fault *pointers[SLUICE_LIMIT_FAULTS];
    SLUICE_ASSERT(ack->n_faults <= SLUICE_LIMIT_FAULTS);
    for (uint32_t i = 0; i < ack->n_faults; i++) {
        sluice__v1__fault__init(&faults[i]);
        faults[i].sequence = ack->fault[i].sequence;
        faults[i].reason = repaired(ack->fault[i].reason);
        faults[i].text = repaired(ack->fault[i].text);
        pointers[i] = &faults[i];
    }
    packed.next_sequence = ack->next_sequence;
    packed.max_in_flight_bytes = ack->max_in_flight_bytes;
    packed.kept = ack->kept;
    packed.flagged = ack->flagged;
    packed.dropped = ack->dropped;
    packed.refused = ack->refused;
    packed.redelivered = ack->redelivered;
    packed.n_faults = ack->n_faults;
    packed.faults = pointers;
    from->kind_case = SLUICE__V1__FROM_FILTER__KIND_ACK;
    from->ack = &packed;
    return pack(&from->base, out);
}

static sluice_status pack_records(const sl_records *records, from_filter *from, sluice_bytes *out)
{
    Sluice__V1__Records packed = SLUICE__V1__RECORDS__INIT;
    packed.first_offset = records->first_offset;
    packed.next_offset = records->next_offset;
    packed.head_offset = records->head_offset;
    packed.count = records->count;
    packed.delivery = records->delivery;
    from->kind_case = SLUICE__V1__FROM_FILTER__KIND_RECORDS;
    from->records = &packed;
    return pack(&from->base, out);
}

static sluice_status pack_error(sl_error *error, from_filter *from, sluice_bytes *out)
{
    Sluice__V1__Error packed = SLUICE__V1__ERROR__INIT;
    packed.code = (Sluice__V1__Error__Code)error->code;
    packed.text = repaired(error->text);
    packed.retry = error->retry;
    packed.expected_sequence = error->expected_sequence;
    packed.retry_after_ms = error->retry_after_ms;
    from->kind_case = SLUICE__V1__FROM_FILTER__KIND_ERROR;
    from->error = &packed;
    return pack(&from->base, out);
}

static sluice_status pack_references(sl_references *references, from_filter *from,
                                     sluice_bytes *out)
{
    Sluice__V1__References packed = SLUICE__V1__REFERENCES__INIT;
    Sluice__V1__References__Set sets[SLUICE_LIMIT_REFERENCES];
    Sluice__V1__References__Set *pointers[SLUICE_LIMIT_REFERENCES];
    SLUICE_ASSERT(references->n <= SLUICE_LIMIT_REFERENCES);
    for (uint32_t i = 0; i < references->n; i++) {
        sluice__v1__references__set__init(&sets[i]);
        sets[i].name = repaired(references->set[i].name);
        sets[i].origin = repaired(references->set[i].origin);
        sets[i].samples = references->set[i].samples;
        sets[i].wanted = references->set[i].wanted;
        pointers[i] = &sets[i];
    }
    packed.n_sets = references->n;
    packed.sets = pointers;
    from->kind_case = SLUICE__V1__FROM_FILTER__KIND_REFERENCES;
    from->references = &packed;
    return pack(&from->base, out);
}

static sluice_status encode_from(sl_message *message, sluice_bytes *out)
{
    from_filter from = SLUICE__V1__FROM_FILTER__INIT;
    Sluice__V1__Welcome welcome = SLUICE__V1__WELCOME__INIT;
    Sluice__V1__Committed committed = SLUICE__V1__COMMITTED__INIT;
    Sluice__V1__Forgotten forgotten = SLUICE__V1__FORGOTTEN__INIT;
    Sluice__V1__Pong pong = SLUICE__V1__PONG__INIT;
    switch (message->kind) {
    case SL_WELCOME:
        welcome.next_sequence = message->as.welcome.next_sequence;
        welcome.max_in_flight_bytes = message->as.welcome.max_in_flight_bytes;
        welcome.max_batch_bytes = message->as.welcome.max_batch_bytes;
        from.kind_case = SLUICE__V1__FROM_FILTER__KIND_WELCOME;
        from.welcome = &welcome;
        break;
    case SL_ACK:
        return pack_ack(&message->as.ack, &from, out);
    case SL_RECORDS:
        return pack_records(&message->as.records, &from, out);
    case SL_COMMITTED:
        committed.floor_offset = message->as.committed.floor_offset;
        from.kind_case = SLUICE__V1__FROM_FILTER__KIND_COMMITTED;
        from.committed = &committed;
        break;
    case SL_REFERENCES:
        return pack_references(&message->as.references, &from, out);
    case SL_FORGOTTEN:
        forgotten.rows = message->as.forgotten.n_rows;
        forgotten.offset = message->as.forgotten.offset;
        forgotten.head_offset = message->as.forgotten.head_offset;
        from.kind_case = SLUICE__V1__FROM_FILTER__KIND_FORGOTTEN;
        from.forgotten = &forgotten;
        break;
    case SL_ERROR:
        return pack_error(&message->as.error, &from, out);
    default:
        from.kind_case = SLUICE__V1__FROM_FILTER__KIND_PONG;
        from.pong = &pong;
        break;
    }
    return pack(&from.base, out);
}

sluice_status sl_session_encode(const sl_message *message, sluice_bytes *out)
{
    SLUICE_ASSERT((unsigned)message->kind <= SL_ERROR);
    sl_message copy; /* protobuf-c packs from mutable strings, and `repaired` changes them */
    memcpy(&copy, message, sizeof copy);
    return copy.kind <= SL_PING ? encode_to(&copy, out) : encode_from(&copy, out);
}
