/* watch_page_test.c - the files of the page, and the report made of them. */
#include "watch/page.h"
#include "bytes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <string.h>

static size_t count(sluice_span text, const char *what)
{
    size_t n = 0, size = strlen(what);
    for (size_t i = 0; i + size <= text.size; i++) {
        n += memcmp(text.data + i, what, size) == 0;
    }
    return n;
}

static void test_page_file_known_path_is_lent(void **state)
{
    (void)state;
    static const char *const paths[] = {"/",        "/icon.svg", "/page.css", "/chart.js",
                                        "/draw.js", "/live.js",  "/page.js"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        sluice_span file = {0};
        const char *type = NULL;
        assert_true(sl_page_file(paths[i], &file, &type));
        assert_true(file.size > 50 && type != NULL);
    }
}

static void test_page_file_other_path_is_nothing(void **state)
{
    (void)state;
    static const char *const paths[] = {"", "/page", "/page.css/", "page.css", "/../page.css"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        sluice_span file = {0};
        const char *type = NULL;
        assert_false(sl_page_file(paths[i], &file, &type));
    }
}

static void test_page_report_data_cannot_leave_its_element(void **state)
{
    (void)state;
    static const char data[] = "{\"a\": \"</script><script>alert(1)</script><!--&\"}";
    sluice_bytes out = {0};
    assert_int_equal(sl_page_report(sl_span_of(data), &out), SLUICE_OK);
    sluice_span text = {out.data, out.size};
    assert_int_equal(count(text, "<script>alert"), 0);
    assert_int_equal(count(text, "<script"), 5); /* data, Chart.js, draw.js, live.js, page.js */
    assert_int_equal(count(text, "</script"), 5);
    assert_int_equal(count(text, "\\u003c/script\\u003e"), 2);
    assert_int_equal(count(text, "src=\"/"), 0);
    assert_int_equal(count(text, "href=\"/"), 0);
    assert_int_equal(count(text, "function watchLive"), 1); /* with what the page itself answers */
    assert_int_equal(count(text, "content=\"default-src 'none';"), 1);
    assert_int_equal(count(text, "</html>"), 1);
    sl_bytes_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_page_file_known_path_is_lent),
        cmocka_unit_test(test_page_file_other_path_is_nothing),
        cmocka_unit_test(test_page_report_data_cannot_leave_its_element),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
