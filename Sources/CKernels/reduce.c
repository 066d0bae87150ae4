#include "dispatch.h"

PLEACH_CLONES uint32_t pleach_absmax_bits(const float *x, size_t count) {
    uint32_t largest = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = magnitude_bits(x[i]);
        largest = bits > largest ? bits : largest;
    }
    return largest;
}

PLEACH_CLONES uint32_t pleach_block_survey(
    const float *x, size_t count, size_t block, uint32_t *largest, size_t *nonzero) {
    uint32_t largest_of_all = 0;
    size_t found = 0;
    for (size_t i = 0, number = 0; i < count; number++) {
        size_t end = block_end(i, count, block, 0);
        uint32_t most = 0;
        while (i < end) {
            size_t stop = end - i < 1 << 16 ? end : i + (1 << 16);
            uint32_t some = 0;
            for (; i < stop; i++) {
                uint32_t bits = magnitude_bits(x[i]);
                most = bits > most ? bits : most;
                some += bits != 0;
            }
            found += some;
        }
        largest[number] = most;
        largest_of_all = most > largest_of_all ? most : largest_of_all;
    }
    *nonzero = found;
    return largest_of_all;
}

PLEACH_CLONES double pleach_sum_abs(const float *x, size_t count) {
    double lanes[8] = {0};
    size_t i = 0;
    for (; i + 8 <= count; i += 8)
        for (int lane = 0; lane < 8; lane++) lanes[lane] += (double)float_of_bits(magnitude_bits(x[i + lane]));
    for (int lane = 0; i < count; i++, lane++) lanes[lane] += (double)float_of_bits(magnitude_bits(x[i]));
    return add_lanes(lanes);
}

PLEACH_CLONES double pleach_sum_squares(const float *x, size_t count) {
    double lanes[8] = {0};
    size_t i = 0;
    for (; i + 8 <= count; i += 8)
        for (int lane = 0; lane < 8; lane++) lanes[lane] += (double)x[i + lane] * (double)x[i + lane];
    for (int lane = 0; i < count; i++, lane++) lanes[lane] += (double)x[i] * (double)x[i];
    return add_lanes(lanes);
}

PLEACH_CLONES void pleach_add(float *sum, const float *x, size_t count) {
    for (size_t i = 0; i < count; i++) sum[i] += x[i];
}

PLEACH_CLONES void pleach_subtract(const float *a, const float *b, float *out, size_t count) {
    for (size_t i = 0; i < count; i++) out[i] = a[i] - b[i];
}
