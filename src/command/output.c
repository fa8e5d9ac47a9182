/* output.c - a file or pipe that is written, compressed by its name.
 *
 *   write --> pending[256 KiB] --as it is | deflate | zstd--> packed[128 KiB] --write(2)--> file
 *
 * Why it is written in place and not renamed at the end: whoever reads on the other side wants the
 * first samples now, and the verdicts say how far they go. */
#include "output.h"
#include "bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define SL_OUTPUT_PENDING_BYTES ((size_t)256 << 10)
#define SL_OUTPUT_PACKED_BYTES  ((size_t)128 << 10)
#define SL_OUTPUT_ZSTD_LEVEL    3
#define SL_OUTPUT_GZIP_LEVEL    6

typedef enum packing { PLAIN, GZIP, ZSTD } packing;
typedef enum flushing { GO_ON, FLUSH, FINISH } flushing;

struct sl_output {
    const char *name; /* borrowed */
    int file;
    packing packing;
    z_stream gzip;
    ZSTD_CCtx *zstd;
    size_t n_pending;
    bool begun; /* something was packed since the last flush */
    uint8_t pending[SL_OUTPUT_PENDING_BYTES];
    uint8_t packed[SL_OUTPUT_PACKED_BYTES];
};

static const char *shown(const sl_output *output)
{
    return strcmp(output->name, "-") == 0 ? "standard output" : output->name;
}

static bool ends_with(const char *name, const char *suffix)
{
    size_t n = strlen(name);
    size_t k = strlen(suffix);
    return n > k && strcmp(name + n - k, suffix) == 0;
}

static bool open_packing(sl_output *output)
{
    if (ends_with(output->name, ".gz")) {
        output->packing = GZIP;
        return deflateInit2(&output->gzip, SL_OUTPUT_GZIP_LEVEL, Z_DEFLATED, 15 + 16, 8,
                            Z_DEFAULT_STRATEGY) == Z_OK;
    }
    if (ends_with(output->name, ".zst")) {
        output->packing = ZSTD;
        output->zstd = ZSTD_createCCtx();
        return output->zstd != NULL &&
               !ZSTD_isError(ZSTD_CCtx_setParameter(output->zstd, ZSTD_c_compressionLevel,
                                                    SL_OUTPUT_ZSTD_LEVEL)) &&
               !ZSTD_isError(ZSTD_CCtx_setParameter(output->zstd, ZSTD_c_checksumFlag, 1));
    }
    return true;
}

sluice_status sl_output_open(const char *path, sl_output **out, sluice_message *why)
{
    *out = NULL;
    sl_output *output = calloc(1, sizeof *output);
    if (output == NULL) {
        return sluice_fail(why, SLUICE_E_NOMEM, "no memory to write %s", path);
    }
    output->name = path;
    bool standard = strcmp(path, "-") == 0;
    output->file =
        standard ? STDOUT_FILENO : open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    sluice_status status = SLUICE_OK;
    if (output->file < 0) {
        status = sluice_fail(why, SLUICE_E_IO, "cannot write %s: %s", path, strerror(errno));
    } else if (!open_packing(output)) {
        status = sluice_fail(why, SLUICE_E_NOMEM, "no memory to write %s", path);
    }
    if (status != SLUICE_OK) {
        sl_output_abandon(&output);
        return status;
    }
    *out = output;
    return SLUICE_OK;
}

static sluice_status write_all(sl_output *output, const uint8_t *data, size_t size,
                               sluice_message *why)
{
    while (size > 0) {
        ssize_t n = write(output->file, data, size);
        if (n < 0 && errno != EINTR) {
            return sluice_fail(why, SLUICE_E_IO, "cannot write %s: %s", shown(output),
                               strerror(errno));
        }
        data += n > 0 ? n : 0;
        size -= n > 0 ? (size_t)n : 0;
    }
    return SLUICE_OK;
}

