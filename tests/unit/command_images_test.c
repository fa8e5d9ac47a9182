/* command_images_test.c - the images of folders and archives, in order, and nothing else. */
#include "command/images.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/sluice-images-XXXXXX";

static void in_folder(const char *format)
{
    char line[512];
    snprintf(line, sizeof line, "cd %s && %s", folder, format);
    assert_int_equal(system(line), 0);
}

static char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* "path=payload path=payload ..." of everything that comes. */
static void assert_lists(const char *path, const char *expected)
{
    sl_images *images;
    sluice_message why = {""};
    assert_int_equal(sl_images_open(path, &images, &why), SLUICE_OK);
    char found[1024] = "";
    sl_images_item item;
    sluice_status status;
    while ((status = sl_images_next(images, &item, &why)) == SLUICE_OK) {
        size_t size = strlen(found);
        snprintf(found + size, sizeof found - size, "%s=%.*s ", item.path, (int)item.payload.size,
                 item.too_large ? "" : (const char *)item.payload.data);
    }
    assert_int_equal(status, SLUICE_E_CLOSED);
    assert_string_equal(found, expected);
    sl_images_close(&images);
}

static int make_folder(void **state)
{
    (void)state;
    if (mkdtemp(folder) == NULL) {
        return 1;
    }
    in_folder("mkdir -p shop/b shop/a shop/.hidden && printf 2 > shop/b/2.JPG && printf 1 > "
              "shop/b/1.png && printf 0 > shop/a/z.webp && printf x > shop/a/z.json && printf x > "
              "shop/.hidden/1.png && printf x > shop/._1.png && printf 9 > shop/top.jpeg && "
              "ln -s .. shop/loop && ln -s b/1.png shop/link.png");
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    in_folder("rm -rf shop *.tar* *.png");
    return rmdir(folder);
}

static void test_folder_gives_its_images_in_order_of_names(void **state)
{
    (void)state;
    const char *expected = "a/z.webp=0 b/1.png=1 b/2.JPG=2 link.png=1 top.jpeg=9 ";
    assert_lists(path_of("shop"), expected);
    assert_lists(path_of("shop///"), expected);
    assert_lists(path_of("shop/.hidden"), "1.png=x ");
}

static void test_archive_gives_its_images_in_its_own_order(void **state)
{
    (void)state;
    in_folder("tar cf s.tar ./shop/b/2.JPG ./shop/a shop/b/1.png && gzip -k s.tar && tar cf "
              "empty.tar -T /dev/null");
    assert_lists(path_of("s.tar"), "shop/b/2.JPG=2 shop/a/z.webp=0 shop/b/1.png=1 ");
    assert_lists(path_of("s.tar.gz"), "shop/b/2.JPG=2 shop/a/z.webp=0 shop/b/1.png=1 ");
    assert_lists(path_of("empty.tar"), "");
}

static void test_broken_archive_and_missing_folder_are_said_to_be_so(void **state)
{
    (void)state;
    in_folder("head -c 3000 /dev/urandom > 1.png && tar cf cut.tar 1.png && truncate -s 1200 "
              "cut.tar && printf 'no archive at all, only a text' > text.tar");
    sl_images *images;
    sl_images_item item;
    sluice_message why;
    assert_int_equal(sl_images_open(path_of("cut.tar"), &images, &why), SLUICE_OK);
    assert_int_equal(sl_images_next(images, &item, &why), SLUICE_E_CORRUPT);
    assert_non_null(strstr(why.text, "cut.tar"));
    sl_images_close(&images);
    assert_int_equal(sl_images_open(path_of("none"), &images, &why), SLUICE_E_IO);
    sluice_status status = sl_images_open(path_of("text.tar"), &images, &why);
    if (status == SLUICE_OK) {
        status = sl_images_next(images, &item, &why);
        sl_images_close(&images);
    }
    assert_int_equal(status, SLUICE_E_CORRUPT);
}

static void test_image_beyond_32_mib_is_not_read(void **state)
{
    (void)state;
    in_folder("truncate -s 33554433 large.png && truncate -s 33554432 fits.png && tar cf l.tar "
              "large.png fits.png");
    sl_images *images;
    sl_images_item item;
    sluice_message why;
    assert_int_equal(sl_images_open(path_of("l.tar"), &images, &why), SLUICE_OK);
    assert_int_equal(sl_images_next(images, &item, &why), SLUICE_OK);
    assert_true(item.too_large && item.payload.size == 0 && item.bytes == 33554433);
    assert_int_equal(sl_images_next(images, &item, &why), SLUICE_OK);
    assert_true(!item.too_large && item.payload.size == 33554432);
    sl_images_close(&images);
    sluice_bytes out = {0};
    uint64_t bytes = 0;
    assert_int_equal(sl_images_read(path_of("large.png"), &out, &bytes, &why), SLUICE_E_TOOBIG);
    assert_int_equal(bytes, 33554433);
    assert_int_equal(sl_images_read(folder, &out, &bytes, &why), SLUICE_E_IO);
    free(out.data);
}

static void test_media_type_is_told_by_bytes_then_by_name(void **state)
{
    (void)state;
    sluice_span jpeg = {(const uint8_t *)"\xff\xd8\xff\xe0", 4}, none = {NULL, 0};
    assert_string_equal(sl_images_media_type(jpeg, "a.png"), "image/jpeg");
    assert_string_equal(sl_images_media_type(none, "a.GIF"), "image/gif");
    assert_string_equal(sl_images_media_type(none, "a"), "image/unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_folder_gives_its_images_in_order_of_names),
        cmocka_unit_test(test_archive_gives_its_images_in_its_own_order),
        cmocka_unit_test(test_broken_archive_and_missing_folder_are_said_to_be_so),
        cmocka_unit_test(test_image_beyond_32_mib_is_not_read),
        cmocka_unit_test(test_media_type_is_told_by_bytes_then_by_name),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
