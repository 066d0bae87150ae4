#include "dispatch.h"

PLEACH_CLONES void pleach_fold_codes(
    int64_t *sum, const int8_t *codes, size_t count, const uint8_t *scales, float factor, size_t block, size_t first,
    int64_t weight) {
    for (size_t i = 0, number = first / block; i < count; number++) {
        float scale = scale_at(scales, number, factor);
        for (size_t end = block_end(i, count, block, first); i < end; i++)
            sum[i] += weight * fixed_point((float)codes[i] * scale);
    }
}

PLEACH_CLONES void pleach_measure_codes(
    const int8_t *codes, size_t count, const uint8_t *scales, float factor, size_t block, size_t first, float *largest,
    double *squares) {
    for (size_t i = 0, number = first / block; i < count; number++) {
        float scale = scale_at(scales, number, factor);
        int32_t most = 0;
        uint64_t sum = 0;
        size_t end = block_end(i, count, block, first);
        while (i < end) {
            // 65,536 squares of at most 2^14 fit 32 bits.
            size_t stop = end - i < 1 << 16 ? end : i + (1 << 16);
            uint32_t some = 0;
            for (; i < stop; i++) {
                int32_t magnitude = codes[i] < 0 ? -codes[i] : codes[i];
                most = magnitude > most ? magnitude : most;
                some += (uint32_t)(magnitude * magnitude);
            }
            sum += some;
        }
        float product = (float)most * scale;
        *largest = product > *largest ? product : *largest;
        *squares += (double)scale * (double)scale * (double)sum;
    }
}

PLEACH_CLONES void pleach_fold_add(int64_t *sum, const float *x, size_t count, int64_t weight) {
    for (size_t i = 0; i < count; i++) sum[i] += weight * fixed_point(x[i]);
}

void pleach_fold_add_at(int64_t *sum, const uint32_t *index, const float *x, size_t count, int64_t weight) {
    for (size_t i = 0; i < count; i++) sum[index[i]] += weight * fixed_point(x[i]);
}

PLEACH_CLONES void pleach_fold_mean(const int64_t *sum, size_t count, double divisor, float *out) {
    for (size_t i = 0; i < count; i++) out[i] = (float)((double)sum[i] / divisor);
}
