/* progress.c - how far a long command is, on standard error.
 *
 *   [##########----------]  52%  1,204,113 samples  18% dropped  84.1 MB/s  12 s left
 *
 * Why the terminal's width is asked for: a bar that wraps leaves a line behind with every tick. */
#include "progress.h"

#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define SL_PROGRESS_BAR_S     0.1 /* between two bars */
#define SL_PROGRESS_LINE_S    5.0 /* between two lines */
#define SL_PROGRESS_BAR_CELLS 20

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

void sl_progress_begin(sl_progress *progress, bool shown)
{
    struct winsize window = {0};
    *progress = (sl_progress){.shown = shown, .terminal = isatty(STDERR_FILENO) == 1};
    bool known = ioctl(STDERR_FILENO, TIOCGWINSZ, &window) == 0 && window.ws_col > 0;
    progress->columns = known ? window.ws_col : 80;
    progress->began_s = progress->said_s = now_s();
}

const char *sl_progress_bytes(double bytes, char *out, size_t size)
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    uint32_t i = 0;
    for (; bytes >= 999.95 && i < 4; i++) {
        bytes /= 1000;
    }
    snprintf(out, size, i == 0 ? "%.0f %s" : "%.1f %s", bytes, units[i]);
    return out;
}

const char *sl_progress_duration(double seconds, char *out, size_t size)
{
    unsigned long long whole = (unsigned long long)(seconds + 0.5);
    if (seconds < 9.95) {
        snprintf(out, size, "%.1f s", seconds);
    } else if (whole < 60) {
        snprintf(out, size, "%llu s", whole);
    } else if (whole < 3600) {
        snprintf(out, size, "%llu min %llu s", whole / 60, whole % 60);
    } else {
        snprintf(out, size, "%llu h %llu min", whole / 3600, whole % 3600 / 60);
    }
    return out;
}

const char *sl_progress_count(uint64_t count, char *out, size_t size)
{
    char digits[24];
    snprintf(digits, sizeof digits, "%llu", (unsigned long long)count);
    size_t n = strlen(digits);
    size_t used = 0;
    for (size_t i = 0; i < n && used + 2 < size; i++) {
        if (i > 0 && (n - i) % 3 == 0) {
            out[used++] = ',';
        }
        out[used++] = digits[i];
    }
    out[used] = '\0';
    return out;
}

static void draw_bar(double share, char *out)
{
    int full = (int)(share * SL_PROGRESS_BAR_CELLS + 0.5);
    for (int i = 0; i < SL_PROGRESS_BAR_CELLS; i++) {
        out[i] = i < full ? '#' : '-';
    }
    out[SL_PROGRESS_BAR_CELLS] = '\0';
}

void sl_progress_line(const sl_progress *progress, double seconds, uint64_t done, uint64_t total,
                      uint64_t samples, uint64_t dropped, char *out, size_t size)
{
    char count[32], rate[32], left[40], bar[SL_PROGRESS_BAR_CELLS + 1];
    char head[64] = "";
    char tail[64] = "";
    double speed = seconds > 0 ? (double)done / seconds : 0;
    if (total > 0) {
        double share = done < total ? (double)done / (double)total : 1;
        draw_bar(share, bar);
        snprintf(head, sizeof head, progress->terminal ? "[%s] %3.0f%%  " : "%s%.0f%%  ",
                 progress->terminal ? bar : "", share * 100);
        if (speed > 0 && done < total) {
            snprintf(tail, sizeof tail, "  %s left",
                     sl_progress_duration((double)(total - done) / speed, left, sizeof left));
        }
    }
    double dropped_share = samples > 0 ? (double)dropped / (double)samples : 0;
    snprintf(out, size, "%s%s samples  %.0f%% dropped  %s/s%s", head,
             sl_progress_count(samples, count, sizeof count), dropped_share * 100,
             sl_progress_bytes(speed, rate, sizeof rate), tail);
}

void sl_progress_tick(sl_progress *progress, uint64_t done, uint64_t total, uint64_t samples,
                      uint64_t dropped)
{
    char line[240];
    double now = now_s();
    double wait = progress->terminal ? SL_PROGRESS_BAR_S : SL_PROGRESS_LINE_S;
    if (!progress->shown || now - progress->said_s < wait) {
        return;
    }
    progress->said_s = now;
    sl_progress_line(progress, now - progress->began_s, done, total, samples, dropped, line,
                     sizeof line);
    if (!progress->terminal) {
        fprintf(stderr, "%s\n", line);
        return;
    }
    int cut = (int)(progress->columns < sizeof line ? progress->columns - 1 : sizeof line - 1);
    fprintf(stderr, "\r\033[K%.*s", cut, line);
    fflush(stderr);
    progress->drawn = true;
}

void sl_progress_clear(sl_progress *progress)
{
    if (progress->drawn) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
        progress->drawn = false;
    }
}

double sl_progress_seconds(const sl_progress *progress)
{
    return now_s() - progress->began_s;
}
