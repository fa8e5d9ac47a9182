/* spool_threads_test.c - readers of several threads beside the one that appends and deletes.
 *
 * Each reader sees whole commits at every look: samples in order from the first there is, as many
 * as the extent promised before. Meant for the thread sanitizer as well. */
#include "unit/spool_state.h"

#include <pthread.h>
#include <stdatomic.h>

#define N_READERS 3
#define N_COMMITS 400

typedef struct reader {
    sl_spool *spool;
    atomic_bool *stop;
    uint64_t n_looks, n_given;
    bool bad;
} reader;

static bool is_batch(const sluice_bytes *out, uint32_t count)
{
    sl_reader at = sl_reader_of((sluice_span){out->data, out->size});
    while (at.at < at.end && count > 0) {
        sl_reader_u8(&at);
        sl_reader_span(&at, sl_reader_varint(&at));
        count--;
    }
    return !at.bad && at.at == at.end && count == 0;
}

static void *read_on(void *context)
{
    reader *r = context;
    sluice_bytes out = {0};
    sl_spool_select select = {.below_offset = UINT64_MAX, .max_bytes = 20000};
    do { /* at least once: on a busy machine a thread may start when all is written */
        sl_spool_extent extent = sl_spool_extent_of(r->spool);
        sl_spool_selected selected;
        sl_bytes_clear(&out);
        r->bad = sl_spool_select_batch(r->spool, &select, &out, &selected, NULL) != SLUICE_OK ||
                 !is_batch(&out, selected.count) ||
                 (selected.count == 0 && selected.next_offset < extent.next_offset) ||
                 (r->n_looks % 16 == 0 && sl_spool_verify(r->spool, NULL) != SLUICE_OK);
        select.from_offset = selected.next_offset;
        r->n_given += selected.count;
        r->n_looks++;
    } while (!atomic_load(r->stop) && !r->bad);
    sl_bytes_fini(&out);
    return NULL;
}

static void test_readers_beside_the_writer_see_whole_commits(void **state)
{
    spool_state *s = *state;
    s->options.max_bytes = 1u << 20;
    reopen_state(s);
    atomic_bool stop = false;
    reader readers[N_READERS];
    pthread_t threads[N_READERS];
    for (int i = 0; i < N_READERS; i++) {
        readers[i] = (reader){.spool = s->spool, .stop = &stop};
        assert_int_equal(pthread_create(&threads[i], NULL, read_on, &readers[i]), 0);
    }
    for (uint64_t i = 0; i < N_COMMITS; i++) {
        append_samples(s, 1 + (uint32_t)(mix(i) % 40), 1 + mix(i + 9) % 2000);
        put_checkpoint(s, sl_spool_extent_of(s->spool).next_offset);
    }
    atomic_store(&stop, true);
    for (int i = 0; i < N_READERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_false(readers[i].bad);
        print_message("reader %d: %" PRIu64 " looks, %" PRIu64 " samples\n", i, readers[i].n_looks,
                      readers[i].n_given);
        assert_true(readers[i].n_given > 0);
    }
    assert_true(sl_spool_extent_of(s->spool).deleted_samples > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_readers_beside_the_writer_see_whole_commits,
                                        setup_state, teardown_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
