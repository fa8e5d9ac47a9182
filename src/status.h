/* status.h - assertions and error forwarding used by every source file. */
#ifndef SL_STATUS_H
#define SL_STATUS_H

#include "sluice/status.h"

/* Forwards an error to the caller. */
#define SLUICE_TRY(call)                                                                           \
    do {                                                                                           \
        sluice_status try_status_ = (call);                                                        \
        if (try_status_ != SLUICE_OK) {                                                            \
            return try_status_;                                                                    \
        }                                                                                          \
    } while (0)

/* Programmer errors only, never something from outside; always on. */
#define SLUICE_ASSERT(condition)                                                                   \
    ((condition) ? (void)0 : sl_assert_failed(__FILE__, __LINE__, #condition))

/* For kernels: checked in dev, asan and tsan builds only. */
#if defined(SLUICE_DCHECKS)
#define SLUICE_DCHECK(condition) SLUICE_ASSERT(condition)
#else
#define SLUICE_DCHECK(condition) ((void)0)
#endif

_Noreturn void sl_assert_failed(const char *file, int line, const char *expression);

#endif
