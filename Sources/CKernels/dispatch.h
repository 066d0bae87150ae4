// One function, several machine codes: the loader picks the best one this processor can run.
#ifndef PLEACH_DISPATCH_H
#define PLEACH_DISPATCH_H

#include "CKernels.h"
#include <string.h>

#if defined(__x86_64__) && defined(__ELF__) && defined(__GLIBC__)
#define PLEACH_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define PLEACH_CLONES
#endif

// A fused multiply-add rounds once where two operations round twice: results would depend on the processor.
#pragma STDC FP_CONTRACT OFF

#define PLEACH_INLINE static inline __attribute__((always_inline))

PLEACH_INLINE uint32_t bits_of_float(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

PLEACH_INLINE float float_of_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

PLEACH_INLINE uint32_t magnitude_bits(float x) { return bits_of_float(x) & 0x7fffffffu; }

// Adding 1.5·2^52 leaves no room for a fraction, so the sum is rounded to an integer (ties to even), whose two's
// complement then stands in the low bits of the significand. Exact for |x| < 2^51.
PLEACH_INLINE int64_t nearest_integer(double x) {
    const double magic = 0x1.8p52;
    double shifted = x + magic;
    int64_t bits, origin;
    memcpy(&bits, &shifted, sizeof bits);
    memcpy(&origin, &magic, sizeof origin);
    return bits - origin;
}

// binary16 to float32, exact: the exponent is rebiased by a multiplication, which also normalises subnormals.
PLEACH_INLINE float float_of_half(uint32_t half) {
    float magnitude = float_of_bits((half & 0x7fffu) << 13) * 0x1p112f;
    uint32_t special = (half & 0x7c00u) == 0x7c00u ? 0x7f800000u | (half & 0x3ffu) << 13 : bits_of_float(magnitude);
    return float_of_bits(special | (half & 0x8000u) << 16);
}

PLEACH_INLINE uint32_t load_half(const uint8_t *bytes) { return bytes[0] | (uint32_t)bytes[1] << 8; }

#endif
