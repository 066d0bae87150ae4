#include "dispatch.h"

PLEACH_CLONES uint64_t pleach_sum_shifted_bytes(const uint8_t *v, size_t count, unsigned k) {
    uint64_t sum = 0;
    // 16 bits hold 256 bytes, so stretches are short and lanes narrow.
    for (size_t start = 0; start < count; start += 256) {
        size_t end = count - start < 256 ? count : start + 256;
        uint16_t some = 0;
        for (size_t i = start; i < end; i++) some = (uint16_t)(some + (uint8_t)(v[i] >> k));
        sum += some;
    }
    return sum;
}

PLEACH_CLONES uint8_t pleach_smallest_magnitude(const int8_t *codes, size_t count) {
    uint8_t smallest = 128;
    for (size_t i = 0; i < count; i++) {
        uint8_t magnitude = (uint8_t)(codes[i] < 0 ? -codes[i] : codes[i]);
        smallest = magnitude < smallest ? magnitude : smallest;
    }
    return smallest;
}
