/* version.h - the one place where the version is written; CMake reads it from here. */
#ifndef SLUICE_VERSION_H
#define SLUICE_VERSION_H

#define SLUICE_VERSION_MAJOR 0
#define SLUICE_VERSION_MINOR 1
#define SLUICE_VERSION_PATCH 0

const char *sluice_version(void); /* "0.1.0"; lends static memory */

#endif
