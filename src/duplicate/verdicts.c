/* verdicts.c - the verdicts of remembered rows, each different one once.
 *
 *   row  | ... | kind: which hashes 2, number 12 | ...      number --> verdict[n]: decision,
 * weight, reasons (copies) Why numbers: a message that is sent again gets the verdict of the first
 * time, also when the policy has changed meanwhile; nearly all rows are kept without a reason, and
 * the others have one of a few dozen combinations of reasons. So a row pays nothing for it. Why
 * they are never taken out: they come from rules, which people write. */
#include "duplicate/verdicts.h"
#include "bytes.h"

#include <stdlib.h>
#include <xxhash.h>

enum { KEPT, FLAGGED, N_FIXED }; /* what has no reason, and what stands in where there is no room */

typedef struct entry {
    uint64_t hash;
    sluice_verdict verdict;
    char reasons[]; /* one behind the other */
} entry;

struct sl_verdicts {
    uint32_t n, capacity;
    entry **entry;
};

static const sluice_verdict fixed[N_FIXED] = {
    [KEPT] = {.decision = SLUICE_KEEP, .weight = 1.0F},
    [FLAGGED] = {.decision = SLUICE_FLAG, .weight = 1.0F},
};

static uint64_t hash_of(const sluice_verdict *verdict)
{
    uint32_t bits;
    memcpy(&bits, &verdict->weight, sizeof bits);
    uint64_t hash = (uint64_t)bits << 8 | (uint64_t)verdict->decision;
    for (uint32_t i = 0; i < verdict->n_reasons; i++) {
        const char *reason = verdict->reasons[i];
        hash = XXH3_64bits_withSeed(reason, strlen(reason) + 1, hash);
    }
    return hash;
}

sluice_status sl_verdicts_open(sl_verdicts **out)
{
    *out = calloc(1, sizeof **out);
    return *out == NULL ? SLUICE_E_NOMEM : SLUICE_OK;
}

void sl_verdicts_close(sl_verdicts **verdicts_p)
{
    if (*verdicts_p != NULL) {
        for (uint32_t i = 0; i < (*verdicts_p)->n; i++) {
            free((*verdicts_p)->entry[i]);
        }
        free((*verdicts_p)->entry);
        free(*verdicts_p);
        *verdicts_p = NULL;
    }
}

static bool equal(const sluice_verdict *a, const sluice_verdict *b)
{
    bool same = a->decision == b->decision &&
                memcmp(&a->weight, &b->weight, sizeof a->weight) == 0 &&
                a->n_reasons == b->n_reasons;
    for (uint32_t i = 0; i < a->n_reasons && same; i++) {
        same = strcmp(a->reasons[i], b->reasons[i]) == 0;
    }
    return same;
}

static entry *copy(const sluice_verdict *from, uint64_t hash)
{
    size_t size = 0;
    for (uint32_t i = 0; i < from->n_reasons; i++) {
        size += strlen(from->reasons[i]) + 1;
    }
    entry *made = malloc(sizeof *made + size);
    if (made == NULL) {
        return NULL;
    }
    char *at = made->reasons;
    made->hash = hash;
    made->verdict = (sluice_verdict){
        .decision = from->decision, .weight = from->weight, .n_reasons = from->n_reasons};
    for (uint32_t i = 0; i < from->n_reasons; i++) {
        size_t length = strlen(from->reasons[i]) + 1;
        made->verdict.reasons[i] = memcpy(at, from->reasons[i], length);
        at += length;
    }
    return made;
}

static bool grow(sl_verdicts *verdicts)
{
    if (verdicts->n < verdicts->capacity) {
        return true;
    }
    uint32_t capacity = verdicts->capacity == 0 ? 16 : 2 * verdicts->capacity;
    entry **moved = realloc(verdicts->entry, capacity * sizeof(entry *));
    if (moved == NULL) {
        return false;
    }
    verdicts->entry = moved;
    verdicts->capacity = capacity;
    return true;
}

uint16_t sl_verdicts_enter(sl_verdicts *verdicts, const sluice_verdict *verdict)
{
    const bool flagged = verdict->decision == SLUICE_FLAG;
    if (equal(verdict, &fixed[KEPT])) {
        return KEPT;
    }
    uint64_t hash = hash_of(verdict);
    for (uint32_t i = 0; i < verdicts->n; i++) {
        if (verdicts->entry[i]->hash == hash && equal(&verdicts->entry[i]->verdict, verdict)) {
            return (uint16_t)(N_FIXED + i);
        }
    }
    entry *made =
        verdicts->n + N_FIXED < SL_VERDICTS_MAX && grow(verdicts) ? copy(verdict, hash) : NULL;
    if (made == NULL) {
        return flagged ? FLAGGED : KEPT;
    }
    verdicts->entry[verdicts->n] = made;
    return (uint16_t)(N_FIXED + verdicts->n++);
}

const sluice_verdict *sl_verdicts_at(const sl_verdicts *verdicts, uint16_t number)
{
    SLUICE_ASSERT(number < N_FIXED + verdicts->n);
    return number < N_FIXED ? &fixed[number] : &verdicts->entry[number - N_FIXED]->verdict;
}
