/* stream.c - the bytes of a file or pipe, decompressed.
 *
 *   file --read--> block[128 KiB] --inflate | zstd | as it is--> the caller's memory
 *                  at ... end       position = bytes before `at`, so that a break can be named
 *
 * Why the first bytes decide and not the name: a pipe has no name. */
#include "stream.h"
#include "bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define SL_STREAM_BLOCK_BYTES ((size_t)128 << 10)
#define SL_STREAM_PIECE_BYTES ((size_t)4 << 10)

typedef enum packing { PLAIN, GZIP, ZSTD } packing;

struct sl_stream {
    const char *name; /* borrowed */
    int file;
    bool regular, ended; /* ended: the file has no more bytes */
    bool between;        /* at the start of a gzip member or Zstandard frame */
    packing packing;
    uint64_t taken; /* bytes read from the file */
    size_t at, end; /* unread part of block */
    z_stream gzip;
    ZSTD_DStream *zstd;
    uint8_t block[SL_STREAM_BLOCK_BYTES];
};

static const char *shown(const sl_stream *stream)
{
    return strcmp(stream->name, "-") == 0 ? "standard input" : stream->name;
}

static sluice_status fill_block(sl_stream *stream, sluice_message *why)
{
    memmove(stream->block, stream->block + stream->at, stream->end - stream->at);
    stream->end -= stream->at;
    stream->at = 0;
    ssize_t n;
    do {
        n = read(stream->file, stream->block + stream->end, sizeof stream->block - stream->end);
    } while (n < 0 && errno == EINTR);
    if (n < 0) {
        return sluice_fail(why, SLUICE_E_IO, "%s: cannot be read: %s", shown(stream),
                           strerror(errno));
    }
    stream->ended = n == 0;
    stream->end += (size_t)n;
    stream->taken += (uint64_t)n;
    return SLUICE_OK;
}

static bool ends_with(const char *name, const char *suffix)
{
    size_t n = strlen(name);
    size_t k = strlen(suffix);
    return n > k && strcmp(name + n - k, suffix) == 0;
}

static sluice_status choose_packing(sl_stream *stream, sluice_message *why)
{
    while (stream->end < 4 && !stream->ended) {
        SLUICE_TRY(fill_block(stream, why));
    }
    if (stream->end >= 2 && memcmp(stream->block, "\x1f\x8b", 2) == 0) {
        stream->packing = GZIP;
        if (inflateInit2(&stream->gzip, 15 + 16) != Z_OK) {
            return sluice_fail(why, SLUICE_E_NOMEM, "no memory to read %s", shown(stream));
        }
    } else if (stream->end >= 4 && memcmp(stream->block, "\x28\xb5\x2f\xfd", 4) == 0) {
        stream->packing = ZSTD;
        stream->zstd = ZSTD_createDStream();
        if (stream->zstd == NULL) {
            return sluice_fail(why, SLUICE_E_NOMEM, "no memory to read %s", shown(stream));
        }
    } else if (ends_with(stream->name, ".gz") || ends_with(stream->name, ".zst")) {
        return sluice_fail(why, SLUICE_E_CORRUPT, "%s: is not %s, as its name says", shown(stream),
                           ends_with(stream->name, ".gz") ? "gzip" : "Zstandard");
    }
    stream->between = true;
    return SLUICE_OK;
}

sluice_status sl_stream_open(const char *path, sl_stream **out, sluice_message *why)
{
    *out = NULL;
    sl_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) {
        return sluice_fail(why, SLUICE_E_NOMEM, "no memory to read %s", path);
    }
    struct stat about;
    stream->name = path;
    stream->file = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    sluice_status status = SLUICE_OK;
    if (stream->file < 0 || fstat(stream->file, &about) != 0) {
        status =
            sluice_fail(why, SLUICE_E_IO, "cannot open %s: %s", shown(stream), strerror(errno));
    } else {
        stream->regular = S_ISREG(about.st_mode);
        status = choose_packing(stream, why);
    }
    if (status != SLUICE_OK) {
        sl_stream_close(&stream);
        return status;
    }
    *out = stream;
    return SLUICE_OK;
}

