#include "dispatch.h"

PLEACH_INLINE double clamp(double x, double limit) {
    x = x < limit ? x : limit;
    return x > -limit ? x : -limit;
}

PLEACH_CLONES void pleach_quantize(const float *x, size_t count, double inverse, double levels, int8_t *out) {
    for (size_t i = 0; i < count; i++) out[i] = (int8_t)nearest_integer(clamp((double)x[i] * inverse, levels));
}

PLEACH_CLONES void pleach_quantize_stochastic(
    const float *x, size_t count, double inverse, double levels, uint64_t counter, uint64_t first, int8_t *out) {
    for (size_t i = 0; i < count; i++) {
        uint64_t z = counter + (first + i + 1) * 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        z ^= z >> 31;
        // 52 random bits below a leading one make a number in [1, 2).
        uint64_t pattern = z >> 12 | 0x3ff0000000000000u;
        double unit;
        memcpy(&unit, &pattern, sizeof unit);
        double shifted = (double)x[i] * inverse + (unit - 1.0);
        int64_t nearest = nearest_integer(clamp(shifted, levels + 1));
        double rounded = (double)nearest;
        int64_t floored = nearest - (rounded > shifted);
        int64_t limit = (int64_t)levels;
        floored = floored < limit ? floored : limit;
        out[i] = (int8_t)(floored > -limit ? floored : -limit);
    }
}

PLEACH_CLONES void pleach_dequantize(
    const int8_t *codes, size_t count, const uint8_t *scales, float factor, size_t block, size_t first, float *out) {
    for (size_t i = 0; i < count;) {
        size_t number = (first + i) / block;
        size_t rest = (number + 1) * block - (first + i);
        size_t end = rest < count - i ? i + rest : count;
        float scale = float_of_half(load_half(scales + 2 * number)) * factor;
        for (; i < end; i++) out[i] = (float)codes[i] * scale;
    }
}

PLEACH_CLONES void pleach_dequantize_signs(
    const uint8_t *signs, size_t count, const uint8_t *scales, float factor, size_t block, size_t first, float *out) {
    for (size_t i = 0; i < count;) {
        size_t number = (first + i) / block;
        size_t rest = (number + 1) * block - (first + i);
        size_t end = rest < count - i ? i + rest : count;
        uint32_t scale = bits_of_float(float_of_half(load_half(scales + 2 * number)) * factor);
        for (; i < end; i++) {
            uint32_t negative = signs[(first + i) >> 3] >> ((first + i) & 7) & 1u;
            out[i] = float_of_bits(scale | negative << 31);
        }
    }
}

PLEACH_CLONES void pleach_pack_int4(const int8_t *codes, size_t count, uint8_t *out) {
    size_t pairs = count / 2;
    for (size_t i = 0; i < pairs; i++)
        out[i] = (uint8_t)(((uint8_t)codes[2 * i] & 15u) | (uint32_t)(uint8_t)codes[2 * i + 1] << 4);
    if (count & 1) out[pairs] = (uint8_t)codes[count - 1] & 15u;
}

PLEACH_INLINE int8_t sign_extended(uint32_t nibble) { return (int8_t)((int32_t)((nibble & 15u) ^ 8u) - 8); }

PLEACH_CLONES void pleach_unpack_int4(const uint8_t *bytes, size_t first, size_t count, int8_t *out) {
    if (count == 0) return;
    bytes += first / 2;
    if (first & 1) {
        *out++ = sign_extended(*bytes++ >> 4);
        count--;
    }
    for (size_t i = 0; i < count / 2; i++) {
        out[2 * i] = sign_extended(bytes[i]);
        out[2 * i + 1] = sign_extended(bytes[i] >> 4);
    }
    if (count & 1) out[count - 1] = sign_extended(bytes[count / 2]);
}

PLEACH_CLONES int8_t pleach_minimum_code(const int8_t *codes, size_t count) {
    int8_t smallest = 127;
    for (size_t i = 0; i < count; i++) smallest = codes[i] < smallest ? codes[i] : smallest;
    return smallest;
}

void pleach_count_codes(const int8_t *codes, size_t count, uint32_t counts[256]) {
    // Four tables, so that equal neighbours do not wait for one another.
    uint32_t tables[4][256] = {{0}};
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        for (size_t lane = 0; lane < 4; lane++) tables[lane][(uint8_t)(codes[i + lane] + 128)]++;
    }
    for (; i < count; i++) tables[0][(uint8_t)(codes[i] + 128)]++;
    for (size_t code = 0; code < 256; code++)
        counts[code] = tables[0][code] + tables[1][code] + tables[2][code] + tables[3][code];
}

PLEACH_CLONES void pleach_fold_signs(const int8_t *codes, size_t count, uint32_t *out) {
    for (size_t i = 0; i < count; i++) {
        int32_t code = codes[i];
        out[i] = (uint32_t)code << 1 ^ (uint32_t)(code >> 31);
    }
}

PLEACH_CLONES void pleach_unfold_signs(const uint32_t *folded, size_t count, int8_t *out) {
    for (size_t i = 0; i < count; i++) out[i] = (int8_t)(uint8_t)(folded[i] >> 1 ^ (0u - (folded[i] & 1u)));
}

PLEACH_CLONES void pleach_sign_bits(const float *x, size_t count, uint8_t *out) {
    for (size_t i = 0; i < count / 8; i++) {
        uint32_t bits = 0;
        for (int bit = 0; bit < 8; bit++) bits |= bits_of_float(x[8 * i + bit]) >> 31 << bit;
        out[i] = (uint8_t)bits;
    }
    for (size_t i = count & ~(size_t)7; i < count; i++) out[i >> 3] |= (uint8_t)(bits_of_float(x[i]) >> 31 << (i & 7));
}
