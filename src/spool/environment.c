/* environment.c - opens the directory of a state as one LMDB environment.
 *
 *      state/            0700
 *        lock            flock of the one writer; holds its process number
 *        data.mdb        log, rows, producers, groups, dead, meta
 *        lock.mdb        LMDB's table of readers
 *        new/            only while a state is being made
 *
 * Why a lock of our own: LMDB lets several processes write in turns; our memory would not know.
 * Why a state is made in new/ and renamed into place: so that a data.mdb is either whole or
 * damaged. LMDB takes an empty file for a new one, and a state that was cut to nothing must not be
 * begun afresh in silence.
 * Why the length is compared with the last page: the file is mapped, and a page that is not there
 * would be a signal instead of an error.
 * Why no MDB_WRITEMAP: with it a stray pointer of ours could write into the state. */
#include "spool/environment.h"
#include "spool/meta.h"
#include "bytes.h"
#include "fault.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MAX_READERS        512   /* slots for read transactions of all processes at once */
#define READER_TABLE_BYTES 40960 /* 64 a slot and a head */
#define DEFAULT_ROWS_BYTES (UINT64_C(1) << 30)
#define ONE_GIB            (UINT64_C(1) << 30)

static const char *const db_names[SL_N_DBS] = {"log",    "rows", "producers",
                                               "groups", "dead", "meta"};

/* Gives path/name; NULL when out of memory. */
static char *join(const char *path, const char *name)
{
    char *joined = NULL;
    return asprintf(&joined, "%s/%s", path, name) < 0 ? NULL : joined;
}

static uint64_t free_bytes(const char *path)
{
    struct statvfs disk;
    return statvfs(path, &disk) == 0 ? (uint64_t)disk.f_bavail * disk.f_frsize : 0;
}

sluice_status sl_environment_fail(const sl_environment *environment, sluice_message *why, int rc,
                                  const char *doing)
{
    const char *path = environment->path;
    switch (rc) {
    case MDB_MAP_FULL:
        return sluice_fail(why, SLUICE_E_IO,
                           "state %s: cannot %s: the map of the data file is full; raise "
                           "spool.max_bytes and start again",
                           path, doing);
    case MDB_MAP_RESIZED:
        return sluice_fail(why, SLUICE_E_IO,
                           "state %s: cannot %s: a writer has enlarged it meanwhile; try again",
                           path, doing);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_BAD_TXN:
        return sluice_fail(why, SLUICE_E_CORRUPT,
                           "state %s: cannot %s: its data file is damaged (%s)", path, doing,
                           mdb_strerror(rc));
    case MDB_READERS_FULL:
        return sluice_fail(why, SLUICE_E_IO,
                           "state %s: cannot %s: %d other readers have it open already", path,
                           doing, MAX_READERS);
    case EIO: /* also what LMDB makes of a write that a full disk cut short */
    case ENOSPC:
    case EDQUOT:
        return sluice_fail(why, SLUICE_E_IO,
                           "state %s: cannot %s: %s; %" PRIu64 " KiB are free on its disk", path,
                           doing, mdb_strerror(rc), free_bytes(path) / 1024);
    case ENOMEM:
        return sluice_fail(why, SLUICE_E_NOMEM, "state %s: cannot %s: out of memory", path, doing);
    default:
        return sluice_fail(why, SLUICE_E_IO, "state %s: cannot %s: %s", path, doing,
                           mdb_strerror(rc));
    }
}

sluice_status sl_environment_corrupt(const sl_environment *environment, sluice_message *why,
                                     const char *what, uint64_t number, const char *fault)
{
    return sluice_fail(why, SLUICE_E_CORRUPT, "state %s: %s %" PRIu64 " %s", environment->path,
                       what, number, fault);
}

static int sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return errno;
    }
    int rc = fsync(fd) == 0 ? 0 : errno;
    close(fd);
    return rc;
}

/* A directory that was just made is only there after a loss of power if the one above knows it. */
static int make_directory(const char *path)
{
    if (mkdir(path, 0700) != 0) {
        return errno == EEXIST ? 0 : errno;
    }
    char *above = join(path, "..");
    int rc = above != NULL ? sync_directory(above) : ENOMEM;
    free(above);
    return rc;
}