void sl_stream_close(sl_stream **stream_p)
{
    sl_stream *stream = *stream_p;
    if (stream == NULL) {
        return;
    }
    if (stream->packing == GZIP) {
        inflateEnd(&stream->gzip);
    }
    ZSTD_freeDStream(stream->zstd);
    if (stream->file > STDIN_FILENO) {
        close(stream->file);
    }
    free(stream);
    *stream_p = NULL;
}

static sluice_status fail_broken(const sl_stream *stream, const char *what, sluice_message *why)
{
    return sluice_fail(why, SLUICE_E_CORRUPT, "%s: broken at byte %llu: %s", shown(stream),
                       (unsigned long long)sl_stream_position(stream), what);
}

static sluice_status unpack_gzip(sl_stream *stream, uint8_t *data, size_t size, size_t *n_read,
                                 sluice_message *why)
{
    if (stream->between && inflateReset(&stream->gzip) != Z_OK) {
        return fail_broken(stream, "zlib cannot start again", why);
    }
    stream->between = false;
    stream->gzip.next_in = stream->block + stream->at;
    stream->gzip.avail_in = (uInt)(stream->end - stream->at);
    stream->gzip.next_out = data;
    stream->gzip.avail_out = (uInt)(size < (size_t)1 << 30 ? size : (size_t)1 << 30);
    uInt room = stream->gzip.avail_out;
    int result = inflate(&stream->gzip, Z_NO_FLUSH);
    stream->at = stream->end - stream->gzip.avail_in;
    *n_read = room - stream->gzip.avail_out;
    stream->between = result == Z_STREAM_END;
    if (result != Z_OK && result != Z_STREAM_END && result != Z_BUF_ERROR && *n_read == 0) {
        return fail_broken(stream, stream->gzip.msg != NULL ? stream->gzip.msg : zError(result),
                           why);
    }
    return SLUICE_OK;
}

static sluice_status unpack_zstd(sl_stream *stream, uint8_t *data, size_t size, size_t *n_read,
                                 sluice_message *why)
{
    /* In small pieces: where a block is broken, the call gives none of the blocks before it. */
    size_t left = stream->end - stream->at;
    ZSTD_inBuffer in = {stream->block + stream->at,
                        left < SL_STREAM_PIECE_BYTES ? left : SL_STREAM_PIECE_BYTES, 0};
    ZSTD_outBuffer out = {data, size, 0};
    size_t result = ZSTD_decompressStream(stream->zstd, &out, &in);
    stream->at += in.pos;
    *n_read = out.pos;
    if (ZSTD_isError(result)) {
        return fail_broken(stream, ZSTD_getErrorName(result), why);
    }
    stream->between = result == 0;
    return SLUICE_OK;
}

static sluice_status unpack(sl_stream *stream, uint8_t *data, size_t size, size_t *n_read,
                            sluice_message *why)
{
    if (stream->packing == GZIP) {
        return unpack_gzip(stream, data, size, n_read, why);
    }
    if (stream->packing == ZSTD) {
        return unpack_zstd(stream, data, size, n_read, why);
    }
    size_t left = stream->end - stream->at;
    *n_read = left < size ? left : size;
    memcpy(data, stream->block + stream->at, *n_read);
    stream->at += *n_read;
    return SLUICE_OK;
}

sluice_status sl_stream_read(sl_stream *stream, uint8_t *data, size_t size, size_t *n_read,
                             sluice_message *why)
{
    *n_read = 0;
    for (;;) {
        bool empty = stream->at == stream->end;
        /* Even without new bytes a decoder may hold output back. */
        if (!empty || (stream->packing != PLAIN && !stream->between)) {
            size_t before = stream->at;
            SLUICE_TRY(unpack(stream, data, size, n_read, why));
            if (*n_read > 0) {
                return SLUICE_OK;
            }
            if (stream->at != before) {
                continue;
            }
        }
        if (stream->ended) {
            bool cut = stream->packing != PLAIN && !stream->between;
            return cut ? fail_broken(stream, "it ends in the middle", why) : SLUICE_E_CLOSED;
        }
        SLUICE_TRY(fill_block(stream, why));
    }
}

bool sl_stream_ready(const sl_stream *stream)
{
    struct pollfd waiting = {.fd = stream->file, .events = POLLIN};
    return stream->regular || stream->ended || stream->at < stream->end ||
           poll(&waiting, 1, 0) != 0;
}

uint64_t sl_stream_position(const sl_stream *stream)
{
    return stream->taken - (stream->end - stream->at);
}
