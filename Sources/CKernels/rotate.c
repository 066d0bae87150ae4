#include "dispatch.h"

// Distances 1 to 8 lie within sixteen values, which stay in a register. a − b is a + (−b), so one addition serves both
// outcomes of a pair: each value is its partner plus itself, negated in the upper place.
enum { width = 16 };
#define TRANSFORM(w, h, ...) \
    w = __builtin_shufflevector(w, w, __VA_ARGS__) + (sixteen_floats)((sixteen_words)w ^ ((places & h) != 0) << 31)

PLEACH_INLINE void transform_16(float *x) {
    const sixteen_words places = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    sixteen_floats w;
    memcpy(&w, x, sizeof w);
    TRANSFORM(w, 1, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
    TRANSFORM(w, 2, 2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13);
    TRANSFORM(w, 4, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11);
    TRANSFORM(w, 8, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7);
    memcpy(x, &w, sizeof w);
}

PLEACH_INLINE void transform_pairs(float *x, size_t count, size_t h) {
    for (size_t start = 0; start < count; start += 2 * h)
        for (size_t i = start; i < start + h; i++) {
            float a = x[i], b = x[i + h];
            x[i] = a + b;
            x[i + h] = a - b;
        }
}

// Distances h and 2h at once halve the passes through memory.
PLEACH_INLINE void transform_fours(float *x, size_t count, size_t h) {
    for (size_t start = 0; start < count; start += 4 * h) {
        float *p = x + start, *q = p + h, *r = q + h, *s = r + h;
        for (size_t i = 0; i < h; i++) {
            float a = p[i] + q[i], b = p[i] - q[i], c = r[i] + s[i], d = r[i] - s[i];
            p[i] = a + c;
            q[i] = b + d;
            r[i] = a - c;
            s[i] = b - d;
        }
    }
}

PLEACH_CLONES void pleach_hadamard(float *x, unsigned log2) {
    const size_t count = (size_t)1 << log2;
    size_t h = 1;
    if (count >= width) {
        for (size_t start = 0; start < count; start += width) transform_16(x + start);
        h = width;
    }
    for (; 4 * h <= count; h *= 4) transform_fours(x, count, h);
    if (2 * h <= count) transform_pairs(x, count, h);
}

PLEACH_CLONES void pleach_random_signs(float *x, size_t count, uint64_t seed, uint64_t first, float factor) {
    for (size_t start = 0; start < count;) {
        // The last chunks of a vector begin amid a word.
        unsigned used = (unsigned)((first + start) & 63);
        uint64_t signs = split_mix(seed, (first + start) / 64) >> used;
        size_t end = count - start < 64 - used ? count : start + 64 - used;
        for (size_t i = start; i < end; i++)
            x[i] = float_of_bits(bits_of_float(x[i] * factor) ^ (uint32_t)(signs >> (i - start) & 1u) << 31);
        start = end;
    }
}
