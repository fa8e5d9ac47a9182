/* fault.c - acts at the fault point that the environment variable SLUICE_FAULT names.
 *
 * Why a variable and not a call: the program under test is a process of its own, which the test
 * starts, loses and starts again. Why `exit` is _exit: a crash runs no handlers either. */
#include "fault.h"

#if defined(SLUICE_FAULTS)

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FAULT_EXIT_CODE 99

/* Every point of the program, so that a misspelt one is seen. */
static const char *const points[] = {
    "spool.create",    /* a new environment is made, not yet renamed into place      */
    "spool.write",     /* the log groups of a transaction are put, nothing else yet  */
    "spool.commit",    /* all is put, the transaction is not committed               */
    "spool.committed", /* durable, the caller does not know it yet                   */
    "policy.change",   /* the engine is given a changed policy                       */
};

static const char *const actions[] = {"abort", "exit", "eio", "enospc", "sleep"};

/* Hits of the one point that is named; testing builds only, so a global is all right. */
static atomic_long n_hits;

static bool is_in(const char *const *table, size_t n, const char *text, size_t size)
{
    for (size_t i = 0; i < n; i++) {
        if (strlen(table[i]) == size && memcmp(table[i], text, size) == 0) {
            return true;
        }
    }
    return false;
}

static void refuse(const char *setting, const char *what)
{
    fprintf(stderr, "SLUICE_FAULT=%s: %s\n", setting, what);
    abort();
}

static int act(const char *action)
{
    if (strcmp(action, "abort") == 0) {
        abort();
    }
    if (strcmp(action, "exit") == 0) {
        _exit(FAULT_EXIT_CODE);
    }
    if (strcmp(action, "sleep") == 0) {
        sleep(1);
        return 0;
    }
    return strcmp(action, "eio") == 0 ? EIO : ENOSPC;
}

int sl_fault_at(const char *name)
{
    const char *setting = getenv("SLUICE_FAULT");
    if (setting == NULL || setting[0] == '\0') {
        return 0;
    }
    const char *colon = strchr(setting, ':');
    if (colon == NULL ||
        !is_in(points, sizeof points / sizeof points[0], setting, (size_t)(colon - setting))) {
        refuse(setting, "no such fault point");
        return 0;
    }
    char *end;
    long hit = strtol(colon + 1, &end, 10);
    if (hit < 1 || *end != ':' ||
        !is_in(actions, sizeof actions / sizeof actions[0], end + 1, strlen(end + 1))) {
        refuse(setting, "wants NAME:HIT:ACTION");
    }
    size_t size = (size_t)(colon - setting);
    if (strlen(name) != size || memcmp(name, setting, size) != 0) {
        return 0;
    }
    return atomic_fetch_add(&n_hits, 1) + 1 == hit ? act(end + 1) : 0;
}

#else

typedef int sl_fault_is_off; /* ISO C wants a declaration in every file */

#endif
