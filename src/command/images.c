/* images.c - the images of a folder or an archive, one after the other.
 *
 *   folder   walk -> names, sorted -> open, read
 *   archive  next header -> an image by its name? -> read
 *
 * Why a folder is sorted: the order of a directory differs from machine to machine, and order
 * decides who represents whom.
 * Why by names: a shard of a data set holds labels and captions beside its images; they are not
 * samples. What an image really is, its bytes tell later. */
#include "images.h"
#include "bytes.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define READ_BYTES ((size_t)64 << 10)

struct sl_images {
    const char *root;        /* borrowed                                  */
    struct archive *archive; /* NULL: a folder                            */
    sluice_bytes names;      /* of a folder: paths inside, each with its end */
    uint32_t *places;        /* in names, sorted                          */
    uint32_t n_places, i_place;
    sluice_bytes payload;
    char path[SL_IMAGES_PATH_BYTES];
};

typedef struct kind {
    const char *suffix, *media_type;
} kind;

static const kind kinds[] = {{".jpg", "image/jpeg"},
                             {".jpeg", "image/jpeg"},
                             {".png", "image/png"},
                             {".webp", "image/webp"},
                             {".gif", "image/gif"},
                             {".bmp", "image/bmp"},
                             {".tif", "image/tiff"},
                             {".tiff", "image/tiff"},
                             {".avif", "image/avif"},
                             {".heic", "image/heic"},
                             {NULL, NULL}};

static bool has_suffix(const char *path, const char *suffix)
{
    size_t n = strlen(path), k = strlen(suffix);
    return n > k && strcasecmp(path + n - k, suffix) == 0;
}

static const kind *kind_of(const char *path)
{
    const kind *found = kinds;
    while (found->suffix != NULL && !has_suffix(path, found->suffix)) {
        found++;
    }
    return found->suffix != NULL ? found : NULL;
}

static bool is_image(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    return name[0] != '.' && kind_of(name) != NULL;
}

bool sl_images_is_archive(const char *path)
{
    static const char *const suffixes[] = {".tar", ".tar.gz", ".tgz", ".tar.zst", NULL};
    for (uint32_t i = 0; suffixes[i] != NULL; i++) {
        if (has_suffix(path, suffixes[i])) {
            return true;
        }
    }
    return false;
}

const char *sl_images_media_type(sluice_span payload, const char *path)
{
    if (payload.size >= 3 && memcmp(payload.data, "\xff\xd8\xff", 3) == 0) {
        return "image/jpeg";
    }
    if (payload.size >= 4 && memcmp(payload.data, "\x89PNG", 4) == 0) {
        return "image/png";
    }
    if (payload.size >= 12 && memcmp(payload.data, "RIFF", 4) == 0 &&
        memcmp(payload.data + 8, "WEBP", 4) == 0) {
        return "image/webp";
    }
    const kind *named = kind_of(path);
    return named != NULL ? named->media_type : "image/unknown";
}

/* ---- folders --------------------------------------------------------------------------------- */

typedef struct walk {
    DIR *folders[SL_IMAGES_DEPTH];
    size_t sizes[SL_IMAGES_DEPTH]; /* of the path of each, inside the root */
    uint32_t depth;
    char path[SL_IMAGES_PATH_BYTES]; /* whole; the part inside begins at root_size */
    size_t root_size;
} walk;

static sluice_status enter_folder(walk *at, size_t size, sluice_message *why)
{
    if (at->depth == SL_IMAGES_DEPTH) {
        return sluice_fail(why, SLUICE_E_IO, "%s: folders are nested deeper than %d", at->path,
                           SL_IMAGES_DEPTH);
    }
    DIR *folder = opendir(at->path);
    if (folder == NULL) {
        return sluice_fail(why, SLUICE_E_IO, "cannot open %s: %s", at->path, strerror(errno));
    }
    at->sizes[at->depth] = size;
    at->folders[at->depth++] = folder;
    return SLUICE_OK;
}

/* One entry of the innermost folder: noted, entered or passed over. */
static sluice_status take_entry(sl_images *images, walk *at, const char *name, sluice_message *why)
{
    size_t base = at->sizes[at->depth - 1];
    int n = snprintf(at->path + base, sizeof at->path - base, "/%s", name);
    if (n < 0 || (size_t)n >= sizeof at->path - base) {
        return sluice_fail(why, SLUICE_E_IO, "%s: the path is longer than %d bytes", images->root,
                           SL_IMAGES_PATH_BYTES);
    }
    struct stat about;
    if (lstat(at->path, &about) != 0) {
        return sluice_fail(why, SLUICE_E_IO, "cannot look at %s: %s", at->path, strerror(errno));
    }
    if (S_ISDIR(about.st_mode)) {
        return enter_folder(at, base + (size_t)n, why);
    }
    if (!is_image(at->path) || (!S_ISREG(about.st_mode) && !S_ISLNK(about.st_mode))) {
        return SLUICE_OK;
    }
    const char *inside = at->path + at->root_size + 1;
    images->n_places++;
    return sl_bytes_append(&images->names, inside, strlen(inside) + 1) == SLUICE_OK
               ? SLUICE_OK
               : sluice_fail(why, SLUICE_E_NOMEM, "no memory to list %s", images->root);
}

