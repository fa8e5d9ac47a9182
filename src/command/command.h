/* command.h - the verbs of the command line. */
#ifndef SL_COMMAND_H
#define SL_COMMAND_H

#include "sluice/status.h"

/* Exit codes; the numbers are those of sysexits.h. */
enum {
    SL_EXIT_OK = 0,
    SL_EXIT_FAILED = 1,     /* something went wrong while running                          */
    SL_EXIT_USAGE = 64,     /* the command line itself                                     */
    SL_EXIT_TEMPORARY = 75, /* the same again later may work                               */
    SL_EXIT_CONFIG = 78     /* the configuration, or a state of another one                */
};

/* Each: argv[0] is the verb itself; returns an exit code. */
int sl_command_run(int argc, char **argv);
int sl_command_filter(int argc, char **argv);
int sl_command_send(int argc, char **argv);
int sl_command_recv(int argc, char **argv);
int sl_command_check(int argc, char **argv);
int sl_command_explain(int argc, char **argv);
int sl_command_state(int argc, char **argv);
int sl_command_report(int argc, char **argv);
int sl_command_reference(int argc, char **argv);
int sl_command_test(int argc, char **argv);
int sl_command_keygen(int argc, char **argv);
int sl_command_bench(int argc, char **argv);

/* The exit code that says `status`. */
static inline int sl_exit_of(sluice_status status)
{
    if (status == SLUICE_E_CONFIG) {
        return SL_EXIT_CONFIG;
    }
    if (sluice_status_class(status) == SLUICE_KIND_RETRY) {
        return SL_EXIT_TEMPORARY;
    }
    return status == SLUICE_OK ? SL_EXIT_OK : SL_EXIT_FAILED;
}

#endif
