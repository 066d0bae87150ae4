#include "dispatch.h"

// A float times 2^30 is exact in double, and below 2^38 + 1 in magnitude, so only `nearest_integer` rounds.
PLEACH_INLINE int64_t fixed_point(float x) { return nearest_integer((double)x * 0x1p30); }

PLEACH_CLONES void pleach_fold_add(int64_t *sum, const float *x, size_t count, int64_t weight) {
    for (size_t i = 0; i < count; i++) sum[i] += weight * fixed_point(x[i]);
}

void pleach_fold_add_at(int64_t *sum, const uint32_t *index, const float *x, size_t count, int64_t weight) {
    for (size_t i = 0; i < count; i++) sum[index[i]] += weight * fixed_point(x[i]);
}

PLEACH_CLONES void pleach_fold_mean(const int64_t *sum, size_t count, double divisor, float *out) {
    for (size_t i = 0; i < count; i++) out[i] = (float)((double)sum[i] / divisor);
}
