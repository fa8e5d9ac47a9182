/* keys.c - reads and writes key files.
 *
 *   # Sluice key 'alice', with its secret: keep this file to its owner (mode 0600).
 *   public rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7
 *   secret JTKVSB%%)wK0E.X)V>+}o?pNmC{O&4W4b!Ni{Lh6
 *   rights ingest egress
 *
 * Why text: a person copies the public part into a mail and sees what a file may do.
 * Why a secret that others can read is refused: it was not kept, so it proves nothing. */
#include "wire/keys.h"

#include <zmq.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const struct {
    sl_right right;
    const char *name;
} right_table[] = {
    {SL_RIGHT_INGEST, "ingest"}, {SL_RIGHT_EGRESS, "egress"}, {SL_RIGHT_ADMIN, "admin"}};

#define N_RIGHTS (sizeof right_table / sizeof right_table[0])

const char *sl_right_name(sl_right right)
{
    for (size_t i = 0; i < N_RIGHTS; i++) {
        if (right_table[i].right == right) {
            return right_table[i].name;
        }
    }
    return "";
}

sluice_status sl_key_make(sl_key *out, sluice_message *why)
{
    *out = (sl_key){0};
    if (zmq_curve_keypair(out->public_key, out->secret_key) != 0) {
        return sluice_fail(why, SLUICE_E_IO, "cannot make a key pair: %s (libzmq without CURVE?)",
                           zmq_strerror(errno));
    }
    return SLUICE_OK;
}

sluice_status sl_rights_parse(const char *text, uint32_t *rights, sluice_message *why)
{
    *rights = 0;
    while (*text != '\0') {
        size_t size = strcspn(text, ", \t");
        uint32_t right = 0;
        for (size_t i = 0; i < N_RIGHTS; i++) {
            if (size == strlen(right_table[i].name) &&
                strncmp(text, right_table[i].name, size) == 0) {
                right = right_table[i].right;
            }
        }
        if (size > 0 && right == 0) {
            return sluice_fail(why, SLUICE_E_CONFIG,
                               "'%.*s' is no right; there are ingest, egress and admin",
                               size > 40 ? 40 : (int)size, text);
        }
        *rights |= right;
        text += size;
        text += strspn(text, ", \t");
    }
    return SLUICE_OK;
}

bool sl_client_name_valid(const char *name)
{
    size_t size = strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-");
    return size >= 1 && size <= SLUICE_LIMIT_CLIENT_NAME && name[size] == '\0' && name[0] != '.';
}

/* A Z85 key is right if it decodes to 32 bytes; libzmq leaves garbage for characters it does not
 * know, so those are checked by encoding again. */
static bool key_text_valid(const char *text)
{
    uint8_t raw[32];
    char again[SL_KEY_TEXT_BYTES];
    return strlen(text) == SL_KEY_TEXT_BYTES - 1 && zmq_z85_decode(raw, text) != NULL &&
           zmq_z85_encode(again, raw, sizeof raw) != NULL && strcmp(text, again) == 0;
}

/* Reads the whole file into text[SLUICE_LIMIT_KEYFILE_BYTES + 1]. */
static sluice_status read_key_text(const char *path, char *text, mode_t *mode, sluice_message *why)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return sluice_fail(why, SLUICE_E_CONFIG, "cannot open the key file %s: %s", path,
                           strerror(errno));
    }
    struct stat about;
    ssize_t size = fstat(file, &about) == 0 && S_ISREG(about.st_mode)
                       ? read(file, text, SLUICE_LIMIT_KEYFILE_BYTES + 1)
                       : -1;
    close(file);
    if (size < 0 || size > SLUICE_LIMIT_KEYFILE_BYTES || memchr(text, 0, (size_t)size) != NULL) {
        return sluice_fail(why, SLUICE_E_CONFIG, "%s is not a key file", path);
    }
    text[size] = '\0';
    *mode = about.st_mode;
    return SLUICE_OK;
}

