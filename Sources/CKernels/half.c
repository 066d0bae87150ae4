#include "dispatch.h"

PLEACH_CLONES void pleach_to_half(const float *x, size_t count, float factor, uint8_t *out) {
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = bits_of_float(x[i] * factor);
        uint32_t magnitude = bits & 0x7fffffffu;
        // Below 2^-14 the result is subnormal: adding 0.5 aligns its 2^-24 steps with the sum's last place.
        uint32_t subnormal = bits_of_float(float_of_bits(magnitude) + 0.5f) - 0x3f000000u;
        uint32_t normal = (magnitude - 0x38000000u + 0xfffu + (magnitude >> 13 & 1u)) >> 13;
        uint32_t half = (magnitude < 0x38800000u ? subnormal : normal) | bits >> 31 << 15;
        out[2 * i] = (uint8_t)half;
        out[2 * i + 1] = (uint8_t)(half >> 8);
    }
}

PLEACH_CLONES void pleach_from_half(const uint8_t *bytes, size_t count, float factor, float *out) {
    for (size_t i = 0; i < count; i++) out[i] = float_of_half(load_half(bytes + 2 * i)) * factor;
}

PLEACH_CLONES void pleach_to_bfloat(const float *x, size_t count, uint8_t *out) {
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = bits_of_float(x[i]);
        uint32_t upper = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
        out[2 * i] = (uint8_t)upper;
        out[2 * i + 1] = (uint8_t)(upper >> 8);
    }
}

PLEACH_CLONES void pleach_from_bfloat(const uint8_t *bytes, size_t count, float *out) {
    for (size_t i = 0; i < count; i++)
        out[i] = float_of_bits((uint32_t)bytes[2 * i] << 16 | (uint32_t)bytes[2 * i + 1] << 24);
}
