#include "CImages.h"

#include <spng.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <turbojpeg.h>

struct CIDecoder {
    tjhandle jpeg;
    uint8_t *pixels;
    size_t capacity;
    char reason[256];
};

static const uint8_t png_signature[8] = {0x89, 'P', 'N', 'G', 0x0d, 0x0a, 0x1a, 0x0a};

// Chunks other than pixels serve nobody here; more than this is an attack.
enum { PNG_CHUNK_LIMIT = 1 << 20, PNG_CACHE_LIMIT = 4 << 20 };

CIDecoder *ci_decoder_new(void) { return calloc(1, sizeof(CIDecoder)); }

void ci_decoder_free(CIDecoder *decoder) {
    if (!decoder) return;
    if (decoder->jpeg) tjDestroy(decoder->jpeg);
    free(decoder->pixels);
    free(decoder);
}

const char *ci_reason(const CIDecoder *decoder) { return decoder->reason; }

static int fail(CIDecoder *decoder, const char *reason) {
    snprintf(decoder->reason, sizeof decoder->reason, "%s", reason);
    return 1;
}

// Working memory of at least `count` bytes, or NULL.
static uint8_t *pixels(CIDecoder *decoder, size_t count) {
    if (decoder->capacity < count) {
        free(decoder->pixels);
        decoder->pixels = malloc(count);
        decoder->capacity = decoder->pixels ? count : 0;
    }
    return decoder->pixels;
}

static int check_pixels(CIDecoder *decoder, int64_t width, int64_t height, int64_t limit) {
    if (width < 1 || height < 1) return fail(decoder, "the image is empty");
    if (width > limit / height) {
        snprintf(decoder->reason, sizeof decoder->reason, "%lld x %lld pixels exceed the limit of %lld",
                 (long long)width, (long long)height, (long long)limit);
        return 1;
    }
    return 0;
}

// A TurboJPEG handle that has failed can refuse the next, sound image: what the bad one left in it is taken for its header.
static int fail_jpeg(CIDecoder *decoder) {
    fail(decoder, tjGetErrorStr2(decoder->jpeg));
    tjDestroy(decoder->jpeg);
    decoder->jpeg = NULL;
    return 1;
}

static int jpeg_header(CIDecoder *decoder, const uint8_t *bytes, size_t count, CIHeader *header) {
    int subsampling = 0, space = 0;
    if (!decoder->jpeg && !(decoder->jpeg = tjInitDecompress())) return fail(decoder, "no memory for a JPEG decoder");
    if (tjDecompressHeader3(decoder->jpeg, bytes, (unsigned long)count, &header->width, &header->height, &subsampling,
                            &space))
        return fail_jpeg(decoder);
    if (space == TJCS_CMYK || space == TJCS_YCCK) return fail(decoder, "CMYK images are not supported: convert to RGB");
    header->format = CI_JPEG;
    header->channels = space == TJCS_GRAY ? 1 : 3;
    return 0;
}

// A context over the bytes with its header read, or NULL with a reason.
static spng_ctx *png_open(CIDecoder *decoder, const uint8_t *bytes, size_t count, struct spng_ihdr *facts) {
    spng_ctx *context = spng_ctx_new(0);
    if (!context) {
        fail(decoder, "no memory for a PNG decoder");
        return NULL;
    }
    int status = spng_set_chunk_limits(context, PNG_CHUNK_LIMIT, PNG_CACHE_LIMIT);
    if (!status) status = spng_set_png_buffer(context, bytes, count);
    if (!status) status = spng_get_ihdr(context, facts);
    if (!status) return context;
    fail(decoder, spng_strerror(status));
    spng_ctx_free(context);
    return NULL;
}

static int png_is_grey(const struct spng_ihdr *facts) {
    return facts->color_type == SPNG_COLOR_TYPE_GRAYSCALE || facts->color_type == SPNG_COLOR_TYPE_GRAYSCALE_ALPHA;
}

static int png_header(CIDecoder *decoder, const uint8_t *bytes, size_t count, CIHeader *header) {
    struct spng_ihdr facts;
    spng_ctx *context = png_open(decoder, bytes, count, &facts);
    if (!context) return 1;
    spng_ctx_free(context);
    if (facts.width > INT32_MAX || facts.height > INT32_MAX) return fail(decoder, "the image is too large");
    header->format = CI_PNG;
    header->width = (int32_t)facts.width;
    header->height = (int32_t)facts.height;
    header->channels = png_is_grey(&facts) ? 1 : 3;
    return 0;
}

