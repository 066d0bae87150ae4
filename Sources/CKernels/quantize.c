#include "dispatch.h"

PLEACH_INLINE float clamped(float x, float low, float high) {
    x = x < high ? x : high;
    return x > low ? x : low;
}

PLEACH_INLINE double clamped_double(double x, double low, double high) {
    x = x < high ? x : high;
    return x > low ? x : low;
}

// Adding 1.5·2^23 leaves no room for a fraction (see `nearest_integer`); the low byte is the code.
PLEACH_INLINE int8_t nearest_code(float x) { return (int8_t)(uint8_t)bits_of_float(x + 0x1.8p23f); }

PLEACH_INLINE float nearest_float(float x) { return (x + 0x1.8p23f) - 0x1.8p23f; }

PLEACH_INLINE float power_of_two(int exponent) { return float_of_bits((uint32_t)(exponent + 127) << 23); }

PLEACH_CLONES void pleach_quantize(
    const float *x, size_t count, const uint8_t *scales, float factor, size_t block, size_t first,
    pleach_rounding rounding, int8_t *out) {
    const float high = (float)rounding.levels, low = rounding.half_steps ? -high - 1 : -high;
    const float shift = rounding.half_steps ? 0.5f : 0.0f;
    for (size_t i = 0, number = first / block; i < count; number++) {
        const size_t end = block_end(i, count, block, first);
        const float scale = scale_at(scales, number, factor);
        const double precise = 1.0 / (double)scale;
        const float inverse = (float)precise;
        if (scale == 0) {
            memset(out + i, 0, end - i);
            i = end;
        } else if (rounding.stochastic) {
            for (; i < end; i++) {
                double unit = unit_double(split_mix(rounding.counter, first + i));
                double shifted = (double)x[i] * precise - (double)shift + unit;
                shifted = clamped_double(shifted, (double)low, (double)high);
                int64_t nearest = nearest_integer(shifted);
                int64_t floored = nearest - ((double)nearest > shifted);
                out[i] = (int8_t)floored;
            }
        } else if (is_normal(inverse)) {
            for (; i < end; i++) out[i] = nearest_code(clamped(x[i] * inverse - shift, low, high));
        } else {
            for (; i < end; i++) {
                double quotient = (double)x[i] * precise - (double)shift;
                out[i] = (int8_t)nearest_integer(clamped_double(quotient, (double)low, (double)high));
            }
        }
    }
}

PLEACH_CLONES void pleach_dequantize(
    const int8_t *codes, size_t count, const uint8_t *scales, float factor, size_t block, size_t first, bool half_steps,
    float *out) {
    const float shift = half_steps ? 0.5f : 0.0f;
    for (size_t i = 0, number = first / block; i < count; number++) {
        float scale = scale_at(scales, number, factor);
        for (size_t end = block_end(i, count, block, first); i < end; i++) out[i] = ((float)codes[i] + shift) * scale;
    }
}

// Bits position ... position + count − 1, at most 32, reading no byte that has none of them.
PLEACH_INLINE uint32_t bits_at(const uint8_t *bytes, size_t position, size_t count) {
    const size_t start = position / 8, end = (position + count + 7) / 8;
    uint64_t word = 0;
    if (end - start == 4 || end - start == 5) {
        uint32_t low;
        memcpy(&low, bytes + start, sizeof low);
        word = (uint32_t)(little_endian((uint64_t)low) >> (little_endian(1) == 1 ? 0 : 32));
        if (end - start == 5) word |= (uint64_t)bytes[start + 4] << 32;
    } else {
        for (size_t byte = start; byte < end; byte++) word |= (uint64_t)bytes[byte] << 8 * (byte - start);
    }
    return (uint32_t)(word >> position % 8);
}

PLEACH_CLONES void pleach_dequantize_signs(
    const uint8_t *signs, size_t count, const uint8_t *scales, float factor, size_t block, size_t first, float *out) {
    for (size_t i = 0, number = first / block; i < count; number++) {
        uint32_t scale = bits_of_float(scale_at(scales, number, factor));
        size_t end = block_end(i, count, block, first);
        for (; i + 32 <= end; i += 32) {
            uint32_t bits = bits_at(signs, first + i, 32);
            for (size_t j = 0; j < 32; j++) out[i + j] = float_of_bits(scale | bits >> j << 31);
        }
        uint32_t bits = i < end ? bits_at(signs, first + i, end - i) : 0;
        for (size_t j = 0; i < end; i++, j++) out[i] = float_of_bits(scale | bits >> j << 31);
    }
}

enum { candidates = 15, together = 5, width = 16 };

