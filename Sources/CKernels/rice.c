#include "places.h"

enum { segment = 4096 };

PLEACH_CLONES uint64_t pleach_sum_shifted(const uint32_t *v, size_t count, unsigned k) {
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) sum += v[i] >> k;
    return sum;
}

PLEACH_INLINE uint64_t load_64(const uint8_t *bytes) {
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return little_endian(word);
}

PLEACH_INLINE void store_64(uint64_t word, uint8_t *bytes) {
    word = little_endian(word);
    memcpy(bytes, &word, sizeof word);
}

// Where bits are appended: `used` of `word` (below 64) are not in `next` yet.
typedef struct {
    uint8_t *next;
    uint64_t word;
    unsigned used;
} bit_writer;

// At most 64 bits. The word is stored each time, full or not, because a branch on that would be mispredicted.
PLEACH_INLINE void append(bit_writer *to, uint64_t bits, unsigned count) {
    uint64_t low = to->word | bits << to->used, high = bits >> 1 >> (63 - to->used);
    unsigned total = to->used + count;
    store_64(low, to->next);
    to->word = total >= 64 ? high : low;
    to->next += total >> 6 << 3;
    to->used = total & 63;
}

PLEACH_INLINE void append_quotient(bit_writer *to, uint32_t quotient) {
    for (; quotient >= 64; quotient -= 64) append(to, 0, 64);
    append(to, (uint64_t)1 << quotient, quotient + 1);
}

PLEACH_INLINE size_t finish(bit_writer *to, uint8_t *start) {
    store_64(to->word, to->next);
    return (size_t)(to->next - start) + (to->used + 7) / 8;
}

// Quotients, or 255 for greater ones, in eights. The multiplication adds up quotient + 1 over the bytes, so byte i says
// behind which bit number i's one stands. Quotients below 32 keep the sums from carrying; where all eight are 31, the
// last sum wraps to 0. A length that is not 1 to 64 marks a group to be written number by number.
enum { batch = 64 };
PLEACH_INLINE void quotient_groups(const uint8_t *quotients, uint64_t *patterns, uint64_t *lengths) {
    for (size_t group = 0; group < batch; group++) {
        uint64_t eight = load_64(quotients + 8 * group);
        uint64_t sums = (eight + 0x0101010101010101u) * 0x0101010101010101u, pattern = 0;
        for (int place = 0; place < 64; place += 8) pattern |= (uint64_t)1 << ((sums >> place) - 1 & 63);
        patterns[group] = pattern;
        lengths[group] = (eight & 0xe0e0e0e0e0e0e0e0u) == 0 ? sums >> 56 : 0;
    }
}

// One of `numbers` and `bytes` is null; `quotients` are padded to whole batches.
PLEACH_INLINE size_t encode_quotients(
    const uint8_t *quotients, const uint32_t *numbers, const uint8_t *bytes, size_t count, unsigned k, uint8_t *out) {
    bit_writer to = {out, 0, 0};
    for (size_t start = 0; start < count; start += 8 * batch) {
        uint64_t patterns[batch], lengths[batch];
        quotient_groups(quotients + start, patterns, lengths);
        for (size_t group = 0, i = start; group < batch && i < count; group++, i += 8) {
            if (__builtin_expect(lengths[group] - 1 < 64 && i + 8 <= count, 1)) {
                append(&to, patterns[group], (unsigned)lengths[group]);
                continue;
            }
            for (size_t end = count - i < 8 ? count : i + 8, j = i; j < end; j++)
                append_quotient(&to, numbers ? numbers[j] >> k : (uint32_t)bytes[j] >> k);
        }
    }
    return finish(&to, out);
}

PLEACH_CLONES size_t pleach_rice_encode_bytes(const uint8_t *v, size_t count, unsigned k, uint8_t *out) {
    uint8_t quotients[segment];
    if (k > 0) pleach_pack_codes((const int8_t *)v, count, k, out);
    for (size_t i = 0; i < count; i++) quotients[i] = v[i] >> k;
    memset(quotients + count, 0, segment - count);
    return encode_quotients(quotients, 0, v, count, k, out + (count * k + 7) / 8);
}

PLEACH_CLONES size_t pleach_rice_encode(const uint32_t *v, size_t count, unsigned k, uint8_t *out) {
    uint8_t narrow[segment];
    const uint32_t mask = ((uint32_t)1 << k) - 1;
    if (k > 8) {
        bit_writer to = {out, 0, 0};
        size_t i = 0;
        for (; i + 2 <= count; i += 2) append(&to, (v[i] & mask) | (uint64_t)(v[i + 1] & mask) << k, 2 * k);
        if (i < count) append(&to, v[i] & mask, k);
        finish(&to, out);
    } else if (k > 0) {
        for (size_t i = 0; i < count; i++) narrow[i] = (uint8_t)v[i];
        pleach_pack_codes((const int8_t *)narrow, count, k, out);
    }
    for (size_t i = 0; i < count; i++) narrow[i] = (uint8_t)(v[i] >> k < 255 ? v[i] >> k : 255);
    memset(narrow + count, 0, segment - count);
    return encode_quotients(narrow, v, 0, count, k, out + (count * k + 7) / 8);
}

