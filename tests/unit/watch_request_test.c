/* watch_request_test.c - what a request says, and who may ask. */
#include "watch/request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static sl_request request;

static uint32_t read_uri(const char *uri)
{
    const sl_request_head head = {.method = "GET", .uri = uri, .host = "localhost"};
    return sl_request_read(&head, &request);
}

static void test_request_path_is_decoded_and_query_kept(void **state)
{
    (void)state;
    assert_int_equal(read_uri("/api/v1/explain/a%2Fb%20%C3%A9?x=1&source=a+b%26"), 0);
    assert_string_equal(request.path, "/api/v1/explain/a/b \xc3\xa9");
    char value[16];
    assert_true(sl_request_query(&request, "source", value, sizeof value));
    assert_string_equal(value, "a b&");
    assert_false(sl_request_query(&request, "sourc", value, sizeof value));
    assert_false(sl_request_query(&request, "y", value, sizeof value));
    assert_false(sl_request_query(&request, "source", value, 4));
    assert_int_equal(sl_request_count(&request, "x", 7, 100), 1);
    assert_int_equal(sl_request_count(&request, "source", 7, 100), 7);
}

static void test_request_broken_path_is_400(void **state)
{
    (void)state;
    static const char *const broken[] = {"", "x", "*", "/%", "/%4", "/%zz", "/a%00b", "http://x/"};
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        assert_int_equal(read_uri(broken[i]), 400);
    }
}

static void test_request_path_at_and_beyond_its_limit(void **state)
{
    (void)state;
    char uri[SL_REQUEST_URI_BYTES + 1];
    memset(uri, 'a', sizeof uri);
    uri[0] = '/';
    uri[SL_REQUEST_URI_BYTES - 1] = '\0';
    assert_int_equal(read_uri(uri), 0);
    uri[SL_REQUEST_URI_BYTES - 1] = 'a';
    uri[SL_REQUEST_URI_BYTES] = '\0';
    assert_int_equal(read_uri(uri), 414);
}

static void test_request_count_is_bounded(void **state)
{
    (void)state;
    assert_int_equal(read_uri("/?n=99999999999999999999&m=5000&k=-1&j=18446744073709551615"), 0);
    assert_int_equal(sl_request_count(&request, "n", 7, 100), 7);
    assert_int_equal(sl_request_count(&request, "m", 7, 100), 100);
    assert_int_equal(sl_request_count(&request, "k", 7, 100), 7);
    assert_int_equal(sl_request_count(&request, "j", 7, 100), 7);
}

static void test_request_host_of_another_site_is_not_ours(void **state)
{
    (void)state;
    static const char *const ours[] = {"127.0.0.1",          "127.0.0.1:9570", "localhost:1",
                                       "LOCALHOST",          "[::1]:9570",     "10.0.0.7:80",
                                       "filter.example:9570"};
    static const char *const foreign[] = {"",
                                          ":9570",
                                          "evil.example",
                                          "localhost.evil.example",
                                          "127.0.0.1.evil.example",
                                          "[evil]:1",
                                          "[",
                                          "[]",
                                          "1",
                                          "filter.example.evil:9570"};
    for (size_t i = 0; i < sizeof ours / sizeof ours[0]; i++) {
        assert_true(sl_request_host_is_ours(ours[i], "filter.example:9570"));
    }
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        assert_false(sl_request_host_is_ours(foreign[i], "filter.example:9570"));
    }
}

static void test_request_token_as_bearer_and_as_password(void **state)
{
    (void)state;
    const char *token = "0123456789abcdef";
    assert_true(sl_request_has_token("Bearer 0123456789abcdef", token));
    assert_true(sl_request_has_token("bearer 0123456789abcdef", token));
    assert_true(sl_request_has_token("Basic bWU6MDEyMzQ1Njc4OWFiY2RlZg==", token)); /* me: */
    assert_true(sl_request_has_token("Basic OjAxMjM0NTY3ODlhYmNkZWY=", token));     /* no name */
    static const char *const wrong[] = {"",
                                        "Bearer ",
                                        "Bearer 0123456789abcde",
                                        "Bearer 0123456789abcdef0",
                                        "Bearer 0123456789abcdeg",
                                        "Basic MDEyMzQ1Njc4OWFiY2RlZg==",
                                        "Basic !",
                                        "0123456789abcdef",
                                        "Digest 0123456789abcdef"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        assert_false(sl_request_has_token(wrong[i], token));
    }
    assert_false(sl_request_has_token(NULL, token));
}

