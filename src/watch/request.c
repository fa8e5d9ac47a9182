/* request.c - one HTTP request as data: its path, its query, and whether it may be answered.
 *
 *   GET /api/v1/explain/a%2Fb?offset=17   ->   path "/api/v1/explain/a/b", query "offset=17"
 *
 * Why not by the HTTP library: it decodes too, but only for a connection; here every byte of it is
 * reached by a fuzz target that has none. */
#include "watch/request.h"
#include "bytes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static int hex_value(char digit)
{
    const char *digits = "0123456789abcdef";
    char lower = digit >= 'A' && digit <= 'F' ? (char)(digit + ('a' - 'A')) : digit;
    const char *found = lower != '\0' ? strchr(digits, lower) : NULL;
    return found != NULL ? (int)(found - digits) : -1;
}

/* Decodes [from, end); false: no room, a broken escape or an escaped NUL. */
static bool decode(const char *from, const char *end, bool plus_is_space, char *out, size_t size)
{
    size_t n = 0;
    while (from < end) {
        int byte = (unsigned char)*from++;
        if (byte == '%') {
            int high = end - from >= 2 ? hex_value(from[0]) : -1;
            int low = high >= 0 ? hex_value(from[1]) : -1;
            if (low < 0) {
                return false;
            }
            byte = high * 16 + low;
            from += 2;
        } else if (byte == '+' && plus_is_space) {
            byte = ' ';
        }
        if (byte == 0 || n + 1 >= size) {
            return false;
        }
        out[n++] = (char)byte;
    }
    out[n] = '\0';
    return true;
}

uint32_t sl_request_read(const sl_request_head *head, sl_request *out)
{
    const char *uri = head->uri;
    out->reads = strcmp(head->method, "GET") == 0 || strcmp(head->method, "HEAD") == 0;
    out->posts = strcmp(head->method, "POST") == 0;
    out->head = *head;
    out->path[0] = out->query[0] = '\0';
    size_t size = strlen(uri);
    if (size >= SL_REQUEST_URI_BYTES) {
        return 414;
    }
    const char *mark = strchr(uri, '?');
    const char *end = mark != NULL ? mark : uri + size;
    if (uri[0] != '/' || !decode(uri, end, false, out->path, sizeof out->path)) {
        return 400;
    }
    if (mark != NULL) {
        memcpy(out->query, mark + 1, strlen(mark + 1) + 1);
    }
    return 0;
}

bool sl_request_query(const sl_request *request, const char *name, char *out, size_t size)
{
    size_t name_size = strlen(name);
    const char *at = request->query;
    while (*at != '\0') {
        size_t pair = strcspn(at, "&");
        if (pair > name_size && strncmp(at, name, name_size) == 0 && at[name_size] == '=') {
            return decode(at + name_size + 1, at + pair, true, out, size);
        }
        at += pair + (at[pair] == '&');
    }
    return false;
}

uint64_t sl_request_count(const sl_request *request, const char *name, uint64_t otherwise,
                          uint64_t max)
{
    char text[24];
    if (!sl_request_query(request, name, text, sizeof text) || text[0] == '\0' ||
        strspn(text, "0123456789") != strlen(text) || strlen(text) > 19) {
        return otherwise;
    }
    uint64_t value = strtoull(text, NULL, 10);
    return value < max ? value : max;
}

/* --- who may ask --- */

/* Without its port. */
static size_t name_size(const char *host)
{
    if (host[0] == '[') {
        const char *close = strchr(host, ']');
        return close != NULL ? (size_t)(close - host) + 1 : strlen(host);
    }
    return strcspn(host, ":");
}

static bool is_address(const char *host, size_t size)
{
    if (size > 2 && host[0] == '[' && host[size - 1] == ']') {
        return strspn(host + 1, "0123456789abcdefABCDEF:.") == size - 2;
    }
    return size >= 7 && strspn(host, "0123456789.") >= size;
}

