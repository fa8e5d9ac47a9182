/* references.c - reference sets that are listed, added and removed while the filter runs.
 *
 *   ADD piece, piece, ... last --> [ set so far ] --job--> estimator, committer --job--> REFERENCES
 *
 * Why in pieces of 64 KiB: frames of this port stay small, whoever connects. Why one set at a time:
 * it is a matter of seconds for a person, and memory for one is the bound. A client that is
 * overtaken hears GAP and begins anew. Why here and not where samples come in: it is asked and
 * answered, as everything on this port, and needs no place in a producer's sequence. */
#include "egress/state.h"
#include "bytes.h"

#include <stdio.h>
#include <string.h>

/* Adds a piece to the set; false if it was answered with an error. */
static bool take_piece(sl_egress *egress, sl_received *received)
{
    const sl_reference_request *request = &received->message.as.reference;
    const size_t size = received->has_body ? zmq_msg_size(&received->body) : 0;
    if (request->at == 0) {
        sl_bytes_clear(&egress->set);
        memcpy(egress->set_name, request->name, sizeof egress->set_name);
    }
    if (strcmp(egress->set_name, request->name) != 0 || request->at != egress->set.size) {
        sl_egress_answer_error(egress, &received->peer, SL_CODE_GAP, false,
                               "another client adds a reference set, or a piece is missing: begin "
                               "anew");
        return false;
    }
    if (size == 0 || request->at + size > SLUICE_LIMIT_REFERENCE_BYTES) {
        sl_egress_answer_error(egress, &received->peer,
                               size == 0 ? SL_CODE_MALFORMED : SL_CODE_TOO_LARGE, false,
                               "reference.ADD needs a second frame, and a set at most 64 MiB");
        return false;
    }
    if (sl_bytes_append(&egress->set, zmq_msg_data(&received->body), size) != SLUICE_OK) {
        sl_egress_answer_error(egress, &received->peer, SL_CODE_WINDOW_EXCEEDED, true,
                               "no memory for a reference set now");
        return false;
    }
    return true;
}

void sl_egress_take_reference(sl_egress *egress, sl_received *received)
{
    const sl_reference_request *request = &received->message.as.reference;
    const sl_peer *peer = &received->peer;
    if (request->action != SL_REFERENCE_LIST && !sl_egress_is_admin(egress, received)) {
        sl_egress_answer_error(egress, peer, SL_CODE_FORBIDDEN, false,
                               "this key lacks the right \"admin\"");
        return;
    }
    if (atomic_load(&egress->stopping)) {
        sl_egress_answer_error(egress, peer, SL_CODE_SHUTTING_DOWN, true,
                               "this filter is shutting down");
        return;
    }
    if (request->action == SL_REFERENCE_ADD && !take_piece(egress, received)) {
        return;
    }
    if (request->action == SL_REFERENCE_ADD && request->more) {
        egress->answer.kind = SL_REFERENCES;
        egress->answer.as.references = (sl_references){.n = 0};
        (void)sl_egress_answer(egress, peer, false);
        return;
    }
    sl_operation *taken = sl_operations_take_reference(&egress->operations, request);
    taken->peer = *peer;
    if (request->action == SL_REFERENCE_ADD) {
        const sluice_bytes set = egress->set; /* changes hands: the next set may come meanwhile */
        egress->set = taken->wires;
        taken->wires = set;
        sl_bytes_clear(&egress->set);
        egress->set_name[0] = '\0';
        taken->job.bytes = (sluice_span){taken->wires.data, taken->wires.size};
    }
    sl_egress_start(egress, taken);
}

void sl_egress_finish_reference(sl_egress *egress, sl_operation *done)
{
    if (done->job.code != SL_CODE_UNSPECIFIED) {
        sl_egress_answer_error(egress, &done->peer, done->job.code, false, done->job.why.text);
    } else {
        if (done->reference.action != SL_REFERENCE_LIST) {
            sl_log(1, "EGRESS-REFERENCE", "%s=%s offset=%llu",
                   done->reference.action == SL_REFERENCE_ADD ? "added" : "removed",
                   done->reference.name, (unsigned long long)done->job.checkpoint_offset);
        }
        egress->answer.kind = SL_REFERENCES;
        egress->answer.as.references = done->job.references;
        (void)sl_egress_answer(egress, &done->peer, false);
    }
    sl_bytes_fini(&done->job.checkpoint);
    sl_bytes_fini(&done->wires);
    sl_operations_give(&egress->operations, done);
}