/* Only what is wrong with the directory itself; that there is none yet is fine for a writer. */
static sluice_status check_directory(const char *path, bool read_only, sluice_message *why)
{
    struct stat info;
    if (stat(path, &info) == 0) {
        if (!S_ISDIR(info.st_mode)) {
            return sluice_fail(why, SLUICE_E_CONFIG,
                               "state %s: not a directory; name a directory as `state`", path);
        }
        return SLUICE_OK;
    }
    if (errno == ENOTDIR || errno == ENAMETOOLONG) {
        return sluice_fail(why, SLUICE_E_CONFIG, "state %s: %s; name a directory as `state`", path,
                           strerror(errno));
    }
    if (errno != ENOENT) {
        return sluice_fail(why, SLUICE_E_IO, "state %s: cannot look at it: %s", path,
                           strerror(errno));
    }
    if (read_only) {
        return sluice_fail(why, SLUICE_E_CONFIG,
                           "state %s: there is no such directory; `sluice run` makes one", path);
    }
    int rc = make_directory(path);
    return rc == 0 ? SLUICE_OK
                   : sluice_fail(why, SLUICE_E_IO, "state %s: cannot make the directory: %s", path,
                                 strerror(rc));
}

static sluice_status fail_locked(const char *path, int fd, sluice_message *why)
{
    char pid[24] = {0};
    ssize_t size = pread(fd, pid, sizeof pid - 1, 0);
    size_t digits = size > 0 ? strspn(pid, "0123456789") : 0;
    if (digits == 0) {
        return sluice_fail(why, SLUICE_E_IO,
                           "state %s: another process writes it; stop that one or use another "
                           "`state` directory",
                           path);
    }
    return sluice_fail(why, SLUICE_E_IO,
                       "state %s: process %.*s writes it; stop that one or use another `state` "
                       "directory",
                       path, (int)digits, pid);
}

static sluice_status take_lock(sl_environment *environment, sluice_message *why)
{
    char *name = join(environment->path, "lock");
    if (name == NULL) {
        return SLUICE_E_NOMEM;
    }
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    free(name);
    if (fd < 0) {
        return sl_environment_fail(environment, why, errno, "open its file `lock`");
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int error = errno;
        sluice_status status = error == EWOULDBLOCK
                                   ? fail_locked(environment->path, fd, why)
                                   : sl_environment_fail(environment, why, error, "lock it");
        close(fd);
        return status;
    }
    environment->lock_fd = fd;
    /* The number is for the sentence above only: a full disk must not keep a state from opening,
     * since consumers free room in it. */
    if (ftruncate(fd, 0) == 0) {
        dprintf(fd, "%ld\n", (long)getpid());
    }
    return SLUICE_OK;
}

static size_t map_bytes(const sl_spool_options *options, uint64_t file_bytes)
{
    uint64_t rows = options->rows_bytes != 0 ? options->rows_bytes : DEFAULT_ROWS_BYTES;
    uint64_t bytes = options->max_bytes + options->max_bytes / 2 + ONE_GIB + rows + rows / 2;
    /* A state made with larger limits must still find room for what frees it again. */
    bytes = bytes < file_bytes + ONE_GIB ? file_bytes + ONE_GIB : bytes;
    return (size_t)(bytes / 65536 * 65536);
}

/* LMDB maps a table of readers that it has only made long, not filled: on a full disk the first
 * touch would be a signal. So its blocks are there before; always the same size, since processes
 * that have it open agree on the number of slots by it. */
static int allocate_reader_table(const char *path)
{
    char *name = join(path, "lock.mdb");
    if (name == NULL) {
        return ENOMEM;
    }
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    free(name);
    if (fd < 0) {
        return errno == EROFS ? 0 : errno; /* read only for ever: LMDB does without */
    }
    int rc = posix_fallocate(fd, 0, READER_TABLE_BYTES);
    close(fd);
    return rc;
}

