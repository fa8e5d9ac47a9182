/* spool_model_test.c - random histories against a plain model: every read agrees, however the
 * history was cut into commits, deleted from and reopened.
 *
 * What a sample looks like is a pure function of its offset (unit/spool_state.h), so the model only
 * keeps which offsets are there, which rows are alive and how far everyone is. */
#include "unit/spool_state.h"

#define N_OFFSETS   3000
#define WIRE_LIMIT  3000
#define N_PRODUCERS 5

typedef struct model {
    uint64_t next, first, oldest_row, checkpoint;
    bool row[N_OFFSETS];
    sl_spool_producer producer[N_PRODUCERS];
} model;

static uint64_t random_state;

static uint64_t draw(uint64_t below)
{
    random_state += UINT64_C(0x9e3779b97f4a7c15);
    return mix(mix(random_state) + 1) % below;
}

static uint32_t producer_of(uint64_t offset)
{
    return (uint32_t)(mix(offset + 99) % N_PRODUCERS);
}

static void count_sample(model *m, uint64_t offset)
{
    sl_spool_producer *producer = &m->producer[producer_of(offset)];
    producer->next_sequence++;
    producer->received++;
    switch (decision_of(offset)) {
    case SLUICE_KEEP:
        producer->kept++;
        break;
    case SLUICE_FLAG:
        producer->flagged++;
        break;
    default:
        producer->dropped++;
    }
}

static void open_model(model *m)
{
    memset(m, 0, sizeof *m);
    for (uint32_t i = 0; i < N_PRODUCERS; i++) {
        m->producer[i].i_producer = i;
        snprintf(m->producer[i].name, sizeof m->producer[i].name, "producer %u", i);
    }
}

/* The next `n` samples with rows for the kept ones, as one commit. */
static void append_next(spool_state *s, model *m, uint32_t n, int64_t arrived_us)
{
    static sl_spool_sample samples[256];
    static uint8_t wires[256][WIRE_LIMIT];
    sluice_span rows[256];
    uint64_t offsets[256];
    uint32_t n_rows = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint64_t offset = m->next + i;
        size_t size = make_wire(offset, WIRE_LIMIT, wires[i]);
        samples[i] = (sl_spool_sample){.offset = offset,
                                       .arrived_us = arrived_us,
                                       .i_producer = producer_of(offset),
                                       .decision = decision_of(offset),
                                       .wire = {wires[i], size}};
        count_sample(m, offset);
        if (decision_of(offset) != SLUICE_DROP) {
            rows[n_rows] = (sluice_span){wires[i], size < 200 ? size : 200};
            offsets[n_rows++] = offset;
            m->row[offset] = true;
        }
    }
    m->next += n;
    append_ok(s, &(sl_spool_write){.samples = samples,
                                   .n_samples = n,
                                   .rows = rows,
                                   .row_offsets = offsets,
                                   .n_rows = n_rows,
                                   .producers = m->producer,
                                   .n_producers = N_PRODUCERS,
                                   .oldest_row = m->oldest_row});
}

typedef struct walk {
    const model *m;
    uint64_t next;
    bool bad;
} walk;

static bool walk_sample(void *context, const sl_spool_sample *sample)
{
    walk *w = context;
    uint8_t wire[WIRE_LIMIT];
    size_t size = make_wire(w->next, WIRE_LIMIT, wire);
    w->bad = w->bad || sample->offset != w->next || sample->wire.size != size ||
             memcmp(sample->wire.data, wire, size) != 0 ||
             sample->decision != decision_of(w->next) || sample->i_producer != producer_of(w->next);
    w->next++;
    return !w->bad;
}

static bool walk_row(void *context, uint64_t offset, sluice_span row)
{
    walk *w = context;
    while (w->next < w->m->next && (!w->m->row[w->next] || w->next < w->m->oldest_row)) {
        w->next++;
    }
    uint8_t wire[WIRE_LIMIT];
    size_t size = make_wire(offset, WIRE_LIMIT, wire);
    size = size < 200 ? size : 200;
    w->bad = w->bad || offset != w->next || row.size != size || memcmp(row.data, wire, size) != 0;
    w->next++;
    return !w->bad;
}

static void compare_walks(spool_state *s, model *m)
{
    m->first = sl_spool_extent_of(s->spool).first_offset;
    walk w = {.m = m, .next = m->first};
    assert_int_equal(sl_spool_samples(s->spool, 0, walk_sample, &w, &s->why), SLUICE_OK);
    assert_false(w.bad);
    assert_int_equal(w.next, m->next);
    w = (walk){.m = m};
    assert_int_equal(sl_spool_rows(s->spool, walk_row, &w, &s->why), SLUICE_OK);
    assert_false(w.bad);
    while (w.next < m->next) { /* no row of the model is missing at the end */
        assert_false(m->row[w.next] && w.next >= m->oldest_row);
        w.next++;
    }
    verify_ok(s);
}

static size_t field_bytes(uint64_t offset, uint8_t *field)
{
    uint8_t wire[WIRE_LIMIT];
    size_t size = make_wire(offset, WIRE_LIMIT, wire);
    size_t at = 0;
    field[at++] = 0x0a;
    field[at++] = (uint8_t)(size > 0x7f ? (size & 0x7f) | 0x80 : size);
    if (size > 0x7f) {
        field[at++] = (uint8_t)(size >> 7);
    }
    memcpy(field + at, wire, size);
    return at + size;
}