static sluice_status walk_folders(sl_images *images, walk *at, sluice_message *why)
{
    SLUICE_TRY(enter_folder(at, at->root_size, why));
    while (at->depth > 0) {
        struct dirent *entry = readdir(at->folders[at->depth - 1]);
        if (entry == NULL) {
            closedir(at->folders[--at->depth]);
            continue;
        }
        if (entry->d_name[0] != '.') {
            SLUICE_TRY(take_entry(images, at, entry->d_name, why));
        }
        at->path[at->sizes[at->depth - 1]] = '\0';
    }
    return SLUICE_OK;
}

static int compare_places(const void *a, const void *b, void *names)
{
    return strcmp((const char *)names + *(const uint32_t *)a,
                  (const char *)names + *(const uint32_t *)b);
}

static sluice_status sort_names(sl_images *images, sluice_message *why)
{
    images->places = calloc(images->n_places + 1, sizeof *images->places);
    if (images->places == NULL || images->names.size > UINT32_MAX) {
        return sluice_fail(why, SLUICE_E_NOMEM, "no memory to list %s", images->root);
    }
    uint32_t at = 0;
    for (uint32_t i = 0; i < images->n_places; i++) {
        images->places[i] = at;
        at += (uint32_t)strlen((const char *)images->names.data + at) + 1;
    }
    qsort_r(images->places, images->n_places, sizeof *images->places, compare_places,
            images->names.data);
    return SLUICE_OK;
}

static sluice_status list_folder(sl_images *images, sluice_message *why)
{
    walk at = {.root_size = strlen(images->root)};
    while (at.root_size > 1 && images->root[at.root_size - 1] == '/') {
        at.root_size--;
    }
    if (at.root_size >= sizeof at.path) {
        return sluice_fail(why, SLUICE_E_IO, "%s: the path is too long", images->root);
    }
    memcpy(at.path, images->root, at.root_size);
    sluice_status status = walk_folders(images, &at, why);
    while (at.depth > 0) {
        closedir(at.folders[--at.depth]);
    }
    SLUICE_TRY(status);
    return sort_names(images, why);
}

sluice_status sl_images_read(const char *path, sluice_bytes *out, uint64_t *bytes,
                             sluice_message *why)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return sluice_fail(why, SLUICE_E_IO, "cannot open %s: %s", path, strerror(errno));
    }
    struct stat about;
    sluice_status status = SLUICE_OK;
    if (fstat(fileno(file), &about) != 0 || !S_ISREG(about.st_mode)) {
        status = sluice_fail(why, SLUICE_E_IO, "%s is not a file", path);
    } else if (about.st_size > (off_t)SLUICE_LIMIT_IMAGE_BYTES) {
        *bytes = (uint64_t)about.st_size;
        status = sluice_fail(why, SLUICE_E_TOOBIG, "%s is too large", path);
    } else if (sl_bytes_reserve(out, (size_t)about.st_size + 1) != SLUICE_OK) {
        status = sluice_fail(why, SLUICE_E_NOMEM, "no memory to read %s", path);
    } else {
        size_t size = fread(out->data + out->size, 1, (size_t)about.st_size, file);
        if (ferror(file) != 0) {
            status = sluice_fail(why, SLUICE_E_IO, "cannot read %s: %s", path, strerror(errno));
        } else {
            *bytes = size;
            out->size += size;
        }
    }
    fclose(file);
    return status;
}

static sluice_status next_of_folder(sl_images *images, sl_images_item *item, sluice_message *why)
{
    if (images->i_place == images->n_places) {
        return SLUICE_E_CLOSED;
    }
    const char *inside = (const char *)images->names.data + images->places[images->i_place++];
    char whole[2 * SL_IMAGES_PATH_BYTES];
    snprintf(whole, sizeof whole, "%s/%s", images->root, inside);
    snprintf(images->path, sizeof images->path, "%s", inside);
    sluice_status status = sl_images_read(whole, &images->payload, &item->bytes, why);
    item->too_large = status == SLUICE_E_TOOBIG;
    return item->too_large ? SLUICE_OK : status;
}