static char unreadable[600]; /* what is said when a mapped page cannot be read */

/* A damaged page that points beyond the file, or a disk that fails, is this signal: the state is
 * mapped. Nothing unfinished was acknowledged, so ending here loses nothing. */
static void end_unreadable(int number)
{
    (void)number;
    (void)!write(STDERR_FILENO, unreadable, strlen(unreadable));
    _exit(1);
}

static void name_unreadable(const char *path)
{
    snprintf(unreadable, sizeof unreadable,
             "sluice: SPOOL-UNREADABLE state %.500s is damaged, or its disk cannot be read\n",
             path);
    (void)signal(SIGBUS, end_unreadable);
}

static int open_lmdb(const char *path, const sl_spool_options *options, uint64_t file_bytes,
                     MDB_env **out)
{
    *out = NULL;
    MDB_env *env;
    int rc = mdb_env_create(&env);
    if (rc != 0) {
        return rc;
    }
    unsigned flags = MDB_NOTLS; /* a transaction belongs to a call, not to a thread */
    flags |= options->read_only ? MDB_RDONLY : 0;
    flags |= options->sync_os ? MDB_NOSYNC : 0;
    rc = allocate_reader_table(path);
    if (rc == 0) {
        rc = mdb_env_set_maxdbs(env, SL_N_DBS);
    }
    if (rc == 0) {
        rc = mdb_env_set_maxreaders(env, MAX_READERS);
    }
    if (rc == 0 && !options->read_only) {
        rc = mdb_env_set_mapsize(env, map_bytes(options, file_bytes));
    }
    if (rc == 0) {
        name_unreadable(path);
        rc = mdb_env_open(env, path, flags, 0600);
    }
    if (rc != 0) {
        mdb_env_close(env);
        return rc;
    }
    *out = env;
    return 0;
}

static int open_dbs(MDB_env *env, bool create, MDB_dbi dbi[SL_N_DBS], MDB_txn **out)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(env, NULL, create ? 0 : MDB_RDONLY, &txn);
    if (rc != 0) {
        return rc;
    }
    for (int i = 0; i < SL_N_DBS && rc == 0; i++) {
        rc = mdb_dbi_open(txn, db_names[i], create ? MDB_CREATE : 0, &dbi[i]);
    }
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    *out = txn;
    return 0;
}

static int fill_new(const char *path, const sl_spool_options *options)
{
    sl_spool_options durable = *options;
    durable.sync_os = false;
    MDB_env *env;
    int rc = open_lmdb(path, &durable, 0, &env);
    if (rc != 0) {
        return rc;
    }
    MDB_dbi dbi[SL_N_DBS];
    MDB_txn *txn;
    rc = open_dbs(env, true, dbi, &txn);
    if (rc == 0) {
        rc = sl_meta_create(txn, dbi[SL_DB_META], options->state_lines);
        if (rc == 0) {
            rc = mdb_txn_commit(txn);
        } else {
            mdb_txn_abort(txn);
        }
    }
    mdb_env_close(env);
    return rc;
}

/* Removes what an interrupted making left; what is not there is as good. */
static void remove_new(const char *path)
{
    static const char *const names[] = {"data.mdb", "lock.mdb"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *name = join(path, names[i]);
        if (name != NULL) {
            unlink(name);
            free(name);
        }
    }
    rmdir(path);
}

static sluice_status make_state(const sl_environment *environment, const sl_spool_options *options,
                                const char *data, sluice_message *why)
{
    char *folder = join(environment->path, "new");
    char *data_new = folder != NULL ? join(folder, "data.mdb") : NULL;
    if (data_new == NULL) {
        free(folder);
        return SLUICE_E_NOMEM;
    }
    remove_new(folder);
    int rc = mkdir(folder, 0700) == 0 ? 0 : errno;
    if (rc == 0) {
        rc = fill_new(folder, options);
    }
    if (rc == 0) {
        rc = SLUICE_FAULT("spool.create");
    }
    if (rc == 0) {
        rc = rename(data_new, data) == 0 ? 0 : errno;
    }
    if (rc == 0) {
        rc = sync_directory(environment->path);
    }
    remove_new(folder);
    free(data_new);
    free(folder);
    return rc == 0 ? SLUICE_OK : sl_environment_fail(environment, why, rc, "make its data file");
}

