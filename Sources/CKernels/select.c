#include "dispatch.h"

void pleach_magnitude_histogram(const float *x, size_t count, unsigned shift, uint32_t prefix, uint32_t bins[2048]) {
    memset(bins, 0, 2048 * sizeof bins[0]);
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = magnitude_bits(x[i]) >> shift;
        if (bits >> 11 == prefix) bins[bits & 2047u]++;
    }
}

// How many of a stretch pass. Few do, so whole stretches are skipped after this one vectorised look.
PLEACH_INLINE uint32_t candidates_of(const float *x, size_t start, size_t end, uint32_t threshold) {
    uint32_t candidates = 0;
    for (size_t i = start; i < end; i++) candidates += magnitude_bits(x[i]) >= threshold;
    return candidates;
}

PLEACH_CLONES size_t pleach_select(const float *x, size_t count, uint32_t threshold, size_t ties, uint32_t *out) {
    enum { stretch = 64 };
    size_t written = 0;
    for (size_t start = 0; start < count; start += stretch) {
        size_t end = count - start < stretch ? count : start + stretch;
        if (candidates_of(x, start, end, threshold) == 0) continue;
        for (size_t i = start; i < end; i++) {
            uint32_t bits = magnitude_bits(x[i]);
            bool tie = bits == threshold && ties > 0;
            out[written] = (uint32_t)i;
            written += bits > threshold || tie;
            ties -= tie;
        }
    }
    return written;
}

// Equal steps would meet the same columns of a matrix again and again, which may well be its small ones.
void pleach_sample_magnitudes(const float *x, size_t count, size_t stride, uint32_t counts[2048]) {
    for (size_t stratum = 0, start = 0; start < count; stratum++, start += stride) {
        size_t width = count - start < stride ? count - start : stride;
        size_t place = (size_t)((uint64_t)((uint32_t)stratum * 0x9e3779b1u ^ (uint32_t)(stratum >> 16)) * width >> 32);
        counts[magnitude_bits(x[start + place]) >> 20]++;
    }
}

PLEACH_CLONES size_t pleach_collect(
    const float *x, size_t count, uint32_t threshold, size_t capacity, uint32_t *indices, float *values) {
    enum { stretch = 64 };
    size_t written = 0;
    for (size_t start = 0; start < count; start += stretch) {
        size_t end = count - start < stretch ? count : start + stretch;
        uint32_t candidates = candidates_of(x, start, end, threshold);
        if (candidates == 0) continue;
        if (written >= capacity) {
            written += candidates;
            continue;
        }
        for (size_t i = start; i < end; i++) {
            indices[written] = (uint32_t)i;
            values[written] = x[i];
            written += magnitude_bits(x[i]) >= threshold;
        }
    }
    return written;
}
