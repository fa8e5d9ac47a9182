/* spool_crash_test.c - a writer that is killed at any moment: what it was told is durable is there,
 * and nothing is there by half.
 *
 *      child    open, append, say "durable up to N" through a pipe, append ...      <- SIGKILL
 *      parent   open again: N <= next_offset, and at most the one commit that was under way beyond
 *
 * Every commit is a pure function of its first offset and moves everything together: samples, rows,
 * a producer, a consumer group, the checkpoint, now and then a dead letter, and retention. So a
 * state that holds half of one shows. Built with -DSLUICE_FAULTS the named points are gone through
 * as well, each with each action; without, only the kills are. */
#include "unit/spool_state.h"
#include "fault.h"

#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#define N_KILLS    60
#define WIRE_LIMIT 3000
#define MAX_COMMIT 64

static uint32_t commit_size(uint64_t first)
{
    return 1 + (uint32_t)(mix(first + 5) % MAX_COMMIT);
}

static bool has_letter(uint64_t first)
{
    return mix(first + 11) % 4 == 0;
}

/* Appends the commit that begins at `first`. */
static sluice_status append_commit(sl_spool *spool, uint64_t first, sluice_message *why)
{
    static sl_spool_sample samples[MAX_COMMIT];
    static uint8_t wires[MAX_COMMIT][WIRE_LIMIT];
    static sl_spool_group group;
    sluice_span rows[MAX_COMMIT];
    uint64_t offsets[MAX_COMMIT];
    uint32_t n = commit_size(first);
    for (uint32_t i = 0; i < n; i++) {
        size_t size = make_wire(first + i, WIRE_LIMIT, wires[i]);
        make_samples(&samples[i], first + i, 1, (sluice_span){wires[i], size});
        rows[i] = (sluice_span){wires[i], size < 100 ? size : 100};
        offsets[i] = first + i;
    }
    const uint64_t next = first + n;
    sl_spool_producer producer = {
        .name = "p", .next_sequence = next, .received = next, .kept = next};
    sl_spool_dead dead = {.sequence = first, .by = "p", .wire = {wires[0], 1}};
    snprintf(group.name, sizeof group.name, "g");
    group.floor = first;
    char checkpoint[32];
    snprintf(checkpoint, sizeof checkpoint, "%" PRIu64, first);
    return sl_spool_append(spool,
                           &(sl_spool_write){.samples = samples,
                                             .n_samples = n,
                                             .rows = rows,
                                             .row_offsets = offsets,
                                             .n_rows = n,
                                             .producers = &producer,
                                             .n_producers = 1,
                                             .dead = &dead,
                                             .n_dead = has_letter(first),
                                             .groups = &group,
                                             .n_groups = 1,
                                             .checkpoint = sl_span_of(checkpoint),
                                             .checkpoint_offset = first,
                                             .oldest_row = first > 500 ? first - 500 : 0},
                           why);
}

/* The child: never returns. Exit codes: 2 cannot open, 3 an append failed. */
static void write_on(const sl_spool_options *options, int acks)
{
    sl_spool *spool;
    if (sl_spool_open(options, &spool, NULL) != SLUICE_OK) {
        _exit(2);
    }
    for (;;) {
        uint64_t next = sl_spool_extent_of(spool).next_offset;
        if (append_commit(spool, next, NULL) != SLUICE_OK) {
            _exit(3);
        }
        next = sl_spool_extent_of(spool).next_offset;
        if (write(acks, &next, sizeof next) != sizeof next) {
            _exit(4);
        }
    }
}

static pid_t start_writer(spool_state *s, int *acks)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(ends[0]);
        write_on(&s->options, ends[1]);
    }
    close(ends[1]);
    *acks = ends[0];
    return pid;
}

/* What the child said last, once it is gone; `before` if it said nothing. */
static uint64_t last_ack(int acks, uint64_t before)
{
    uint64_t next;
    while (read(acks, &next, sizeof next) == sizeof next) {
        before = next;
    }
    close(acks);
    return before;
}

typedef struct found {
    uint64_t next, n_letters, floor, producer_next, rows_first, rows_next;
    bool bad;
} found;