/* LMDB's own last page against the length of the file. */
static sluice_status check_length(sl_environment *environment, const char *data,
                                  sluice_message *why)
{
    MDB_envinfo info;
    MDB_stat pages;
    struct stat file;
    int rc = mdb_env_info(environment->env, &info);
    if (rc == 0) {
        rc = mdb_env_stat(environment->env, &pages);
    }
    if (rc == 0) {
        rc = stat(data, &file) == 0 ? 0 : errno;
    }
    if (rc != 0) {
        return sl_environment_fail(environment, why, rc, "look at its data file");
    }
    environment->page_bytes = pages.ms_psize;
    uint64_t wanted = ((uint64_t)info.me_last_pgno + 1) * pages.ms_psize;
    if ((uint64_t)file.st_size < wanted) {
        return sluice_fail(why, SLUICE_E_CORRUPT,
                           "state %s: data.mdb is cut off: %" PRIu64 " of %" PRIu64
                           " bytes are there; restore it from a copy",
                           environment->path, (uint64_t)file.st_size, wanted);
    }
    return SLUICE_OK;
}

static sluice_status open_data(sl_environment *environment, const sl_spool_options *options,
                               const char *data, uint64_t file_bytes, sluice_message *why)
{
    int rc = open_lmdb(environment->path, options, file_bytes, &environment->env);
    if (rc == MDB_INVALID || rc == MDB_VERSION_MISMATCH) {
        return sluice_fail(why, SLUICE_E_CORRUPT,
                           "state %s: data.mdb is not the data file of a state, or its head is "
                           "damaged; restore it from a copy or use another `state` directory",
                           environment->path);
    }
    if (rc != 0) {
        return sl_environment_fail(environment, why, rc, "open its data file");
    }
    SLUICE_TRY(check_length(environment, data, why));
    int n_dead_readers;
    rc = mdb_reader_check(environment->env, &n_dead_readers);
    MDB_txn *txn = NULL;
    if (rc == 0) {
        rc = open_dbs(environment->env, false, environment->dbi, &txn);
    }
    if (rc == MDB_NOTFOUND || rc == MDB_INCOMPATIBLE) {
        return sluice_fail(why, SLUICE_E_CONFIG,
                           "state %s: data.mdb was not made by Sluice; use another `state` "
                           "directory",
                           environment->path);
    }
    if (rc != 0) {
        return sl_environment_fail(environment, why, rc, "read its data file");
    }
    sluice_status status = sl_meta_check_format(environment, txn, why);
    if (status == SLUICE_OK && !options->read_only) {
        status = sl_meta_check_lines(environment, txn, options->state_lines, why);
    }
    if (status != SLUICE_OK) {
        mdb_txn_abort(txn);
        return status;
    }
    rc = mdb_txn_commit(txn); /* a commit keeps the handles */
    return rc == 0 ? SLUICE_OK : sl_environment_fail(environment, why, rc, "open its databases");
}

static sluice_status find_or_make_data(const sl_environment *environment,
                                       const sl_spool_options *options, const char *data,
                                       uint64_t *file_bytes, sluice_message *why)
{
    struct stat info;
    int rc = stat(data, &info) == 0 ? 0 : errno;
    if (rc == ENOENT && options->read_only) {
        return sluice_fail(why, SLUICE_E_CONFIG,
                           "state %s: no state has been made there (it holds no data.mdb)",
                           environment->path);
    }
    if (rc == ENOENT) {
        *file_bytes = 0;
        return make_state(environment, options, data, why);
    }
    if (rc != 0) {
        return sl_environment_fail(environment, why, rc, "look at its data file");
    }
    if (info.st_size == 0) {
        return sluice_fail(why, SLUICE_E_CORRUPT,
                           "state %s: data.mdb is cut off: it is empty; restore it from a copy",
                           environment->path);
    }
    *file_bytes = (uint64_t)info.st_size;
    return SLUICE_OK;
}