bool sl_request_host_is_ours(const char *host, const char *listen)
{
    size_t size = name_size(host);
    return is_address(host, size) || (size == 9 && strncasecmp(host, "localhost", 9) == 0) ||
           (size > 0 && size == name_size(listen) && strncasecmp(host, listen, size) == 0);
}

bool sl_request_is_loopback(const char *listen)
{
    size_t size = name_size(listen);
    return (size == 9 && strncasecmp(listen, "localhost", 9) == 0) ||
           (size == 5 && strncmp(listen, "[::1]", 5) == 0) ||
           (strncmp(listen, "127.", 4) == 0 && is_address(listen, size));
}

/* "http://HOST" or "https://HOST" (a proxy's), with the port that Host says too. */
static bool is_our_origin(const char *origin, const char *host)
{
    size_t scheme = strncmp(origin, "http://", 7) == 0    ? 7
                    : strncmp(origin, "https://", 8) == 0 ? 8
                                                          : 0;
    return scheme > 0 && host != NULL && strcasecmp(origin + scheme, host) == 0;
}

static bool is_json(const char *type)
{
    static const char json[] = "application/json";
    size_t size = sizeof json - 1;
    return type != NULL && strncasecmp(type, json, size) == 0 &&
           (type[size] == '\0' || type[size] == ';' || type[size] == ' ');
}

uint32_t sl_request_may_change(const sl_request *request, const char **why)
{
    const sl_request_head *head = &request->head;
    if (head->x_sluice == NULL || strcmp(head->x_sluice, "1") != 0) {
        *why = "a change needs the header X-Sluice: 1";
        return 403;
    }
    if ((head->origin != NULL && !is_our_origin(head->origin, head->host)) ||
        (head->fetch_site != NULL && strcmp(head->fetch_site, "same-origin") != 0 &&
         strcmp(head->fetch_site, "none") != 0)) {
        *why = "a page of another origin may change nothing here";
        return 403;
    }
    if (!is_json(head->content_type)) {
        *why = "a change needs a body of the type application/json";
        return 415;
    }
    if (head->cut) {
        *why = "the body is longer than any change";
        return 413;
    }
    return 0;
}

static bool equal_in_constant_time(const char *a, size_t a_size, const char *token)
{
    size_t size = strlen(token);
    unsigned differ = a_size != size;
    for (size_t i = 0; i < size; i++) {
        differ |=
            (unsigned)(unsigned char)token[i] ^ (unsigned)(unsigned char)a[i < a_size ? i : 0];
    }
    return differ == 0;
}

/* 0..63; -1: not of the alphabet. */
static int base64_value(char digit)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *found = digit != '\0' ? strchr(alphabet, digit) : NULL;
    return found != NULL ? (int)(found - alphabet) : -1;
}

static size_t decode_base64(const char *text, char *out, size_t size)
{
    uint32_t bits = 0, n_bits = 0;
    size_t n = 0;
    for (; base64_value(*text) >= 0; text++) {
        bits = bits << 6 | (uint32_t)base64_value(*text);
        n_bits += 6;
        if (n_bits >= 8 && n < size) {
            n_bits -= 8;
            out[n++] = (char)(bits >> n_bits & 255);
        }
    }
    return n;
}

bool sl_request_has_token(const char *authorization, const char *token)
{
    if (authorization == NULL) {
        return false;
    }
    if (strncasecmp(authorization, "Bearer ", 7) == 0) {
        const char *said = authorization + 7;
        return equal_in_constant_time(said, strlen(said), token);
    }
    if (strncasecmp(authorization, "Basic ", 6) != 0) {
        return false;
    }
    char pair[2 * SL_REQUEST_TOKEN_BYTES];
    size_t size = decode_base64(authorization + 6, pair, sizeof pair);
    const char *colon = memchr(pair, ':', size);
    return colon != NULL &&
           equal_in_constant_time(colon + 1, size - (size_t)(colon + 1 - pair), token);
}
