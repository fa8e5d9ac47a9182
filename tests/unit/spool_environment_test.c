/* spool_environment_test.c - opening: who may, what is refused, and what the sentence says. */
#include "unit/spool_state.h"
#include "spool/environment.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void assert_refused(spool_state *s, sluice_status wanted, const char *words)
{
    sl_spool *spool = NULL;
    sluice_message why = {0};
    sluice_status status = sl_spool_open(&s->options, &spool, &why);
    if (status != wanted || strstr(why.text, words) == NULL ||
        strstr(why.text, s->options.path) == NULL) {
        fail_msg("wanted %s and \"%s\", not %s: %s", sluice_status_name(wanted), words,
                 sluice_status_name(status), why.text);
    }
    assert_null(spool);
}

static void name_data(const spool_state *s, char *path, size_t size)
{
    snprintf(path, size, "%s/data.mdb", s->path);
}

static void write_file(const char *path, const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static int setup_named(void **state)
{
    spool_state *s = malloc(sizeof *s);
    assert_non_null(s);
    name_state(s);
    *state = s;
    return 0;
}

static int teardown_mounted(void **state)
{
    spool_state *s = *state;
    sl_spool_close(&s->spool);
    (void)umount(s->path); /* if the test mounted something */
    return teardown_state(state);
}

static void test_open_makes_the_directory_for_its_owner_alone(void **state)
{
    spool_state *s = *state;
    assert_int_equal(rmdir(s->path), 0);
    open_state(s);
    struct stat info;
    assert_int_equal(stat(s->path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0700);
}

static void test_open_below_a_missing_directory_is_refused(void **state)
{
    spool_state *s = *state;
    char path[300];
    snprintf(path, sizeof path, "%s/a/b", s->path);
    s->options.path = path;
    assert_refused(s, SLUICE_E_IO, "cannot make the directory: No such file");
}

static void test_open_of_a_file_is_refused(void **state)
{
    spool_state *s = *state;
    char path[300];
    name_data(s, path, sizeof path);
    write_file(path, "x", 1);
    s->options.path = path;
    assert_refused(s, SLUICE_E_CONFIG, "not a directory");
}

static void test_open_read_only_where_nothing_is_says_so(void **state)
{
    spool_state *s = *state;
    s->options.read_only = true;
    assert_refused(s, SLUICE_E_CONFIG, "no state has been made there");
    rmdir(s->path);
    assert_refused(s, SLUICE_E_CONFIG, "there is no such directory");
}

static void test_open_of_garbage_is_refused(void **state)
{
    spool_state *s = *state;
    char path[300];
    name_data(s, path, sizeof path);
    uint8_t garbage[20000];
    for (size_t i = 0; i < sizeof garbage; i++) {
        garbage[i] = (uint8_t)mix(i);
    }
    write_file(path, garbage, sizeof garbage);
    assert_refused(s, SLUICE_E_CORRUPT, "not the data file of a state");
    write_file(path, garbage, 100);
    assert_refused(s, SLUICE_E_CORRUPT, "not the data file of a state");
}

static void test_open_of_a_file_cut_to_nothing_does_not_begin_afresh(void **state)
{
    spool_state *s = *state;
    char path[300];
    name_data(s, path, sizeof path);
    write_file(path, "", 0);
    assert_refused(s, SLUICE_E_CORRUPT, "it is empty");
    s->options.read_only = true;
    assert_refused(s, SLUICE_E_CORRUPT, "it is empty");
}

static void test_open_of_a_file_cut_anywhere_is_refused(void **state)
{
    spool_state *s = *state;
    open_state(s);
    append_samples(s, 64, 1000);
    sl_spool_close(&s->spool);
    char path[300];
    name_data(s, path, sizeof path);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    for (off_t size = info.st_size - 4096; size >= 8192; size -= 4096) {
        assert_int_equal(truncate(path, size), 0);
        assert_refused(s, SLUICE_E_CORRUPT, "is cut off");
    }
}

static void test_open_of_an_lmdb_file_of_others_is_refused(void **state)
{
    spool_state *s = *state;
    MDB_env *env;
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_open(env, s->path, 0, 0600), 0);
    mdb_env_close(env);
    assert_refused(s, SLUICE_E_CONFIG, "was not made by Sluice");
}

static void write_format(spool_state *s, const char *text)
{
    sl_environment environment;
    assert_int_equal(sl_environment_open(&s->options, &environment, &s->why), SLUICE_OK);
    MDB_txn *txn;
    assert_int_equal(sl_environment_begin(&environment, true, &txn, &s->why), SLUICE_OK);
    MDB_val key = {6, (void *)(uintptr_t) "format"};
    MDB_val value = {strlen(text), (void *)(uintptr_t)text};
    assert_int_equal(mdb_put(txn, environment.dbi[SL_DB_META], &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    sl_environment_close(&environment);
}

static void test_open_of_a_newer_format_names_both_numbers(void **state)
{
    spool_state *s = *state;
    write_format(s, "sluice state format 2, made 2030-01-01 by 9.0.0\n");
    assert_refused(s, SLUICE_E_CONFIG, "has format 2 and sluice 0.1.0 reads format 1");
    s->options.read_only = true;
    assert_refused(s, SLUICE_E_CONFIG, "has format 2");
}

static void test_open_of_an_unreadable_format_is_refused(void **state)
{
    spool_state *s = *state;
    write_format(s, "sluice state formal 1,");
    assert_refused(s, SLUICE_E_CORRUPT, "does not say which format");
}

static void test_open_with_other_lines_names_the_first_difference(void **state)
{
    spool_state *s = *state;
    s->options.state_lines = sl_span_of("duplicate.enabled: true\nseed: 1\n");
    open_state(s);
    reopen_state(s);
    sluice_bytes out = {0};
    assert_int_equal(sl_spool_state_lines(s->spool, &out, &s->why), SLUICE_OK);
    assert_int_equal(out.size, s->options.state_lines.size);
    assert_memory_equal(out.data, s->options.state_lines.data, out.size);
    sl_bytes_fini(&out);
    sl_spool_close(&s->spool);
    s->options.state_lines = sl_span_of("duplicate.enabled: true\nseed: 2\n");
    assert_refused(s, SLUICE_E_CONFIG, "made with seed: 1 and the configuration says 2; keep the");
    s->options.state_lines = sl_span_of("duplicate.enabled: true\nrank: 3\nseed: 1\n");
    assert_refused(s, SLUICE_E_CONFIG, "made with rank: (absent) and the configuration says 3");
    s->options.state_lines = sl_span_of("duplicate.enabled: true\n");
    assert_refused(s, SLUICE_E_CONFIG, "made with seed: 1 and the configuration says (absent)");
    s->options.state_lines = sl_span_of("");
    assert_refused(s, SLUICE_E_CONFIG, "made with duplicate.enabled: true");
    s->options.read_only = true;
    open_state(s);
}

/* Keys that a state does not know were not there when it was made: their defaults are what it was
 * made with. */
static void test_open_with_a_younger_key_takes_its_default_alone(void **state)
{
    spool_state *s = *state;
    s->options.state_lines = sl_span_of("duplicate.enabled: true\nzeal: 3\n");
    open_state(s);
    sl_spool_close(&s->spool);
    s->options.state_lines = sl_span_of("duplicate.enabled: true\nseed: 1\nzeal: 3\n");
    open_state(s);
    sl_spool_close(&s->spool);
    s->options.state_lines = sl_span_of("duplicate.enabled: true\nseed: 2\nzeal: 3\n");
    assert_refused(s, SLUICE_E_CONFIG, "made with seed: (absent) and the configuration says 2");
    s->options.state_lines = sl_span_of("duplicate.enabled: true\nseed: 1\nzeal: 4\n");
    assert_refused(s, SLUICE_E_CONFIG, "made with zeal: 3 and the configuration says 4");
}

/* Runs `child` in a process of its own until the test closes the pipe; its exit code comes back. */
typedef struct companion {
    pid_t pid;
    int stop; /* closing it ends the child */
} companion;

static companion hold_open(spool_state *s)
{
    int ready[2], stop[2];
    assert_int_equal(pipe(ready), 0);
    assert_int_equal(pipe(stop), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(stop[1]);
        sl_spool *spool;
        bool opened = sl_spool_open(&s->options, &spool, NULL) == SLUICE_OK;
        ssize_t n = write(ready[1], &opened, sizeof opened);
        char byte;
        n += read(stop[0], &byte, 1);
        _exit(opened && n >= 0 ? 0 : 1);
    }
    close(ready[1]);
    close(stop[0]);
    bool opened = false;
    assert_int_equal(read(ready[0], &opened, sizeof opened), sizeof opened);
    assert_true(opened);
    close(ready[0]);
    return (companion){pid, stop[1]};
}

static void let_go(const companion *holder)
{
    close(holder->stop);
    int result;
    assert_int_equal(waitpid(holder->pid, &result, 0), holder->pid);
    assert_int_equal(result, 0);
}

static void test_open_by_a_second_writer_names_the_first(void **state)
{
    spool_state *s = *state;
    companion holder = hold_open(s);
    char words[64];
    snprintf(words, sizeof words, "process %d writes it", (int)holder.pid);
    assert_refused(s, SLUICE_E_IO, words);
    let_go(&holder);
    open_state(s);
    append_samples(s, 1, 10);
}

static void test_open_after_the_writer_was_killed_works(void **state)
{
    spool_state *s = *state;
    companion holder = hold_open(s);
    kill(holder.pid, SIGKILL);
    close(holder.stop);
    waitpid(holder.pid, NULL, 0);
    open_state(s);
    append_samples(s, 1, 10);
}

static void test_open_read_only_beside_a_writer_sees_commits_as_they_come(void **state)
{
    spool_state *s = *state;
    int go[2], done[2];
    assert_int_equal(pipe(go), 0);
    assert_int_equal(pipe(done), 0);
    open_state(s); /* makes it */
    append_samples(s, 2, 10);
    sl_spool_close(&s->spool);
    pid_t pid = fork();
    if (pid == 0) {
        spool_state look = *s;
        look.options.read_only = true;
        look.options.state_lines = sl_span_of("other: 1\n");
        char byte = 0;
        int result = read(go[0], &byte, 1) == 1 ? 0 : 1; /* the writer is open */
        result |= sl_spool_open(&look.options, &look.spool, NULL) != SLUICE_OK;
        result |= sl_spool_extent_of(look.spool).next_offset != 2;
        result |= write(done[1], &byte, 1) != 1;
        result |= read(go[0], &byte, 1) != 1; /* it has appended */
        sluice_bytes out = {0};
        result |= sl_spool_sample_at(look.spool, 4, &out, NULL) != SLUICE_OK;
        result |= sl_spool_verify(look.spool, NULL) != SLUICE_OK;
        _exit(result);
    }
    open_state(s);
    char byte = 1;
    assert_int_equal(write(go[1], &byte, 1), 1);
    assert_int_equal(read(done[0], &byte, 1), 1);
    append_samples(s, 3, 10);
    assert_int_equal(write(go[1], &byte, 1), 1);
    int result;
    assert_int_equal(waitpid(pid, &result, 0), pid);
    assert_int_equal(result, 0);
}

/* The superuser may read everything, so the child becomes nobody first. */
static void test_open_without_permission_says_so(void **state)
{
    spool_state *s = *state;
    if (getuid() != 0) {
        assert_int_equal(chmod(s->path, 0), 0);
        assert_refused(s, SLUICE_E_IO, "Permission denied");
        return;
    }
    assert_int_equal(chmod(s->path, 0700), 0);
    pid_t pid = fork();
    if (pid == 0) {
        sl_spool *spool;
        sluice_message why;
        bool refused = setgid(65534) == 0 && setuid(65534) == 0 &&
                       sl_spool_open(&s->options, &spool, &why) == SLUICE_E_IO &&
                       strstr(why.text, "Permission denied") != NULL &&
                       strstr(why.text, s->path) != NULL;
        _exit(refused ? 0 : 1);
    }
    int result;
    assert_int_equal(waitpid(pid, &result, 0), pid);
    assert_int_equal(result, 0);
}

/* Mounts a file system of `bytes` on the state's directory; false where that is not allowed. */
static bool mount_small(spool_state *s, const char *size)
{
    char option[64];
    snprintf(option, sizeof option, "size=%s", size);
    if (mount("none", s->path, "tmpfs", 0, option) != 0) {
        print_message("skipped: a small file system needs the right to mount\n");
        return false;
    }
    return true;
}

static void test_open_on_a_full_disk_says_so_and_leaves_nothing_half(void **state)
{
    spool_state *s = *state;
    if (!mount_small(s, "4k")) {
        skip();
    }
    assert_refused(s, SLUICE_E_IO, "free on its disk");
    umount(s->path);
    assert_true(mount_small(s, "52k")); /* the table of readers fits, the data do not */
    assert_refused(s, SLUICE_E_IO, "free on its disk");
    char path[300];
    name_data(s, path, sizeof path);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void test_append_on_a_full_disk_fails_and_what_was_there_stays(void **state)
{
    spool_state *s = *state;
    if (!mount_small(s, "4m")) {
        skip();
    }
    open_state(s);
    uint64_t n = 0;
    static uint8_t wire[100000];
    sl_spool_sample sample;
    sluice_status status = SLUICE_OK;
    while (status == SLUICE_OK && n < 1000) {
        make_samples(&sample, n, 1, (sluice_span){wire, sizeof wire});
        sl_spool_write write = {.samples = &sample, .n_samples = 1};
        status = sl_spool_append(s->spool, &write, &s->why);
        n += status == SLUICE_OK;
    }
    assert_int_equal(status, SLUICE_E_IO);
    assert_non_null(strstr(s->why.text, "free on its disk"));
    assert_true(n > 20);
    reopen_state(s);
    assert_int_equal(sl_spool_extent_of(s->spool).next_offset, n);
    verify_ok(s);
}

static void test_open_after_an_interrupted_making_begins_again(void **state)
{
    spool_state *s = *state;
    char path[300];
    snprintf(path, sizeof path, "%s/new", s->path);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/new/data.mdb", s->path);
    write_file(path, "half", 4);
    open_state(s);
    verify_ok(s);
}

#define OPEN_TEST(f) cmocka_unit_test_setup_teardown(f, setup_named, teardown_mounted)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OPEN_TEST(test_open_makes_the_directory_for_its_owner_alone),
        OPEN_TEST(test_open_below_a_missing_directory_is_refused),
        OPEN_TEST(test_open_of_a_file_is_refused),
        OPEN_TEST(test_open_read_only_where_nothing_is_says_so),
        OPEN_TEST(test_open_of_garbage_is_refused),
        OPEN_TEST(test_open_of_a_file_cut_to_nothing_does_not_begin_afresh),
        OPEN_TEST(test_open_of_a_file_cut_anywhere_is_refused),
        OPEN_TEST(test_open_of_an_lmdb_file_of_others_is_refused),
        OPEN_TEST(test_open_of_a_newer_format_names_both_numbers),
        OPEN_TEST(test_open_of_an_unreadable_format_is_refused),
        OPEN_TEST(test_open_with_a_younger_key_takes_its_default_alone),
        OPEN_TEST(test_open_with_other_lines_names_the_first_difference),
        OPEN_TEST(test_open_by_a_second_writer_names_the_first),
        OPEN_TEST(test_open_after_the_writer_was_killed_works),
        OPEN_TEST(test_open_read_only_beside_a_writer_sees_commits_as_they_come),
        OPEN_TEST(test_open_without_permission_says_so),
        OPEN_TEST(test_open_on_a_full_disk_says_so_and_leaves_nothing_half),
        OPEN_TEST(test_append_on_a_full_disk_fails_and_what_was_there_stays),
        OPEN_TEST(test_open_after_an_interrupted_making_begins_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
