/* job.c - what can be said of one message before it is judged. */
#include "job.h"

#include <stdio.h>
#include <xxhash.h>

static void refuse_job(sl_job *job, sl_code code, const char *text)
{
    job->code = code;
    (void)sluice_fail(&job->why, SLUICE_E_BADSAMPLE, "%s", text);
}

sluice_status sl_job_features(sl_job *job, const sluice_config *config,
                              struct sl_features **scratch)
{
    sluice_message why;
    if (job->xxh3 != 0 && XXH3_64bits(job->bytes.data, job->bytes.size) != job->xxh3) {
        refuse_job(job, SL_CODE_MALFORMED, "the Batch does not have the checksum put.xxh3");
        return SLUICE_OK;
    }
    sluice_status status = sluice_batch_decode(job->batch, job->bytes, &why);
    if (status != SLUICE_OK) {
        bool large = status == SLUICE_E_TOOBIG;
        refuse_job(job, large ? SL_CODE_TOO_LARGE : SL_CODE_MALFORMED, why.text);
        return SLUICE_OK;
    }
    if (!job->takes_next && job->batch->n_samples != job->count) {
        snprintf(why.text, sizeof why.text, "put.count says %u samples, the Batch has %u",
                 job->count, job->batch->n_samples);
        refuse_job(job, SL_CODE_MALFORMED, why.text);
        return SLUICE_OK;
    }
    job->batch->features = *scratch;
    sluice_status made = sluice_batch_features(job->batch, config);
    *scratch = job->batch->features;
    job->batch->features = NULL;
    return made;
}

bool sl_job_place(sl_job *job, const sl_spool_producer *row)
{
    if (job->takes_next) {
        job->sequence = row->next_sequence;
    }
    job->batch->first_sequence = job->sequence;
    if (job->sequence > row->next_sequence) {
        job->code = SL_CODE_GAP;
        job->expected_sequence = row->next_sequence;
        (void)sluice_fail(&job->why, SLUICE_E_BADSAMPLE,
                          "put.sequence is %llu, the next sample of producer \"%s\" is %llu",
                          (unsigned long long)job->sequence, row->name,
                          (unsigned long long)row->next_sequence);
        return false;
    }
    uint64_t known = row->next_sequence - job->sequence;
    job->n_known = known < job->batch->n_samples ? (uint32_t)known : job->batch->n_samples;
    return true;
}
