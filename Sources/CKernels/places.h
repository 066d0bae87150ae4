// Where the ones of a byte are.
#ifndef PLEACH_PLACES_H
#define PLEACH_PLACES_H

#include "dispatch.h"

// Places of the 1 bits of a byte, lowest first, a byte each, made of those of its halves; what follows means nothing.
#define PLACES_0 0x0u
#define PLACES_1 0x00u
#define PLACES_2 0x01u
#define PLACES_3 0x0100u
#define PLACES_4 0x02u
#define PLACES_5 0x0200u
#define PLACES_6 0x0201u
#define PLACES_7 0x020100u
#define PLACES_8 0x03u
#define PLACES_9 0x0300u
#define PLACES_a 0x0301u
#define PLACES_b 0x030100u
#define PLACES_c 0x0302u
#define PLACES_d 0x030200u
#define PLACES_e 0x030201u
#define PLACES_f 0x03020100u
#define ENTRY(high, low) \
    (PLACES_##low | (uint64_t)(PLACES_##high + 0x04040404u) << 8 * __builtin_popcount(0x##low))
#define ENTRIES(high) \
    ENTRY(high, 0), ENTRY(high, 1), ENTRY(high, 2), ENTRY(high, 3), ENTRY(high, 4), ENTRY(high, 5), ENTRY(high, 6), \
    ENTRY(high, 7), ENTRY(high, 8), ENTRY(high, 9), ENTRY(high, a), ENTRY(high, b), ENTRY(high, c), ENTRY(high, d), \
    ENTRY(high, e), ENTRY(high, f)
static const uint64_t places_of_ones[256] = {
    ENTRIES(0), ENTRIES(1), ENTRIES(2), ENTRIES(3), ENTRIES(4), ENTRIES(5), ENTRIES(6), ENTRIES(7),
    ENTRIES(8), ENTRIES(9), ENTRIES(a), ENTRIES(b), ENTRIES(c), ENTRIES(d), ENTRIES(e), ENTRIES(f),
};

// out[i] = base + place of one number i, for those of `ones`, an entry of the table; all eight are written.
PLEACH_INLINE void store_places(uint64_t ones, uint32_t base, uint32_t *out) {
    typedef uint8_t eight_bytes __attribute__((ext_vector_type(8)));
    typedef uint32_t eight_words __attribute__((ext_vector_type(8)));
    eight_bytes places;
    ones = little_endian(ones);
    memcpy(&places, &ones, sizeof places);
    eight_words words = __builtin_convertvector(places, eight_words) + base;
    memcpy(out, &words, sizeof words);
}

#endif
