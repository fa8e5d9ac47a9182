/* forget.c - a kept sample that a person wants forgotten while the filter runs.
 *
 *   FORGET id --job--> estimator (finds and erases), committer --job--> FORGOTTEN
 *
 * Why the estimator looks for the id and not who takes the message: samples that were judged and
 * are not durable yet are remembered too. Why no error where nothing is found: asked again after a
 * lost answer, nothing is left to be found. */
#include "egress/state.h"

void sl_egress_take_forget(sl_egress *egress, const sl_received *received)
{
    if (!sl_egress_is_admin(egress, received)) {
        sl_egress_answer_error(egress, &received->peer, SL_CODE_FORBIDDEN, false,
                               "this key lacks the right \"admin\"");
        return;
    }
    if (atomic_load(&egress->stopping)) {
        sl_egress_answer_error(egress, &received->peer, SL_CODE_SHUTTING_DOWN, true,
                               "this filter is shutting down");
        return;
    }
    sl_operation *taken =
        sl_operations_take_forget(&egress->operations, &received->message.as.forget);
    taken->peer = received->peer;
    sl_egress_start(egress, taken);
}

void sl_egress_finish_forget(sl_egress *egress, sl_operation *done)
{
    if (done->job.code != SL_CODE_UNSPECIFIED) {
        bool retry = done->job.code == SL_CODE_WINDOW_EXCEEDED;
        sl_egress_answer_error(egress, &done->peer, done->job.code, retry, done->job.why.text);
    } else {
        const sl_forgotten *forgotten = &done->job.forgotten;
        sl_log(1, "EGRESS-FORGET", "id=%s rows=%u offset=%llu", done->forget.id, forgotten->n_rows,
               (unsigned long long)forgotten->head_offset);
        egress->answer.kind = SL_FORGOTTEN;
        egress->answer.as.forgotten = *forgotten;
        (void)sl_egress_answer(egress, &done->peer, false);
    }
    sl_operations_give(&egress->operations, done);
}