static bool check_sample(void *context, const sl_spool_sample *sample)
{
    found *f = context;
    uint8_t wire[WIRE_LIMIT];
    size_t size = make_wire(sample->offset, WIRE_LIMIT, wire);
    f->bad = f->bad || sample->offset != f->next || sample->wire.size != size + 2 ||
             memcmp(sample->wire.data, wire, size) != 0;
    f->next = sample->offset + 1;
    return true;
}

static bool check_row(void *context, uint64_t offset, sluice_span row)
{
    (void)row;
    found *f = context;
    f->rows_first = f->rows_next == 0 ? offset : f->rows_first;
    f->bad = f->bad || (f->rows_next != 0 && offset != f->rows_next);
    f->rows_next = offset + 1;
    return true;
}

static bool check_group(void *context, const sl_spool_group *group)
{
    ((found *)context)->floor = group->floor;
    return true;
}

static bool check_producer(void *context, const sl_spool_producer *producer)
{
    ((found *)context)->producer_next = producer->next_sequence;
    return true;
}

/* The first offset of the last of the commits that end at `next`, and how many had letters. */
static uint64_t last_commit(uint64_t next, uint64_t *n_letters)
{
    uint64_t first = 0;
    uint64_t at = 0;
    *n_letters = 0;
    while (at < next) {
        first = at;
        *n_letters += has_letter(at);
        at += commit_size(at);
    }
    assert_int_equal(at, next); /* else a commit is there by half */
    return first;
}

/* Opens what the writer left and compares it with what must be there. Gives next_offset. */
static uint64_t check_state(spool_state *s, uint64_t acknowledged)
{
    open_state(s);
    verify_ok(s);
    sl_spool_extent extent = sl_spool_extent_of(s->spool);
    assert_true(extent.next_offset >= acknowledged);
    if (extent.next_offset > acknowledged) {
        assert_int_equal(extent.next_offset, acknowledged + commit_size(acknowledged));
    }
    found f = {.next = extent.first_offset};
    assert_int_equal(sl_spool_samples(s->spool, 0, check_sample, &f, &s->why), SLUICE_OK);
    assert_int_equal(sl_spool_rows(s->spool, check_row, &f, &s->why), SLUICE_OK);
    assert_int_equal(sl_spool_groups(s->spool, check_group, &f, &s->why), SLUICE_OK);
    assert_int_equal(sl_spool_producers(s->spool, check_producer, &f, &s->why), SLUICE_OK);
    assert_false(f.bad);
    assert_int_equal(f.next, extent.next_offset);
    if (extent.next_offset > 0) {
        uint64_t n_letters;
        uint64_t first = last_commit(extent.next_offset, &n_letters);
        assert_int_equal(f.producer_next, extent.next_offset);
        assert_int_equal(f.floor, first);
        assert_int_equal(extent.checkpoint_offset, first);
        assert_int_equal(extent.n_dead, n_letters);
        assert_int_equal(f.rows_next, extent.next_offset);
        assert_int_equal(f.rows_first, first > 500 ? first - 500 : 0);
        assert_true(extent.first_offset <= first);
        sluice_bytes checkpoint = {0};
        uint64_t offset;
        assert_int_equal(sl_spool_checkpoint(s->spool, &checkpoint, &offset, &s->why), SLUICE_OK);
        char wanted[32];
        int size = snprintf(wanted, sizeof wanted, "%" PRIu64, first);
        assert_int_equal(checkpoint.size, size);
        assert_memory_equal(checkpoint.data, wanted, checkpoint.size);
        sl_bytes_fini(&checkpoint);
    }
    sl_spool_close(&s->spool);
    return extent.next_offset;
}

static int setup_closed(void **state)
{
    spool_state *s = malloc(sizeof *s);
    assert_non_null(s);
    name_state(s);
    s->options.sync_os = false;
    s->options.max_bytes = 4u << 20;
    *state = s;
    return 0;
}

static uint64_t seed_of_run(void)
{
    const char *text = getenv("SLUICE_SEED");
    uint64_t seed = text != NULL ? strtoull(text, NULL, 10) : (uint64_t)time(NULL);
    print_message("SLUICE_SEED=%" PRIu64 "\n", seed);
    return seed;
}

