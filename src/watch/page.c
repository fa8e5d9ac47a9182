/* page.c - the dashboard and the report, made of one template.
 *
 *   page.html   ...<link href="/page.css">...           <script src="/draw.js">...
 *   as "/"             v  as it is                       v  as it is
 *   as a report ...<style>page.css</style>...DATA...<script>draw.js</script>...
 *
 *   DATA = <script type="application/json">the numbers and samples</script>, before the first code
 *
 * Why one template: what is looked at live and what is mailed are the same sections, drawn by the
 * same code from the same JSON; where the page holds the data, nothing is asked for.
 * Why the files are in the program: it works without internet, and without a folder to lose.
 * Why data cannot break out of its element: < > & in it are escaped as \u003c and so on, which in
 * JSON stand inside strings only. A report forbids itself the network by its own policy. */
#include "watch/page.h"
#include "bytes.h"
#include "page_files.inc"
#include "watch/object.h"

#define HTML       "text/html; charset=utf-8"
#define CSS        "text/css; charset=utf-8"
#define JAVASCRIPT "text/javascript; charset=utf-8"
#define OF(array)  array, sizeof array

#define POLICY                                                                                     \
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "                  \
    "script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "      \
    "form-action 'none'\">\n"

/* Files of the page; `link` is what the template has where the report has the file. */
static const struct page_file {
    const char *path, *type, *link, *before, *after;
    const uint8_t *data;
    size_t size;
} files[] = {
    {"/", HTML, NULL, NULL, NULL, OF(page_html)},
    {"/icon.svg", "image/svg+xml", "<link rel=\"icon\" href=\"/icon.svg\">\n", NULL, NULL,
     OF(icon_svg)},
    {"/page.css", CSS, "<link rel=\"stylesheet\" href=\"/page.css\">", POLICY "<style>\n",
     "</style>", OF(page_css)},
    {"/chart.js", JAVASCRIPT, "<script src=\"/chart.js\"></script>", "<script>\n", "</script>",
     OF(chart_js)},
    {"/draw.js", JAVASCRIPT, "<script src=\"/draw.js\"></script>", "<script>\n", "</script>",
     OF(draw_js)},
    {"/live.js", JAVASCRIPT, "<script src=\"/live.js\"></script>", "<script>\n", "</script>",
     OF(live_js)},
    {"/page.js", JAVASCRIPT, "<script src=\"/page.js\"></script>", "<script>\n", "</script>",
     OF(page_js)},
};

#define N_FILES (sizeof files / sizeof files[0])

bool sl_page_file(const char *path, sluice_span *file, const char **type)
{
    for (size_t i = 0; i < N_FILES; i++) {
        if (strcmp(path, files[i].path) == 0) {
            *file = (sluice_span){files[i].data, files[i].size};
            *type = files[i].type;
            return true;
        }
    }
    return false;
}

static sluice_status put_text(sluice_bytes *out, const char *text)
{
    return sl_bytes_append(out, text, strlen(text));
}

/* Appends the template up to `link` and moves it behind that. */
static sluice_status put_until(sluice_span *template, const char *link, sluice_bytes *out)
{
    size_t size = strlen(link);
    const uint8_t *found = memmem(template->data, template->size, link, size);
    SLUICE_ASSERT(found != NULL);
    size_t n_before = (size_t)(found - template->data);
    SLUICE_TRY(sl_bytes_append(out, template->data, n_before));
    *template = (sluice_span){found + size, template->size - n_before - size};
    return SLUICE_OK;
}

static sluice_status put_data(sluice_span data, sluice_bytes *out)
{
    SLUICE_TRY(put_text(out, "<script type=\"application/json\" id=\"data\">"));
    SLUICE_TRY(sl_object_defuse(data, out));
    return put_text(out, "</script>\n");
}

sluice_status sl_page_report(sluice_span data, sluice_bytes *out)
{
    sluice_span template = {page_html, sizeof page_html};
    for (size_t i = 1; i < N_FILES; i++) { /* the template has them in this order */
        const struct page_file *file = &files[i];
        SLUICE_TRY(put_until(&template, file->link, out));
        if (file->before == NULL) {
            continue; /* a report asks nobody */
        }
        if (file->data == chart_js) {
            SLUICE_TRY(put_data(data, out)); /* before the first code */
        }
        SLUICE_TRY(put_text(out, file->before));
        SLUICE_TRY(sl_bytes_append(out, file->data, file->size));
        SLUICE_TRY(put_text(out, file->after));
    }
    return sl_bytes_append(out, template.data, template.size);
}
