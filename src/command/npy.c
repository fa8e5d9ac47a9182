/* npy.c - arrays in NumPy's .npy files, mapped.
 *
 *   93 NUMPY | major minor | header size u16 (v1) or u32 (v2, v3) | {'descr': '<f4', ...} | data
 *
 * Why mapped: an array of embeddings is as large as the stream and is read once, front to back.
 * Source: NumPy, numpy/lib/format.py. */
#include "command/npy.h"
#include "bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEADER_BYTES_MAX 4096

static sluice_status refuse(sluice_message *why, const char *text)
{
    return sluice_fail(why, SLUICE_E_BADSAMPLE, "%s", text);
}

/* Behind 'key': and its blanks; NULL if it is not there. */
static const char *value_of(const char *header, const char *key)
{
    char quoted[32];
    snprintf(quoted, sizeof quoted, "'%s'", key);
    const char *at = strstr(header, quoted);
    if (at == NULL) {
        return NULL;
    }
    at += strlen(quoted);
    at += strspn(at, " ");
    if (*at != ':') {
        return NULL;
    }
    at++;
    return at + strspn(at, " ");
}

static bool parse_descr(const char *at, sl_npy *out)
{
    static const char *const known[] = {"'<f2'", "'<f4'", "'<f8'", "'|b1'"};
    for (size_t i = 0; at != NULL && i < sizeof known / sizeof *known; i++) {
        if (strncmp(at, known[i], 5) == 0) {
            out->kind = known[i][2];
            out->item_bytes = (uint32_t)(known[i][3] - '0');
            return true;
        }
    }
    return false;
}

static bool parse_shape(const char *at, sl_npy *out)
{
    if (at == NULL || *at != '(') {
        return false;
    }
    at++;
    for (;;) {
        at += strspn(at, " ");
        if (*at == ')') {
            return true;
        }
        char *end;
        if (*at < '0' || *at > '9' || out->n_dims == SL_NPY_DIMS) {
            return false;
        }
        errno = 0;
        out->shape[out->n_dims++] = strtoull(at, &end, 10);
        at = end + strspn(end, " ");
        if (errno != 0 || (*at != ',' && *at != ')')) {
            return false;
        }
        at += *at == ',';
    }
}

/* False if the product overflows. */
static bool size_of(const sl_npy *npy, size_t *size)
{
    *size = npy->item_bytes;
    for (uint32_t i = 0; i < npy->n_dims; i++) {
        if (__builtin_mul_overflow(*size, npy->shape[i], size)) {
            return false;
        }
    }
    return true;
}

sluice_status sl_npy_parse(sluice_span bytes, sl_npy *out, sluice_message *why)
{
    static const uint8_t magic[] = {0x93, 'N', 'U', 'M', 'P', 'Y'};
    char header[HEADER_BYTES_MAX + 1];
    *out = (sl_npy){.item_bytes = 0};
    if (bytes.size < 12 || memcmp(bytes.data, magic, sizeof magic) != 0) {
        return refuse(why, "not a .npy file");
    }
    bool wide = bytes.data[6] >= 2;
    size_t at = wide ? 12 : 10;
    size_t size = bytes.data[8] | (size_t)bytes.data[9] << 8;
    size |= wide ? (size_t)bytes.data[10] << 16 | (size_t)bytes.data[11] << 24 : 0;
    if (size > HEADER_BYTES_MAX || size > bytes.size - at) {
        return refuse(why, "the header of the .npy file is cut or too long");
    }
    memcpy(header, bytes.data + at, size);
    header[size] = '\0';
    if (!parse_descr(value_of(header, "descr"), out)) {
        return refuse(why, "the array is not of float16, float32, float64 or bool");
    }
    const char *order = value_of(header, "fortran_order");
    if (order == NULL || strncmp(order, "False", 5) != 0) {
        return refuse(why, "the array is not row-major; write it with numpy.ascontiguousarray");
    }
    size_t data_size;
    if (!parse_shape(value_of(header, "shape"), out) || !size_of(out, &data_size)) {
        return refuse(why, "the shape of the array cannot be read");
    }
    if (bytes.size - at - size != data_size) {
        return sluice_fail(why, SLUICE_E_BADSAMPLE, "the array needs %zu bytes, the file has %zu",
                           data_size, bytes.size - at - size);
    }
    out->data = (sluice_span){bytes.data + at + size, data_size};
    return SLUICE_OK;
}

sluice_status sl_npy_open(const char *path, sl_npy *out, sluice_message *why)
{
    struct stat info;
    *out = (sl_npy){.item_bytes = 0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0 || !S_ISREG(info.st_mode) || info.st_size == 0) {
        sluice_fail(why, SLUICE_E_IO, "cannot read %s: %s", path,
                    fd < 0 ? strerror(errno) : "not a file with something in it");
        if (fd >= 0) {
            close(fd);
        }
        return SLUICE_E_IO;
    }
    size_t size = (size_t)info.st_size;
    void *map = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (map == MAP_FAILED) {
        return sluice_fail(why, SLUICE_E_IO, "cannot map %s: %s", path, strerror(errno));
    }
    sluice_message inner;
    sluice_status status = sl_npy_parse((sluice_span){map, size}, out, &inner);
    if (status != SLUICE_OK) {
        munmap(map, size);
        return sluice_fail(why, status, "%s: %s", path, inner.text);
    }
    out->map = (sluice_span){map, size};
    return SLUICE_OK;
}

void sl_npy_close(sl_npy *npy)
{
    if (npy->map.data != NULL) {
        munmap((void *)(uintptr_t)npy->map.data, npy->map.size);
    }
    *npy = (sl_npy){.item_bytes = 0};
}
