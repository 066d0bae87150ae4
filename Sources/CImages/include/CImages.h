// JPEG by libjpeg-turbo and PNG by libspng behind one small C API: bytes in memory to planes of 8-bit pixels.
//
// A decoder keeps its working memory from image to image. It is used by one thread at a time; different decoders share
// nothing. Nothing here trusts the bytes: sizes are read from the header and bounded before anything is allocated.
#ifndef CIMAGES_H
#define CIMAGES_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CIDecoder CIDecoder;

enum { CI_JPEG = 1, CI_PNG = 2 };

typedef struct {
    // CI_JPEG or CI_PNG, told by the first bytes.
    int32_t format;
    int32_t width, height;
    // 1 for grey, 3 for colour, as stored; transparency does not count.
    int32_t channels;
} CIHeader;

// NULL when there is no memory.
CIDecoder *ci_decoder_new(void);
void ci_decoder_free(CIDecoder *decoder);
// Why the decoder's last call failed: one line, valid until its next call.
const char *ci_reason(const CIDecoder *decoder);

// Reads the header only. Returns 0, or 1 with a reason; `pixel_limit` bounds width times height.
int ci_read_header(CIDecoder *decoder, const uint8_t *bytes, size_t count, int64_t pixel_limit, CIHeader *header);

// The extent that ci_decode gives for a side of a JPEG decoded at 1/`divisor` of its size.
int32_t ci_scaled(int32_t extent, int32_t divisor);

// Decodes to `channels` (1 or 3) planes of height x width bytes, converting grey to colour or colour to grey; transparency is
// dropped and 16-bit samples keep their high byte. `divisor` is 1, 2, 4 or 8 and is taken in the frequency domain; for PNG it
// must be 1. `capacity` must be exactly the bytes of the planes. A decoder's warning is a failure: pixels may be wrong.
// Returns 0, or 1 with a reason.
int ci_decode(CIDecoder *decoder, const uint8_t *bytes, size_t count, int64_t pixel_limit, int32_t channels,
              int32_t divisor, uint8_t *planes, size_t capacity);

// Encoders for tests and benchmarks, from interleaved pixels of `channels` (1 or 3; PNG also 4) bytes. `quality` is 1 to 100
// for JPEG and not used for PNG. Returns the bytes written into `target`, or 0 when it failed or they did not fit.
size_t ci_encode(int32_t format, const uint8_t *pixels, int32_t width, int32_t height, int32_t channels, int32_t quality,
                 uint8_t *target, size_t capacity);

#ifdef __cplusplus
}
#endif

#endif
