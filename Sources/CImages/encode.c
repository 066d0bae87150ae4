#include "CImages.h"

#include <spng.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

static size_t encode_jpeg(const uint8_t *pixels, int32_t width, int32_t height, int32_t channels, int32_t quality,
                          uint8_t *target, size_t capacity) {
    tjhandle handle = tjInitCompress();
    if (!handle) return 0;
    unsigned char *bytes = NULL;
    unsigned long count = 0;
    int status = tjCompress2(handle, pixels, width, 0, height, channels == 1 ? TJPF_GRAY : TJPF_RGB, &bytes, &count,
                             channels == 1 ? TJSAMP_GRAY : TJSAMP_420, quality, TJFLAG_ACCURATEDCT);
    if (!status && count <= capacity) memcpy(target, bytes, count);
    tjFree(bytes);
    tjDestroy(handle);
    return !status && count <= capacity ? count : 0;
}

static size_t encode_png(const uint8_t *pixels, int32_t width, int32_t height, int32_t channels, uint8_t *target,
                         size_t capacity) {
    spng_ctx *context = spng_ctx_new(SPNG_CTX_ENCODER);
    if (!context) return 0;
    struct spng_ihdr facts = {.width = (uint32_t)width, .height = (uint32_t)height, .bit_depth = 8};
    facts.color_type = channels == 1   ? SPNG_COLOR_TYPE_GRAYSCALE
                       : channels == 3 ? SPNG_COLOR_TYPE_TRUECOLOR
                                       : SPNG_COLOR_TYPE_TRUECOLOR_ALPHA;
    size_t count = 0;
    int status = spng_set_option(context, SPNG_ENCODE_TO_BUFFER, 1);
    if (!status) status = spng_set_ihdr(context, &facts);
    if (!status)
        status = spng_encode_image(context, pixels, (size_t)width * (size_t)height * (size_t)channels, SPNG_FMT_PNG,
                                   SPNG_ENCODE_FINALIZE);
    uint8_t *bytes = status ? NULL : spng_get_png_buffer(context, &count, &status);
    int fits = bytes && !status && count <= capacity;
    if (fits) memcpy(target, bytes, count);
    free(bytes);
    spng_ctx_free(context);
    return fits ? count : 0;
}

size_t ci_encode(int32_t format, const uint8_t *pixels, int32_t width, int32_t height, int32_t channels, int32_t quality,
                 uint8_t *target, size_t capacity) {
    if (width < 1 || height < 1) return 0;
    if (format == CI_JPEG && (channels == 1 || channels == 3) && quality >= 1 && quality <= 100)
        return encode_jpeg(pixels, width, height, channels, quality, target, capacity);
    if (format == CI_PNG && (channels == 1 || channels == 3 || channels == 4))
        return encode_png(pixels, width, height, channels, target, capacity);
    return 0;
}
