/* fault.h - named places where a testing build may be told to fail, stop or wait.
 *
 *     int rc = SLUICE_FAULT("spool.commit");      0, or the errno that the place is to report
 *
 * Compiled in with -DSLUICE_FAULTS only; everywhere else a point is the constant 0. At run time the
 * environment names one point, the hit (from 1) and what happens at that hit:
 *
 *     SLUICE_FAULT=spool.commit:3:eio            abort | exit | eio | enospc | sleep (one second)
 *
 * A name that is not in the table of fault.c, or a malformed value, aborts: a fault run that tests
 * nothing must not pass. */
#ifndef SL_FAULT_H
#define SL_FAULT_H

#if defined(SLUICE_FAULTS)
#define SLUICE_FAULT(name) sl_fault_at(name)
int sl_fault_at(const char *name); /* Threads: any */
#else
#define SLUICE_FAULT(name) sl_fault_none()
static inline int sl_fault_none(void)
{
    return 0;
}
#endif

#endif