// Both decoders: what the bytes must be whatever the numbers are.
PLEACH_INLINE bool is_segment(
    const uint8_t *remainders, const uint8_t *quotients, size_t quotient_bytes, unsigned k, size_t count) {
    if (k > 30 || count == 0 || count > segment) return false;
    if (quotient_bytes == 0 || quotient_bytes >= (size_t)1 << 29) return false;  // Places have 32 bits.
    const size_t bits = count * k;
    return quotients[quotient_bytes - 1] != 0 && (bits % 8 == 0 || remainders[bits / 8] >> bits % 8 == 0);
}

// Stores the places of a byte's ones behind those `found` so far: always eight, of which as many count as there are.
#define FIND_PLACES(store) \
    size_t found = 0; \
    for (size_t byte = 0; byte < quotient_bytes; byte++) { \
        if (__builtin_expect(found > count, 0)) return false; \
        const uint64_t ones = places_of_ones[quotients[byte]]; \
        store; \
        found += (size_t)__builtin_popcount(quotients[byte]); \
    } \
    if (found != count) return false;

PLEACH_CLONES bool pleach_rice_decode_bytes(
    const uint8_t *remainders, const uint8_t *quotients, size_t quotient_bytes, unsigned k, uint32_t limit,
    uint8_t *out, size_t count) {
    limit = limit < 255 ? limit : 255;
    // Places modulo 256, the one before the first being −1. Were a quotient 256 or more, the sum would be too small.
    uint8_t places[segment + 17], low[segment];
    if (!is_segment(remainders, quotients, quotient_bytes, k, count)) return false;
    places[0] = 255;
    FIND_PLACES(store_64(ones + (byte * 8 & 255) * 0x0101010101010101u, places + 1 + found))
    if (k > 0)
        pleach_unpack_codes(remainders, 0, count, k, false, (int8_t *)low);
    else
        memset(low, 0, count);
    uint32_t sum = 0;
    uint8_t most = 0, largest = 0;
    for (size_t i = 0; i < count; i++) {
        uint8_t quotient = (uint8_t)(places[i + 1] - places[i] - 1);
        uint8_t number = (uint8_t)(quotient << k | low[i]);
        sum += quotient;
        most = quotient > most ? quotient : most;
        largest = number > largest ? number : largest;
        out[i] = number;
    }
    const size_t last = quotient_bytes * 8 - 1 - (size_t)(__builtin_clz(quotients[quotient_bytes - 1]) - 24);
    return sum + count == last + 1 && most <= limit >> k && largest <= limit;
}

PLEACH_CLONES bool pleach_rice_decode(
    const uint8_t *remainders, const uint8_t *quotients, size_t quotient_bytes, unsigned k, uint32_t limit,
    uint32_t *out, size_t count) {
    uint32_t places[segment + 17];
    uint8_t low[segment];
    if (!is_segment(remainders, quotients, quotient_bytes, k, count)) return false;
    places[0] = 0xffffffffu;
    FIND_PLACES(store_places(ones, (uint32_t)(byte * 8), places + 1 + found))
    if (k > 8) {
        const size_t byte_count = (count * k + 7) / 8;
        const uint64_t mask = ((uint64_t)1 << k) - 1;
        size_t i = 0;
        for (; i < count && (i * k >> 3) + 8 <= byte_count; i++)
            out[i] = (uint32_t)(load_64(remainders + (i * k >> 3)) >> (i * k & 7) & mask);
        for (; i < count; i++) {
            uint64_t word = 0;
            for (size_t byte = i * k >> 3; byte < byte_count; byte++)
                word |= (uint64_t)remainders[byte] << 8 * (byte - (i * k >> 3));
            out[i] = (uint32_t)(word >> (i * k & 7) & mask);
        }
    } else {
        if (k > 0)
            pleach_unpack_codes(remainders, 0, count, k, false, (int8_t *)low);
        else
            memset(low, 0, count);
        for (size_t i = 0; i < count; i++) out[i] = low[i];
    }
    uint32_t most = 0, largest = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t quotient = places[i + 1] - places[i] - 1, number = quotient << k | out[i];
        most = quotient > most ? quotient : most;
        largest = number > largest ? number : largest;
        out[i] = number;
    }
    return most <= limit >> k && largest <= limit;
}