static uint32_t may_change(const char *origin, const char *site, const char *type, const char *mark,
                           bool cut)
{
    const char *why = NULL;
    const sl_request_head head = {.method = "POST",
                                  .uri = "/api/v1/restore/a",
                                  .host = "127.0.0.1:9570",
                                  .origin = origin,
                                  .fetch_site = site,
                                  .content_type = type,
                                  .x_sluice = mark,
                                  .cut = cut};
    assert_int_equal(sl_request_read(&head, &request), 0);
    assert_true(request.posts && !request.reads);
    uint32_t code = sl_request_may_change(&request, &why);
    assert_true((code == 0) == (why == NULL));
    return code;
}

static void test_request_that_a_page_of_another_site_can_make_changes_nothing(void **state)
{
    (void)state;
    static const char json[] = "application/json";
    assert_int_equal(may_change(NULL, NULL, json, "1", false), 0); /* no browser */
    assert_int_equal(may_change("http://127.0.0.1:9570", "same-origin", json, "1", false), 0);
    assert_int_equal(
        may_change("https://127.0.0.1:9570", NULL, "Application/JSON; charset=utf-8", "1", false),
        0);
    static const char *const foreign[] = {"null",
                                          "http://evil.example",
                                          "http://127.0.0.1:9571",
                                          "http://127.0.0.1",
                                          "http://127.0.0.1:9570.evil.example",
                                          "127.0.0.1:9570",
                                          "file://127.0.0.1:9570",
                                          ""};
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++) {
        assert_int_equal(may_change(foreign[i], NULL, json, "1", false), 403);
    }
    assert_int_equal(may_change(NULL, "cross-site", json, "1", false), 403);
    assert_int_equal(may_change(NULL, "same-site", json, "1", false), 403);
    assert_int_equal(may_change(NULL, NULL, json, NULL, false), 403);
    assert_int_equal(may_change(NULL, NULL, json, "0", false), 403);
    assert_int_equal(may_change(NULL, NULL, NULL, "1", false), 415);
    assert_int_equal(may_change(NULL, NULL, "text/plain", "1", false), 415);
    assert_int_equal(may_change(NULL, NULL, "application/jsonp", "1", false), 415);
    assert_int_equal(may_change(NULL, NULL, json, "1", true), 413);
}

static void test_request_loopback_is_told_from_the_rest(void **state)
{
    (void)state;
    static const char *const here[] = {"127.0.0.1:9570", "127.8.0.1:1", "localhost:80",
                                       "[::1]:9570"};
    static const char *const open[] = {"0.0.0.0:9570", ":9570",    "*:9570",         "10.0.0.7:1",
                                       "[::]:9570",    "127.evil", "localhost.evil", "[::11]:1"};
    for (size_t i = 0; i < sizeof here / sizeof here[0]; i++) {
        assert_true(sl_request_is_loopback(here[i]));
    }
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
        assert_false(sl_request_is_loopback(open[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request_path_is_decoded_and_query_kept),
        cmocka_unit_test(test_request_broken_path_is_400),
        cmocka_unit_test(test_request_path_at_and_beyond_its_limit),
        cmocka_unit_test(test_request_count_is_bounded),
        cmocka_unit_test(test_request_host_of_another_site_is_not_ours),
        cmocka_unit_test(test_request_token_as_bearer_and_as_password),
        cmocka_unit_test(test_request_that_a_page_of_another_site_can_make_changes_nothing),
        cmocka_unit_test(test_request_loopback_is_told_from_the_rest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
