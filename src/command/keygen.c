/* keygen.c - makes key pairs for CURVE: one for the filter, one for each client.
 *
 *   sluice keygen --server -o server.key      ->  server.key (secret)   server.pub
 *   sluice keygen -o alice.key --clients DIR  ->  alice.key  (secret)   alice.pub   DIR/alice.key
 *
 *   at the filter:   security: {server_key: server.key, clients: DIR}
 *   at the client:   --key alice.key --server-key server.pub
 *
 * Why nothing is ever overwritten: a lost secret shuts out everybody who knows the key. */
#include "command/command.h"
#include "wire/keys.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char usage[] =
    "usage: sluice keygen [-o FILE] [--rights WORDS] [--clients DIR] [--server] [--json]\n"
    "\n"
    "Makes a key pair: FILE (default sluice.key; holds the secret, mode 0600) and its public part\n"
    "beside it (.pub). Files that are there already are never overwritten.\n"
    "\n"
    "  --rights WORDS  what the client may do: ingest,egress,admin (default: ingest,egress)\n"
    "  --clients DIR   also put the public part there as NAME.key, NAME being FILE without .key:\n"
    "                  the folder that the filter reads (security.clients)\n"
    "  --server        the key of a filter (security.server_key): no rights\n"
    "\n"
    "  sluice keygen --server -o server.key\n"
    "  sluice keygen -o alice.key --rights ingest --clients clients\n"
    "  sluice send --key alice.key --server-key server.pub ...\n";

typedef struct keygen_options {
    const char *file, *rights, *clients;
    bool server, json;
} keygen_options;

static int parse(int argc, char **argv, keygen_options *options)
{
    *options = (keygen_options){.file = "sluice.key", .rights = "ingest,egress"};
    for (int i = 1; i < argc; i++) {
        bool has_value = i + 1 < argc;
        if (strcmp(argv[i], "--help") == 0) {
            fputs(usage, stdout);
            return -1;
        }
        if (strcmp(argv[i], "-o") == 0 && has_value) {
            options->file = argv[++i];
        } else if (strcmp(argv[i], "--rights") == 0 && has_value) {
            options->rights = argv[++i];
        } else if (strcmp(argv[i], "--clients") == 0 && has_value) {
            options->clients = argv[++i];
        } else if (strcmp(argv[i], "--server") == 0) {
            options->server = true;
        } else if (strcmp(argv[i], "--json") == 0) {
            options->json = true;
        } else {
            fprintf(stderr, "sluice keygen: \"%s\" is not understood\n%s", argv[i], usage);
            return SL_EXIT_USAGE;
        }
    }
    if (options->server && options->clients != NULL) {
        fprintf(stderr, "sluice keygen: --server and --clients exclude each other\n");
        return SL_EXIT_USAGE;
    }
    return SL_EXIT_OK;
}

typedef struct key_names {
    char name[SLUICE_LIMIT_CLIENT_NAME + 1];
    char public_file[4096], listed_file[4096]; /* listed_file "" = none */
} key_names;

/* The files beside -o FILE; false: the name cannot be a client's. */
static bool name_files(const keygen_options *options, key_names *names)
{
    const char *slash = strrchr(options->file, '/');
    const char *base = slash != NULL ? slash + 1 : options->file;
    size_t size = strlen(base);
    size_t stem = size > 4 && strcmp(base + size - 4, ".key") == 0 ? size - 4 : size;
    if (stem > SLUICE_LIMIT_CLIENT_NAME || strlen(options->file) > 4000 ||
        (options->clients != NULL && strlen(options->clients) > 4000)) {
        return false;
    }
    *names = (key_names){0};
    memcpy(names->name, base, stem);
    snprintf(names->public_file, sizeof names->public_file, "%.*s%s.pub",
             (int)(base - options->file), options->file, names->name);
    if (options->clients != NULL) {
        snprintf(names->listed_file, sizeof names->listed_file, "%.4000s/%s.key", options->clients,
                 names->name);
    }
    return sl_client_name_valid(names->name);
}

/* All files or none: what this call made is taken away again if a later one fails. */
static sluice_status write_files(const keygen_options *options, const key_names *names,
                                 const sl_key *key, sluice_message *why)
{
    SLUICE_TRY(sl_key_write(options->file, names->name, key, true, why));
    sluice_status status = sl_key_write(names->public_file, names->name, key, false, why);
    if (status != SLUICE_OK) {
        unlink(options->file);
        return status;
    }
    if (names->listed_file[0] != '\0') {
        (void)mkdir(options->clients, 0755); /* if it is no folder, the next call says so */
        status = sl_key_write(names->listed_file, names->name, key, false, why);
    }
    if (status != SLUICE_OK) {
        unlink(options->file);
        unlink(names->public_file);
    }
    return status;
}

static void print_result(const keygen_options *options, const key_names *names, const sl_key *key)
{
    if (options
            ->json) { /* names are of harmless characters; the files' folders were the caller's */
        printf("{\"name\": \"%s\", \"public\": \"", names->name);
        for (const char *at = key->public_key; *at != '\0'; at++) {
            printf(*at == '"' || *at == '\\' ? "\\%c" : "%c", *at);
        }
        printf("\"}\n");
        return;
    }
    printf("%-24s  the secret key: stays with its owner\n", options->file);
    printf("%-24s  its public part: give it to the other side\n", names->public_file);
    if (names->listed_file[0] != '\0') {
        printf("%-24s  makes the filter admit '%s'; delete it to shut it out\n", names->listed_file,
               names->name);
    } else if (!options->server) {
        printf("To admit '%s', copy %s to the filter's clients folder as %s.key.\n", names->name,
               names->public_file, names->name);
    }
}

int sl_command_keygen(int argc, char **argv)
{
    keygen_options options;
    int parsed = parse(argc, argv, &options);
    if (parsed != SL_EXIT_OK) {
        return parsed < 0 ? SL_EXIT_OK : parsed;
    }
    sluice_message why = {""};
    key_names names;
    sl_key key;
    uint32_t rights = 0;
    if (!name_files(&options, &names)) {
        fprintf(stderr,
                "sluice keygen: -o %s: the file's name is the client's name: 1 to %d of A-Z a-z "
                "0-9 . _ - (and .key)\n",
                options.file, SLUICE_LIMIT_CLIENT_NAME);
        return SL_EXIT_USAGE;
    }
    if (sl_rights_parse(options.rights, &rights, &why) != SLUICE_OK) {
        fprintf(stderr, "sluice keygen: --rights: %s\n", why.text);
        return SL_EXIT_USAGE;
    }
    sluice_status status = sl_key_make(&key, &why);
    if (status == SLUICE_OK) {
        key.rights = options.server ? 0 : rights;
        status = write_files(&options, &names, &key, &why);
    }
    if (status != SLUICE_OK) {
        fprintf(stderr, "sluice keygen: %s\n", why.text);
        return SL_EXIT_FAILED;
    }
    print_result(&options, &names, &key);
    return SL_EXIT_OK;
}