sluice_status sl_environment_open(const sl_spool_options *options, sl_environment *out,
                                  sluice_message *why)
{
    *out = (sl_environment){.lock_fd = -1};
    SLUICE_TRY(check_directory(options->path, options->read_only, why));
    sl_environment environment = {.path = strdup(options->path), .lock_fd = -1};
    char *data = join(options->path, "data.mdb");
    sluice_status status = SLUICE_E_NOMEM;
    if (environment.path == NULL || data == NULL) {
        sluice_fail(why, status, "state %s: cannot open it: out of memory", options->path);
        goto fail;
    }
    status = options->read_only ? SLUICE_OK : take_lock(&environment, why);
    if (status != SLUICE_OK) {
        goto fail;
    }
    uint64_t file_bytes = 0;
    status = find_or_make_data(&environment, options, data, &file_bytes, why);
    if (status == SLUICE_OK) {
        status = open_data(&environment, options, data, file_bytes, why);
    }
    if (status != SLUICE_OK) {
        goto fail;
    }
    free(data);
    *out = environment;
    return SLUICE_OK;
fail:
    free(data);
    sl_environment_close(&environment);
    return status;
}

void sl_environment_close(sl_environment *environment)
{
    if (environment->env != NULL) {
        mdb_env_close(environment->env);
    }
    if (environment->lock_fd >= 0) {
        close(environment->lock_fd); /* gives the flock back */
    }
    free(environment->path);
    *environment = (sl_environment){.lock_fd = -1};
}

sluice_status sl_environment_begin(const sl_environment *environment, bool write, MDB_txn **txn,
                                   sluice_message *why)
{
    int rc = mdb_txn_begin(environment->env, NULL, write ? 0 : MDB_RDONLY, txn);
    if (rc != 0) {
        *txn = NULL;
        return sl_environment_fail(environment, why, rc,
                                   write ? "begin a transaction" : "begin to read");
    }
    return SLUICE_OK;
}

sluice_status sl_environment_give(const sl_environment *environment, sluice_bytes *out,
                                  sluice_span span, sluice_message *why)
{
    sluice_status status = sl_bytes_append(out, span.data, span.size);
    return status == SLUICE_OK ? status
                               : sl_environment_fail(environment, why, ENOMEM, "give its bytes");
}

sluice_status sl_environment_db_bytes(const sl_environment *environment, MDB_txn *txn, sl_db db,
                                      uint64_t *bytes, sluice_message *why)
{
    MDB_stat pages;
    int rc = mdb_stat(txn, environment->dbi[db], &pages);
    if (rc != 0) {
        *bytes = 0;
        return sl_environment_fail(environment, why, rc, "measure it");
    }
    *bytes = (uint64_t)(pages.ms_branch_pages + pages.ms_leaf_pages + pages.ms_overflow_pages) *
             environment->page_bytes;
    return SLUICE_OK;
}

uint64_t sl_spool_key_read(const MDB_val *key)
{
    if (key->mv_size != 8) {
        return UINT64_MAX;
    }
    const uint8_t *bytes = key->mv_data;
    uint64_t number = 0;
    for (unsigned i = 0; i < 8; i++) {
        number = number << 8 | bytes[i];
    }
    return number;
}

int sl_cursor_seek(MDB_cursor *cursor, uint64_t number, MDB_val *key, MDB_val *value)
{
    uint8_t bytes[8];
    *key = sl_spool_key_write(number, bytes);
    int rc = mdb_cursor_get(cursor, key, value, MDB_SET_RANGE);
    if (rc == MDB_NOTFOUND) {
        return mdb_cursor_get(cursor, key, value, MDB_LAST);
    }
    if (rc != 0 || sl_spool_key_read(key) == number) {
        return rc;
    }
    rc = mdb_cursor_get(cursor, key, value, MDB_PREV);
    return rc == MDB_NOTFOUND ? mdb_cursor_get(cursor, key, value, MDB_FIRST) : rc;
}
