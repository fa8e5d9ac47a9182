/* push.c - kept samples to plain PULL sockets: no request, no commit.
 *
 *   log --select--> | Sample | Sample | ... |  --one message a Sample--> PUSH
 *                        ^ at
 * What this cannot promise: a sample counts as delivered once ZeroMQ has taken it; what a killed
 * receiver had in its queue is lost, and nobody is told. */
#include "egress/push.h"
#include "bytes.h"

#include <stdlib.h>
#include <zmq.h>

#define READ_BYTES (256u << 10)

struct sl_push {
    void *socket;
    sl_spool *spool;
    sluice_bytes read;   /* samples read ahead, as the body of a Batch  */
    size_t at;           /* handed over up to here                      */
    uint64_t from, next; /* the offsets that `read` holds: [from, next) */
};

sluice_status sl_push_open(void *socket, sl_spool *spool, sl_push **out)
{
    *out = calloc(1, sizeof **out);
    if (*out == NULL) {
        return SLUICE_E_NOMEM;
    }
    (*out)->socket = socket;
    (*out)->spool = spool;
    return SLUICE_OK;
}

void sl_push_close(sl_push **push_p)
{
    sl_push *push = *push_p;
    if (push != NULL) {
        zmq_close(push->socket);
        sl_bytes_fini(&push->read);
        free(push);
        *push_p = NULL;
    }
}

bool sl_push_waits(const sl_push *push)
{
    return push->at < push->read.size;
}

void *sl_push_socket(const sl_push *push)
{
    return push->socket;
}

/* True if everything read was handed over. */
static bool hand_over(sl_push *push)
{
    while (push->at < push->read.size) {
        sl_reader reader =
            sl_reader_of((sluice_span){push->read.data + push->at, push->read.size - push->at});
        (void)sl_reader_varint(&reader); /* the tag of Batch.samples */
        size_t size = (size_t)sl_reader_varint(&reader);
        sluice_span sample = sl_reader_span(&reader, size);
        SLUICE_ASSERT(!reader.bad); /* the spool wrote it and checked it */
        if (zmq_send(push->socket, sample.data, sample.size, ZMQ_DONTWAIT) < 0) {
            return false;
        }
        push->at = (size_t)(reader.at - push->read.data);
    }
    return true;
}

sluice_status sl_push_some(sl_push *push, uint64_t from, uint64_t *handed_over, sluice_message *why)
{
    *handed_over = from;
    if (sl_push_waits(push)) {
        if (!hand_over(push)) {
            return SLUICE_OK;
        }
        *handed_over = push->next;
        return SLUICE_OK;
    }
    sl_bytes_clear(&push->read);
    push->at = 0;
    sl_spool_selected selected;
    sl_spool_select select = {
        .from_offset = from, .below_offset = UINT64_MAX, .max_bytes = READ_BYTES};
    SLUICE_TRY(sl_spool_select_batch(push->spool, &select, &push->read, &selected, why));
    push->from = from;
    push->next = selected.next_offset;
    if (hand_over(push)) {
        *handed_over = push->next;
    }
    return SLUICE_OK;
}