static sluice_status pack_gzip(sl_output *output, flushing how, sluice_message *why)
{
    static const int modes[] = {[GO_ON] = Z_NO_FLUSH, [FLUSH] = Z_SYNC_FLUSH, [FINISH] = Z_FINISH};
    output->gzip.next_in = output->pending;
    output->gzip.avail_in = (uInt)output->n_pending;
    do {
        output->gzip.next_out = output->packed;
        output->gzip.avail_out = sizeof output->packed;
        int result = deflate(&output->gzip, modes[how]);
        SLUICE_ASSERT(result != Z_STREAM_ERROR);
        SLUICE_TRY(
            write_all(output, output->packed, sizeof output->packed - output->gzip.avail_out, why));
    } while (output->gzip.avail_out == 0);
    return SLUICE_OK;
}

static sluice_status pack_zstd(sl_output *output, flushing how, sluice_message *why)
{
    static const ZSTD_EndDirective modes[] = {
        [GO_ON] = ZSTD_e_continue, [FLUSH] = ZSTD_e_flush, [FINISH] = ZSTD_e_end};
    ZSTD_inBuffer in = {output->pending, output->n_pending, 0};
    bool done;
    do {
        ZSTD_outBuffer out = {output->packed, sizeof output->packed, 0};
        size_t left = ZSTD_compressStream2(output->zstd, &out, &in, modes[how]);
        if (ZSTD_isError(left)) {
            return sluice_fail(why, SLUICE_E_IO, "cannot compress %s: %s", shown(output),
                               ZSTD_getErrorName(left));
        }
        SLUICE_TRY(write_all(output, output->packed, out.pos, why));
        done = how == GO_ON ? in.pos == in.size : left == 0;
    } while (!done);
    return SLUICE_OK;
}

static sluice_status pack(sl_output *output, flushing how, sluice_message *why)
{
    sluice_status status;
    if (output->packing == GZIP) {
        status = pack_gzip(output, how, why);
    } else if (output->packing == ZSTD) {
        status = pack_zstd(output, how, why);
    } else {
        status = write_all(output, output->pending, output->n_pending, why);
    }
    output->begun = how == GO_ON;
    output->n_pending = 0;
    return status;
}

sluice_status sl_output_write(sl_output *output, const void *data, size_t size, sluice_message *why)
{
    const uint8_t *from = data;
    while (size > 0) {
        size_t room = sizeof output->pending - output->n_pending;
        size_t n = size < room ? size : room;
        memcpy(output->pending + output->n_pending, from, n);
        output->n_pending += n;
        from += n;
        size -= n;
        if (output->n_pending == sizeof output->pending) {
            SLUICE_TRY(pack(output, GO_ON, why));
        }
    }
    return SLUICE_OK;
}

sluice_status sl_output_flush(sl_output *output, sluice_message *why)
{
    if (output->n_pending == 0 && !output->begun) {
        return SLUICE_OK;
    }
    return pack(output, FLUSH, why);
}

sluice_status sl_output_finish(sl_output **output_p, sluice_message *why)
{
    sl_output *output = *output_p;
    if (output == NULL) {
        return SLUICE_OK;
    }
    sluice_status status = pack(output, FINISH, why);
    /* Some file systems say only here that the disk is full. */
    if (output->file != STDOUT_FILENO && close(output->file) != 0 && status == SLUICE_OK) {
        status =
            sluice_fail(why, SLUICE_E_IO, "cannot write %s: %s", shown(output), strerror(errno));
    }
    output->file = STDOUT_FILENO;
    sl_output_abandon(output_p);
    return status;
}

void sl_output_abandon(sl_output **output_p)
{
    sl_output *output = *output_p;
    if (output == NULL) {
        return;
    }
    if (output->file > STDOUT_FILENO) {
        close(output->file);
    }
    if (output->packing == GZIP) {
        deflateEnd(&output->gzip);
    }
    ZSTD_freeCCtx(output->zstd);
    free(output);
    *output_p = NULL;
}