// The squares of x/s − q for a few candidates at once, whose sums do not wait for one another. `count` is a multiple of
// the width.
PLEACH_INLINE void add_squares(
    const float *x, size_t count, const float *inverses, float shift, float low, float high, double (*lanes)[8]) {
    const sixteen_floats zero = {0}, lows = zero + low, highs = zero + high;
    sixteen_floats sums[together] = {zero};
    for (size_t i = 0; i < count; i += width) {
        sixteen_floats some;
        memcpy(&some, x + i, sizeof some);
#pragma clang loop unroll(full)
        for (int c = 0; c < together; c++) {
            sixteen_floats quotient = some * inverses[c] - shift;
            sixteen_floats nearest = quotient < highs ? quotient : highs;
            nearest = nearest > lows ? nearest : lows;
            sixteen_floats rest = quotient - ((nearest + 0x1.8p23f) - 0x1.8p23f);
            sums[c] += rest * rest;
        }
    }
    for (int c = 0; c < together; c++)
        for (int lane = 0; lane < 8; lane++) lanes[c][lane] += (double)sums[c][lane] + (double)sums[c][lane + 8];
}

// Rests are summed in units of the step, so that float32 neither overflows nor goes denormal: sixteen lanes of sixteen
// squares each in float32, and these sums in double.
PLEACH_CLONES double pleach_least_squares_step(
    const float *x, size_t count, float largest, int levels, bool half_steps) {
    enum { tile = 256 };
    const float high = (float)levels, low = half_steps ? -high - 1 : -high, shift = half_steps ? 0.5f : 0.0f;
    // A power of two brings `largest` into [1, 2). Up to 2^149, it may need two float32 factors.
    int64_t bits;
    double wide = (double)largest;
    memcpy(&bits, &wide, sizeof bits);
    const int exponent = 1023 - (int)(bits >> 52);
    const float up = power_of_two(exponent / 2), more = power_of_two(exponent - exponent / 2);
    const double normal = wide * (double)up * (double)more;
    double lanes[candidates][8] = {{0}}, steps[candidates];
    float inverses[candidates];
    for (int c = 0; c < candidates; c++) {
        steps[c] = normal * (double)(20 - c) / 20.0 / ((double)levels + (double)shift);
        inverses[c] = (float)(1 / steps[c]);
    }
    for (size_t start = 0; start < count; start += tile) {
        const size_t some = count - start < tile ? count - start : tile, whole = some / width * width;
        float scaled[tile];
        for (size_t i = 0; i < some; i++) scaled[i] = x[start + i] * up * more;
        for (int c = 0; c < candidates; c += together) {
            if (half_steps)
                add_squares(scaled, whole, inverses + c, 0.5f, low, high, lanes + c);
            else
                add_squares(scaled, whole, inverses + c, 0, low, high, lanes + c);
        }
        // What is left of the last tile.
        for (int c = 0; c < candidates && whole < some; c++)
            for (size_t i = whole; i < some; i++) {
                float quotient = scaled[i] * inverses[c] - shift;
                float rest = quotient - nearest_float(clamped(quotient, low, high));
                lanes[c][(i - whole) % 8] += (double)(rest * rest);
            }
    }
    int best = 0;
    double least = add_lanes(lanes[0]) * (steps[0] * steps[0]);
    for (int c = 1; c < candidates; c++) {
        double error = add_lanes(lanes[c]) * (steps[c] * steps[c]);
        if (error >= least) continue;
        least = error;
        best = c;
    }
    return steps[best] / ((double)up * (double)more);
}

PLEACH_CLONES void pleach_sign_bits(const float *x, size_t count, uint8_t *out) {
    for (size_t i = 0; i < count / 8; i++) {
        uint32_t bits = 0;
        for (int bit = 0; bit < 8; bit++) bits |= bits_of_float(x[8 * i + bit]) >> 31 << bit;
        out[i] = (uint8_t)bits;
    }
    for (size_t i = count & ~(size_t)7; i < count; i++) out[i >> 3] |= (uint8_t)(bits_of_float(x[i]) >> 31 << (i & 7));
}

PLEACH_CLONES void pleach_sign_bits_stochastic(
    const float *x, size_t count, const uint8_t *scales, float factor, size_t block, uint64_t counter, uint64_t first,
    uint8_t *out) {
    enum { tile = 512 };
    for (size_t start = 0; start < count; start += tile) {
        const size_t stop = count - start < tile ? count : start + tile;
        int8_t negative[tile];
        for (size_t i = start; i < stop;) {
            const float scale = scale_at(scales, (first + i) / block, factor);
            const double inverse = scale == 0 ? 0 : 1.0 / (double)scale;
            for (size_t end = i + block_end(0, stop - i, block, first + i); i < end; i++) {
                double centred = 2 * unit_double(split_mix(counter, first + i)) - 1;
                negative[i - start] = (double)x[i] * inverse + centred < 0;
            }
        }
        pleach_pack_codes(negative, stop - start, 1, out + start / 8);
    }
}