static void test_writer_killed_at_any_moment_keeps_what_it_acknowledged(void **state)
{
    spool_state *s = *state;
    uint64_t seed = seed_of_run();
    uint64_t next = 0;
    unsigned n_beyond = 0;
    for (uint64_t i = 0; i < N_KILLS; i++) {
        int acks;
        pid_t pid = start_writer(s, &acks);
        usleep((useconds_t)(mix(seed + i) % (i % 3 == 0 ? 3000 : 60000)));
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        uint64_t acknowledged = last_ack(acks, next);
        next = check_state(s, acknowledged);
        n_beyond += next > acknowledged;
    }
    print_message("%d kills, %" PRIu64 " samples; %u times one commit more than was said\n",
                  N_KILLS, next, n_beyond);
    assert_true(next > 1000);
}

/* A killed writer leaves its table of readers; a reader that looks meanwhile must not mind. */
static void test_reader_beside_a_writer_that_is_killed_sees_whole_commits(void **state)
{
    spool_state *s = *state;
    open_state(s);
    sl_spool_close(&s->spool);
    for (uint64_t i = 0; i < 10; i++) {
        int acks;
        pid_t pid = start_writer(s, &acks);
        spool_state look = *s;
        look.options.read_only = true;
        open_state(&look);
        for (int k = 0; k < 5; k++) {
            usleep(4000);
            verify_ok(&look);
        }
        kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, NULL, 0), pid);
        verify_ok(&look);
        sl_spool_close(&look.spool);
        close(acks);
    }
    open_state(s);
    verify_ok(s);
}

#if defined(SLUICE_FAULTS)

/* Runs a writer with one fault set; gives how it ended. */
static int run_fault(spool_state *s, const char *setting, uint64_t *next)
{
    assert_int_equal(setenv("SLUICE_FAULT", setting, 1), 0);
    int acks;
    pid_t pid = start_writer(s, &acks);
    assert_int_equal(unsetenv("SLUICE_FAULT"), 0);
    int result;
    assert_int_equal(waitpid(pid, &result, 0), pid);
    *next = check_state(s, last_ack(acks, *next));
    return result;
}

static void test_every_fault_point_with_every_action_leaves_a_whole_state(void **state)
{
    static const char *const points[] = {"spool.create", "spool.write", "spool.commit",
                                         "spool.committed"};
    spool_state *s = *state;
    uint64_t next = 0;
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++) {
        for (int hit = 1; hit <= (i == 0 ? 1 : 9); hit += 4) {
            static const char *const actions[] = {"abort", "exit", "eio", "enospc"};
            for (size_t k = 0; k < sizeof actions / sizeof actions[0]; k++) {
                if (i == 0) { /* a state is made once: each time a new one */
                    remove_folder(s->path);
                    next = 0;
                }
                char setting[64];
                snprintf(setting, sizeof setting, "%s:%d:%s", points[i], hit, actions[k]);
                int result = run_fault(s, setting, &next);
                bool ended_so = k == 0 ? WIFSIGNALED(result) && WTERMSIG(result) == SIGABRT
                                : k == 1
                                    ? WIFEXITED(result) && WEXITSTATUS(result) == 99
                                    : WIFEXITED(result) && WEXITSTATUS(result) == (i == 0 ? 2 : 3);
                if (!ended_so) {
                    fail_msg("%s: %x", setting, (unsigned)result);
                }
            }
        }
    }
}

static void test_fault_of_an_unknown_name_aborts(void **state)
{
    spool_state *s = *state;
    uint64_t next = 0;
    int result = run_fault(s, "spool.comit:1:eio", &next);
    assert_true(WIFSIGNALED(result) && WTERMSIG(result) == SIGABRT);
    result = run_fault(s, "spool.commit:0:eio", &next);
    assert_true(WIFSIGNALED(result) && WTERMSIG(result) == SIGABRT);
}

#endif

#define CLOSED_TEST(f) cmocka_unit_test_setup_teardown(f, setup_closed, teardown_state)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLOSED_TEST(test_writer_killed_at_any_moment_keeps_what_it_acknowledged),
        CLOSED_TEST(test_reader_beside_a_writer_that_is_killed_sees_whole_commits),
#if defined(SLUICE_FAULTS)
        CLOSED_TEST(test_every_fault_point_with_every_action_leaves_a_whole_state),
        CLOSED_TEST(test_fault_of_an_unknown_name_aborts),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