static sluice_status parse_key_line(char *line, sl_key *key, sluice_message *why)
{
    line += strspn(line, " \t");
    if (*line == '#' || *line == '\0') {
        return SLUICE_OK;
    }
    size_t size = strcspn(line, " \t");
    char *value = line + size + strspn(line + size, " \t");
    bool is_public = size == 6 && strncmp(line, "public", size) == 0;
    bool is_secret = size == 6 && strncmp(line, "secret", size) == 0;
    if (is_public || is_secret) {
        value[strcspn(value, " \t")] = '\0';
        if (!key_text_valid(value)) {
            return sluice_fail(why, SLUICE_E_CONFIG, "%.6s: expected 40 characters of Z85", line);
        }
        memcpy(is_public ? key->public_key : key->secret_key, value, SL_KEY_TEXT_BYTES);
        return SLUICE_OK;
    }
    if (size == 6 && strncmp(line, "rights", size) == 0) {
        return sl_rights_parse(value, &key->rights, why);
    }
    return sluice_fail(why, SLUICE_E_CONFIG, "'%.20s': expected public, secret or rights", line);
}

sluice_status sl_key_read(const char *path, bool want_secret, sl_key *out, sluice_message *why)
{
    *out = (sl_key){0};
    char text[SLUICE_LIMIT_KEYFILE_BYTES + 2];
    mode_t mode = 0;
    SLUICE_TRY(read_key_text(path, text, &mode, why));
    sl_key key = {0};
    int n_line = 0;
    for (char *line = text, *next; line != NULL; line = next) {
        n_line++;
        next = strchr(line, '\n');
        if (next != NULL) {
            *next++ = '\0';
        }
        line[strcspn(line, "\r")] = '\0';
        sluice_message fault;
        if (parse_key_line(line, &key, &fault) != SLUICE_OK) {
            return sluice_fail(why, SLUICE_E_CONFIG, "%s:%d: %.300s", path, n_line, fault.text);
        }
    }
    if (key.public_key[0] == '\0' || (want_secret && key.secret_key[0] == '\0')) {
        return sluice_fail(why, SLUICE_E_CONFIG, "%s has no '%s' line", path,
                           key.public_key[0] == '\0' ? "public" : "secret");
    }
    if (want_secret && (mode & (S_IRWXG | S_IRWXO)) != 0) {
        return sluice_fail(why, SLUICE_E_CONFIG,
                           "%s holds a secret key but others may read it; run: chmod 600 %s", path,
                           path);
    }
    *out = key;
    return SLUICE_OK;
}

static void print_key(FILE *stream, const char *name, const sl_key *key, bool with_secret)
{
    fprintf(stream, "# Sluice key '%s', %s.\n", name,
            with_secret ? "with its secret: keep this file to its owner (mode 0600)"
                        : "public part: holds no secret");
    fprintf(stream, "# public  the key by which others know this one (Z85)\n"
                    "# secret  the key that proves it is this one; never leaves its owner\n"
                    "# rights  what a filter lets the client do when this file is its "
                    "clients/NAME.key: ingest egress admin\n");
    fprintf(stream, "public %s\n", key->public_key);
    if (with_secret) {
        fprintf(stream, "secret %s\n", key->secret_key);
    }
    fprintf(stream, "rights");
    for (size_t i = 0; i < N_RIGHTS; i++) {
        if ((key->rights & right_table[i].right) != 0) {
            fprintf(stream, " %s", right_table[i].name);
        }
    }
    fprintf(stream, "\n");
}

sluice_status sl_key_write(const char *path, const char *name, const sl_key *key, bool with_secret,
                           sluice_message *why)
{
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, with_secret ? 0600 : 0644);
    if (file < 0) {
        return errno == EEXIST
                   ? sluice_fail(why, SLUICE_E_CONFIG,
                                 "%s is there already and is never overwritten", path)
                   : sluice_fail(why, SLUICE_E_IO, "cannot make %s: %s", path, strerror(errno));
    }
    FILE *stream = fdopen(file, "w");
    if (stream == NULL) {
        close(file);
        unlink(path);
        return SLUICE_E_NOMEM;
    }
    print_key(stream, name, key, with_secret);
    bool written = fflush(stream) == 0 && fsync(file) == 0;
    if (fclose(stream) != 0 || !written) {
        sluice_fail(why, SLUICE_E_IO, "cannot write %s: %s", path, strerror(errno));
        unlink(path);
        return SLUICE_E_IO;
    }
    return SLUICE_OK;
}
