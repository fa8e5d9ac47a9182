/* sluice.h - all of the library. */
#ifndef SLUICE_SLUICE_H
#define SLUICE_SLUICE_H

#include "sluice/config.h"
#include "sluice/counters.h"
#include "sluice/engine.h"
#include "sluice/sample.h"
#include "sluice/status.h"
#include "sluice/version.h"

#endif
