// One function, several machine codes: the loader picks the best one this processor can run.
#ifndef PLEACH_DISPATCH_H
#define PLEACH_DISPATCH_H

#include "CKernels.h"
#include <string.h>

// Defined empty from outside to test one machine code (with -march).
#ifndef PLEACH_CLONES
#if defined(__x86_64__) && defined(__ELF__) && defined(__GLIBC__)
#define PLEACH_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define PLEACH_CLONES
#endif
#endif

// A fused multiply-add rounds once where two operations round twice: results would depend on the processor.
#pragma STDC FP_CONTRACT OFF

#define PLEACH_INLINE static inline __attribute__((always_inline))

// Where lanes matter, they are spelt out; the compiler cuts these to what the processor has.
typedef float sixteen_floats __attribute__((ext_vector_type(16)));
typedef uint32_t sixteen_words __attribute__((ext_vector_type(16)));

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

PLEACH_INLINE uint64_t little_endian(uint64_t word) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return __builtin_bswap64(word);
#else
    return word;
#endif
}

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

PLEACH_INLINE float scale_at(const uint8_t *scales, size_t number, float factor) {
    return float_of_half(load_half(scales + 2 * number)) * factor;
}

PLEACH_INLINE bool is_normal(float x) { return x >= 0x1p-126f && x < __builtin_inff(); }

// Where the block that holds x[i] ends. Only at i = 0 can it have begun before x[i].
PLEACH_INLINE size_t block_end(size_t i, size_t count, size_t block, size_t first) {
    size_t rest = i == 0 ? block - first % block : block;
    return rest < count - i ? i + rest : count;
}

// A float times 2^30 is exact in double, and below 2^38 + 1 in magnitude, so only `nearest_integer` rounds.
PLEACH_INLINE int64_t fixed_point(float x) { return nearest_integer((double)x * 0x1p30); }

// Output number `index` of SplitMix64 (Steele, Lea, Flood 2014), seeded with `seed`.
PLEACH_INLINE uint64_t split_mix(uint64_t seed, uint64_t index) {
    uint64_t z = seed + (index + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

// In [0, 1), of 52 bits: below a leading one they make a number in [1, 2).
PLEACH_INLINE double unit_double(uint64_t random) {
    uint64_t pattern = random >> 12 | 0x3ff0000000000000u;
    double unit;
    memcpy(&unit, &pattern, sizeof unit);
    return unit - 1.0;
}

// In [0, 1), of 24 bits.
PLEACH_INLINE float unit_float(uint64_t random) { return (float)(int32_t)(random >> 40) * 0x1p-24f; }

PLEACH_INLINE double add_lanes(const double lanes[8]) {
    return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

#endif
