/* fuzz_image.c - any bytes as an image: an orientation, a raster within range and a signature, or a
 * state; and the signature turned. */
#include "status.h"
#include "features/image_decode.h"
#include "features/image_hash.h"
#include "features/orientation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sl_image_hash *hash;
    static sl_raster raster;
    if (hash == NULL) {
        SLUICE_ASSERT(sl_image_hash_open(&hash) == SLUICE_OK);
    }
    SLUICE_ASSERT(sl_orientation_of((sluice_span){data, size}) < SL_RASTER_TURNS);
    sl_image_state state = sl_image_decode((sluice_span){data, size}, &raster);
    SLUICE_ASSERT(state <= SL_IMAGE_NO_MEMORY);
    if (state != SL_IMAGE_DECODED) {
        return 0;
    }
    for (uint32_t i = 0; i < SL_RASTER_SIDE * SL_RASTER_SIDE; i++) {
        for (uint32_t c = 0; c < 3; c++) {
            SLUICE_ASSERT(raster.rgb[i][c] >= 0 && raster.rgb[i][c] <= 255);
        }
    }
    uint8_t signature[SLUICE_IMAGE_BYTES], quality;
    int8_t colours[SLUICE_IMAGE_COLOURS];
    sl_image_hash_make(hash, &raster, signature, colours, &quality);
    SLUICE_ASSERT(quality <= 100);
    uint8_t turned[SLUICE_IMAGE_BYTES];
    int8_t turned_colours[SLUICE_IMAGE_COLOURS];
    sl_image_turn(signature, colours, size % SL_RASTER_TURNS, turned, turned_colours);
    SLUICE_ASSERT((turned[SLUICE_IMAGE_BITS / 8] >> SLUICE_IMAGE_BITS % 8) == 0);
    return 0;
}