/* One random select, its bytes rebuilt from the model. */
static void compare_select(spool_state *s, const model *m)
{
    sl_spool_select select = {.from_offset = draw(m->next + 2),
                              .below_offset = draw(2) ? UINT64_MAX : draw(m->next + 2),
                              .max_bytes = (uint32_t)draw(20000),
                              .all = draw(2) == 1};
    sluice_bytes out = {0};
    sl_spool_selected selected;
    assert_int_equal(sl_spool_select_batch(s->spool, &select, &out, &selected, &s->why), SLUICE_OK);
    uint64_t from = select.from_offset < m->first ? m->first : select.from_offset;
    assert_int_equal(selected.first_offset, from);
    size_t at = 0;
    uint32_t count = 0;
    uint8_t field[WIRE_LIMIT + 4];
    for (uint64_t offset = from; offset < selected.next_offset; offset++) {
        if (select.all || decision_of(offset) != SLUICE_DROP) {
            size_t size = field_bytes(offset, field);
            assert_true(at + size <= out.size);
            assert_memory_equal(out.data + at, field, size);
            at += size;
            count++;
        }
    }
    assert_int_equal(at, out.size);
    assert_int_equal(count, selected.count);
    assert_true(count <= 1 || out.size <= select.max_bytes);
    /* It ended for a reason: the end, the bound, or a wanted sample that would not fit. */
    uint64_t end = m->next < select.below_offset ? m->next : select.below_offset;
    if (selected.next_offset < end) {
        size_t size = field_bytes(selected.next_offset, field);
        assert_true(select.all || decision_of(selected.next_offset) != SLUICE_DROP);
        assert_true(count > 0 && out.size + size > select.max_bytes);
    }
    sl_bytes_fini(&out);
}

static void take_step(spool_state *s, model *m)
{
    switch (draw(12)) {
    case 0:
        reopen_state(s);
        break;
    case 1:
        if (m->next > 0) {
            uint64_t gone = draw(m->next);
            append_ok(s, &(sl_spool_write){.forget = &gone, .n_forget = 1});
            m->row[gone] = false;
        }
        break;
    case 2:
        m->oldest_row += draw(m->next - m->oldest_row + 1) / 2;
        append_ok(s, &(sl_spool_write){.oldest_row = m->oldest_row});
        break;
    case 3:
        m->checkpoint += draw(m->next - m->checkpoint + 1);
        put_checkpoint(s, m->checkpoint);
        break;
    case 4:
        compare_walks(s, m);
        break;
    default: {
        uint64_t left = N_OFFSETS - m->next;
        uint64_t n = 1 + draw(draw(4) == 0 ? 200 : 12);
        append_next(s, m, (uint32_t)(n < left ? n : left), (int64_t)draw(1000));
    }
    }
}

static uint64_t seed_of_run(void)
{
    const char *text = getenv("SLUICE_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : 1;
    print_message("SLUICE_SEED=%" PRIu64 "\n", seed);
    return seed;
}

static void test_random_histories_read_like_the_model(void **state)
{
    spool_state *s = *state;
    random_state = seed_of_run();
    s->options.max_bytes = 2u << 20; /* about half of what goes through */
    reopen_state(s);
    static model m;
    open_model(&m);
    while (m.next < N_OFFSETS) {
        take_step(s, &m);
        m.first = sl_spool_extent_of(s->spool).first_offset;
        assert_true(m.first <= m.checkpoint);
        compare_select(s, &m);
    }
    compare_walks(s, &m);
    print_message("%" PRIu64 " samples were deleted\n",
                  sl_spool_extent_of(s->spool).deleted_samples);
    assert_true(sl_spool_extent_of(s->spool).deleted_samples > 0);
}

static void test_digest_is_the_same_however_a_history_is_cut(void **state)
{
    (void)state;
    random_state = seed_of_run() + 1;
    uint64_t digest[4][2];
    for (int way = 0; way < 4; way++) {
        spool_state s;
        name_state(&s);
        open_state(&s);
        static model m;
        open_model(&m);
        while (m.next < 1000) {
            uint64_t n = 1 + draw(way == 0 ? 250 : 30);
            uint64_t left = 1000 - m.next;
            m.oldest_row = m.next / 2; /* however often it was said, the last one counts */
            append_next(&s, &m, (uint32_t)(n < left ? n : left), (int64_t)draw(1000));
            if (way == 2 && draw(5) == 0) {
                reopen_state(&s);
            }
        }
        append_ok(&s, &(sl_spool_write){.oldest_row = way == 3 ? 701 : 700});
        assert_int_equal(sl_spool_digest(s.spool, NULL, digest[way], &s.why), SLUICE_OK);
        sl_spool_close(&s.spool);
        remove_folder(s.path);
    }
    assert_memory_equal(digest[0], digest[1], sizeof digest[0]);
    assert_memory_equal(digest[0], digest[2], sizeof digest[0]);
    if (decision_of(700) != SLUICE_DROP) {
        assert_memory_not_equal(digest[0], digest[3], sizeof digest[0]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_random_histories_read_like_the_model, setup_state,
                                        teardown_state),
        cmocka_unit_test(test_digest_is_the_same_however_a_history_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