/* ---- archives -------------------------------------------------------------------------------- */

static sluice_status open_archive(sl_images *images, sluice_message *why)
{
    images->archive = archive_read_new();
    if (images->archive == NULL) {
        return sluice_fail(why, SLUICE_E_NOMEM, "no memory to read %s", images->root);
    }
    archive_read_support_filter_gzip(images->archive);
    archive_read_support_filter_zstd(images->archive);
    archive_read_support_format_tar(images->archive);
    archive_read_support_format_empty(images->archive);
    if (archive_read_open_filename(images->archive, images->root, READ_BYTES) != ARCHIVE_OK) {
        return sluice_fail(why, SLUICE_E_CORRUPT, "%s: %s", images->root,
                           archive_error_string(images->archive));
    }
    return SLUICE_OK;
}

static sluice_status fail_archive(const sl_images *images, sluice_message *why)
{
    const char *said = archive_error_string(images->archive);
    return sluice_fail(why, SLUICE_E_CORRUPT, "%s: at byte %lld: %s", images->root,
                       (long long)archive_filter_bytes(images->archive, -1),
                       said != NULL ? said : "cannot be read");
}

static sluice_status read_entry(sl_images *images, sl_images_item *item, sluice_message *why)
{
    for (;;) {
        if (sl_bytes_reserve(&images->payload, READ_BYTES) != SLUICE_OK) {
            return sluice_fail(why, SLUICE_E_NOMEM, "no memory to read %s", images->root);
        }
        la_ssize_t n = archive_read_data(images->archive,
                                         images->payload.data + images->payload.size, READ_BYTES);
        if (n < 0) {
            return fail_archive(images, why);
        }
        images->payload.size += (size_t)n;
        item->bytes = images->payload.size;
        if (n == 0) {
            return SLUICE_OK;
        }
        if (images->payload.size > SLUICE_LIMIT_IMAGE_BYTES) { /* the header said less */
            item->too_large = true;
            return SLUICE_OK;
        }
    }
}

static sluice_status next_of_archive(sl_images *images, sl_images_item *item, sluice_message *why)
{
    for (;;) {
        struct archive_entry *entry;
        int result = archive_read_next_header(images->archive, &entry);
        if (result == ARCHIVE_EOF) {
            return SLUICE_E_CLOSED;
        }
        if (result != ARCHIVE_OK && result != ARCHIVE_WARN) {
            return fail_archive(images, why);
        }
        const char *path = archive_entry_pathname(entry);
        if (path == NULL || archive_entry_filetype(entry) != AE_IFREG || !is_image(path)) {
            continue;
        }
        path += strncmp(path, "./", 2) == 0 ? 2 : 0;
        snprintf(images->path, sizeof images->path, "%s", path);
        item->bytes = (uint64_t)archive_entry_size(entry);
        if (item->bytes > SLUICE_LIMIT_IMAGE_BYTES) {
            item->too_large = true;
            return SLUICE_OK;
        }
        return read_entry(images, item, why);
    }
}

/* ---- both ------------------------------------------------------------------------------------ */

sluice_status sl_images_open(const char *path, sl_images **out, sluice_message *why)
{
    *out = NULL;
    sl_images *images = calloc(1, sizeof *images);
    if (images == NULL) {
        return sluice_fail(why, SLUICE_E_NOMEM, "no memory to read %s", path);
    }
    images->root = path;
    sluice_status status =
        sl_images_is_archive(path) ? open_archive(images, why) : list_folder(images, why);
    if (status != SLUICE_OK) {
        sl_images_close(&images);
        return status;
    }
    *out = images;
    return SLUICE_OK;
}

void sl_images_close(sl_images **images_p)
{
    sl_images *images = *images_p;
    if (images != NULL) {
        if (images->archive != NULL) {
            archive_read_free(images->archive);
        }
        sl_bytes_fini(&images->names);
        sl_bytes_fini(&images->payload);
        free(images->places);
        free(images);
        *images_p = NULL;
    }
}

sluice_status sl_images_next(sl_images *images, sl_images_item *item, sluice_message *why)
{
    *item = (sl_images_item){.path = images->path};
    sl_bytes_clear(&images->payload);
    SLUICE_TRY(images->archive != NULL ? next_of_archive(images, item, why)
                                       : next_of_folder(images, item, why));
    if (!item->too_large) {
        item->payload = (sluice_span){images->payload.data, images->payload.size};
    }
    return SLUICE_OK;
}

uint64_t sl_images_progress(const sl_images *images)
{
    return images->archive != NULL ? (uint64_t)archive_filter_bytes(images->archive, -1) : 0;
}
