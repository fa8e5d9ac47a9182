/* verdicts.c - the verdicts of remembered rows, each different one once.
 *
 *   row     | ... | kind: which hashes 2, number 12 |
 *   memory  | entry 0 | entry 1 | ... -->      <-- ... | place of 1 | place of 0 |
 *             verdict, its reasons                       number - N_FIXED, from the end
 *
 * Why numbers: a message that is sent again gets the verdict of the first time, also when the
 * policy has changed meanwhile; nearly all rows are kept without a reason, and the others have one
 * of a few dozen combinations of reasons. So a row pays nothing for it.
 * Why they are never taken out: they come from rules, which people write.
 * Why one block from both ends: there is one bound, the bytes, whatever the reasons are like. */
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
    uint32_t n;
    size_t size, used; /* bytes of the block; of entries, from its begin */
    uint64_t block[];
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

sluice_status sl_verdicts_open(size_t memory_bytes, sl_verdicts **out)
{
    size_t least = sizeof(sl_verdicts);
    *out = calloc(1, memory_bytes > least ? memory_bytes : least);
    if (*out == NULL) {
        return SLUICE_E_NOMEM;
    }
    (*out)->size = memory_bytes > least ? (memory_bytes - least) / 8 * 8 : 0;
    return SLUICE_OK;
}

void sl_verdicts_close(sl_verdicts **verdicts_p)
{
    free(*verdicts_p);
    *verdicts_p = NULL;
}

static uint32_t *place_of(sl_verdicts *verdicts, uint32_t i)
{
    return (uint32_t *)(void *)((uint8_t *)verdicts->block + verdicts->size) - 1 - i;
}

static entry *entry_at(const sl_verdicts *verdicts, uint32_t i)
{
    sl_verdicts *at = (sl_verdicts *)(uintptr_t)verdicts; /* lends what it holds */
    return (entry *)(void *)((uint8_t *)at->block + *place_of(at, i));
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

/* Appends a copy; false if there is no room. */
static bool append(sl_verdicts *verdicts, const sluice_verdict *from, uint64_t hash)
{
    size_t size = sizeof(entry);
    for (uint32_t i = 0; i < from->n_reasons; i++) {
        size += strlen(from->reasons[i]) + 1;
    }
    size = (size + 7) / 8 * 8;
    if (verdicts->n + N_FIXED >= SL_VERDICTS_MAX ||
        verdicts->used + size + (verdicts->n + 1) * sizeof(uint32_t) > verdicts->size) {
        return false;
    }
    *place_of(verdicts, verdicts->n) = (uint32_t)verdicts->used;
    entry *made = entry_at(verdicts, verdicts->n);
    char *at = made->reasons;
    made->hash = hash;
    made->verdict = (sluice_verdict){
        .decision = from->decision, .weight = from->weight, .n_reasons = from->n_reasons};
    for (uint32_t i = 0; i < from->n_reasons; i++) {
        size_t length = strlen(from->reasons[i]) + 1;
        made->verdict.reasons[i] = memcpy(at, from->reasons[i], length);
        at += length;
    }
    verdicts->n++;
    verdicts->used += size;
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
        const entry *known = entry_at(verdicts, i);
        if (known->hash == hash && equal(&known->verdict, verdict)) {
            return (uint16_t)(N_FIXED + i);
        }
    }
    if (!append(verdicts, verdict, hash)) {
        return flagged ? FLAGGED : KEPT;
    }
    return (uint16_t)(N_FIXED + verdicts->n - 1);
}

const sluice_verdict *sl_verdicts_at(const sl_verdicts *verdicts, uint16_t number)
{
    SLUICE_ASSERT(number < N_FIXED + verdicts->n);
    return number < N_FIXED ? &fixed[number] : &entry_at(verdicts, number - N_FIXED)->verdict;
}