int ci_read_header(CIDecoder *decoder, const uint8_t *bytes, size_t count, int64_t pixel_limit, CIHeader *header) {
    memset(header, 0, sizeof *header);
    int status;
    if (count >= 2 && bytes[0] == 0xff && bytes[1] == 0xd8)
        status = jpeg_header(decoder, bytes, count, header);
    else if (count >= sizeof png_signature && !memcmp(bytes, png_signature, sizeof png_signature))
        status = png_header(decoder, bytes, count, header);
    else
        return fail(decoder, count ? "the file is neither JPEG nor PNG" : "the file is empty");
    return status ? status : check_pixels(decoder, header->width, header->height, pixel_limit);
}

int32_t ci_scaled(int32_t extent, int32_t divisor) { return (int32_t)(((int64_t)extent + divisor - 1) / divisor); }

static void split_planes(const uint8_t *interleaved, size_t count, uint8_t *planes) {
    for (size_t i = 0; i < count; i++) {
        planes[i] = interleaved[3 * i];
        planes[count + i] = interleaved[3 * i + 1];
        planes[2 * count + i] = interleaved[3 * i + 2];
    }
}

static int decode_jpeg(CIDecoder *decoder, const uint8_t *bytes, size_t count, int32_t channels, int32_t width,
                       int32_t height, uint8_t *planes) {
    size_t area = (size_t)width * (size_t)height;
    uint8_t *target = channels == 1 ? planes : pixels(decoder, 3 * area);
    if (!target) return fail(decoder, "no memory for the image");
    // The accurate transform and the smooth upsampling give the same pixels on every processor.
    if (tjDecompress2(decoder->jpeg, bytes, (unsigned long)count, target, width, 0, height,
                      channels == 1 ? TJPF_GRAY : TJPF_RGB, TJFLAG_ACCURATEDCT | TJFLAG_LIMITSCANS))
        return fail_jpeg(decoder);
    if (channels == 3) split_planes(target, area, planes);
    return 0;
}

static int decode_png(CIDecoder *decoder, const uint8_t *bytes, size_t count, int32_t channels, uint8_t *planes) {
    struct spng_ihdr facts;
    spng_ctx *context = png_open(decoder, bytes, count, &facts);
    if (!context) return 1;
    size_t area = (size_t)facts.width * facts.height;
    uint8_t *target = pixels(decoder, 3 * area);
    int status = target ? spng_decode_image(context, target, 3 * area, SPNG_FMT_RGB8, 0) : SPNG_EMEM;
    spng_ctx_free(context);
    if (status) return fail(decoder, spng_strerror(status));
    if (channels == 3) {
        split_planes(target, area, planes);
    } else if (png_is_grey(&facts)) {
        for (size_t i = 0; i < area; i++) planes[i] = target[3 * i];
    } else {
        // ITU-R BT.601, as JPEG's luminance.
        for (size_t i = 0; i < area; i++)
            planes[i] = (uint8_t)((299 * target[3 * i] + 587 * target[3 * i + 1] + 114 * target[3 * i + 2] + 500) / 1000);
    }
    return 0;
}

int ci_decode(CIDecoder *decoder, const uint8_t *bytes, size_t count, int64_t pixel_limit, int32_t channels,
              int32_t divisor, uint8_t *planes, size_t capacity) {
    CIHeader header;
    if (ci_read_header(decoder, bytes, count, pixel_limit, &header)) return 1;
    if ((channels != 1 && channels != 3) || (divisor != 1 && divisor != 2 && divisor != 4 && divisor != 8) ||
        (divisor != 1 && header.format != CI_JPEG))
        return fail(decoder, "this decoder gives 1 or 3 channels, at 1/2, 1/4 or 1/8 only of JPEG");
    int32_t width = ci_scaled(header.width, divisor), height = ci_scaled(header.height, divisor);
    if ((size_t)width * (size_t)height * (size_t)channels != capacity) return fail(decoder, "the target has another size");
    return header.format == CI_JPEG ? decode_jpeg(decoder, bytes, count, channels, width, height, planes)
                                    : decode_png(decoder, bytes, count, channels, planes);
}
