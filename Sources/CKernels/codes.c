#include "dispatch.h"

// Eight codes make `bits` bytes. In a 64-bit word, codes that stand a byte apart are brought together in three steps,
// which double what each part of the word holds; unpacking goes the other way. Batches of words let the steps run as
// vectors, while loads and stores at odd distances stay scalar.
enum { batch = 64 };

// The lowest `bits` of every `period` bits.
PLEACH_INLINE uint64_t fields(unsigned bits, unsigned period) {
    uint64_t mask = 0;
    for (unsigned place = 0; place < 64; place += period) mask |= (((uint64_t)1 << bits) - 1) << place;
    return mask;
}

// Of every two neighbours of `bits` bits, `from` bits apart, the upper one moves until it is `to` bits above the lower.
PLEACH_INLINE uint64_t moved(uint64_t word, unsigned bits, unsigned from, unsigned to, unsigned period) {
    const uint64_t lower = fields(bits, period);
    return (word & lower) | ((from > to ? word >> (from - to) : word << (to - from)) & lower << to);
}

PLEACH_INLINE uint64_t packed(uint64_t word, unsigned bits) {
    word = moved(word, bits, 8, bits, 16);
    word = moved(word, 2 * bits, 16, 2 * bits, 32);
    return moved(word, 4 * bits, 32, 4 * bits, 64);
}

PLEACH_INLINE uint64_t unpacked(uint64_t word, unsigned bits, bool is_signed) {
    word = moved(word, 4 * bits, 4 * bits, 32, 64);
    word = moved(word, 2 * bits, 2 * bits, 16, 32);
    word = moved(word, bits, bits, 8, 16);
    if (!is_signed) return word;
    // Per byte (v ^ sign) − sign; the top bits keep borrows from reaching the next byte.
    const uint64_t sign = fields(1, 8) << (bits - 1), top = fields(1, 8) << 7;
    return (((word ^ sign) | top) - sign) ^ top;
}

PLEACH_INLINE uint64_t load_word(const void *bytes, size_t size) {
    uint64_t word = 0;
    memcpy(&word, bytes, size);
    return little_endian(word);
}

PLEACH_INLINE void store_word(uint64_t word, void *bytes, size_t size) {
    word = little_endian(word);
    memcpy(bytes, &word, size);
}

PLEACH_INLINE void pack(const int8_t *codes, size_t count, unsigned bits, uint8_t *out) {
    // 1, 2 and 4 bits fill their words' places exactly, so neighbours may be stored together.
    const bool exact = bits == 1 || bits == 2 || bits == 4;
    const size_t slack = exact ? 0 : (8 + bits - 1) / bits;  // groups behind one that a whole word's store overlaps
    size_t group = 0;
    for (; (group + batch + slack) * 8 <= count; group += batch) {
        uint64_t words[batch];
        for (size_t i = 0; i < batch; i++) words[i] = packed(load_word(codes + (group + i) * 8, 8), bits);
        for (size_t i = 0; i < batch; i++) store_word(words[i], out + (group + i) * bits, exact ? bits : 8);
    }
    for (; group * 8 < count; group++) {
        size_t rest = count - group * 8 < 8 ? count - group * 8 : 8;
        store_word(packed(load_word(codes + group * 8, rest), bits), out + group * bits, (rest * bits + 7) / 8);
    }
}

PLEACH_INLINE void unpack(const uint8_t *bytes, size_t count, unsigned bits, bool is_signed, int8_t *out) {
    size_t group = 0;
    if (bits == 1 || bits == 2 || bits == 4) {
        for (; (group + batch) * 8 <= count; group += batch) {
            uint64_t words[batch];
            for (size_t i = 0; i < batch; i++) words[i] = load_word(bytes + (group + i) * bits, bits);
            for (size_t i = 0; i < batch; i++)
                store_word(unpacked(words[i], bits, is_signed), out + (group + i) * 8, 8);
        }
    } else {
        // Eight bytes are read for the sake of `bits`: only as long as that stays within whole groups. Vectors would
        // have to be gathered, which takes longer than the steps do.
#pragma clang loop vectorize(disable)
        for (; (group * bits + 8) <= count / 8 * bits; group++)
            store_word(unpacked(load_word(bytes + group * bits, 8), bits, is_signed), out + group * 8, 8);
    }
    for (; group * 8 < count; group++) {
        size_t rest = count - group * 8 < 8 ? count - group * 8 : 8;
        uint64_t word = load_word(bytes + group * bits, (rest * bits + 7) / 8);
        store_word(unpacked(word, bits, is_signed), out + group * 8, rest);
    }
}

PLEACH_CLONES void pleach_pack_codes(const int8_t *codes, size_t count, unsigned bits, uint8_t *out) {
    switch (bits) {
        case 1: pack(codes, count, 1, out); break;
        case 2: pack(codes, count, 2, out); break;
        case 3: pack(codes, count, 3, out); break;
        case 4: pack(codes, count, 4, out); break;
        case 5: pack(codes, count, 5, out); break;
        case 6: pack(codes, count, 6, out); break;
        case 7: pack(codes, count, 7, out); break;
        default: memcpy(out, codes, count);
    }
}

PLEACH_CLONES void pleach_unpack_codes(
    const uint8_t *bytes, size_t first, size_t count, unsigned bits, bool is_signed, int8_t *out) {
    bytes += first / 8 * bits;
    switch (is_signed ? bits : bits + 8) {
        case 1: unpack(bytes, count, 1, true, out); break;
        case 2: unpack(bytes, count, 2, true, out); break;
        case 3: unpack(bytes, count, 3, true, out); break;
        case 4: unpack(bytes, count, 4, true, out); break;
        case 5: unpack(bytes, count, 5, true, out); break;
        case 6: unpack(bytes, count, 6, true, out); break;
        case 7: unpack(bytes, count, 7, true, out); break;
        case 9: unpack(bytes, count, 1, false, out); break;
        case 10: unpack(bytes, count, 2, false, out); break;
        case 11: unpack(bytes, count, 3, false, out); break;
        case 12: unpack(bytes, count, 4, false, out); break;
        case 13: unpack(bytes, count, 5, false, out); break;
        case 14: unpack(bytes, count, 6, false, out); break;
        case 15: unpack(bytes, count, 7, false, out); break;
        default: memcpy(out, bytes, count);
    }
}

PLEACH_CLONES void pleach_code_range(const int8_t *codes, size_t count, int8_t *smallest, int8_t *largest) {
    int8_t least = 127, most = -128;
    for (size_t i = 0; i < count; i++) {
        least = codes[i] < least ? codes[i] : least;
        most = codes[i] > most ? codes[i] : most;
    }
    *smallest = least;
    *largest = most;
}

PLEACH_CLONES uint8_t pleach_largest_byte(const uint8_t *codes, size_t count) {
    uint8_t most = 0;
    for (size_t i = 0; i < count; i++) most = codes[i] > most ? codes[i] : most;
    return most;
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
        counts[code] += tables[0][code] + tables[1][code] + tables[2][code] + tables[3][code];
}

PLEACH_CLONES void pleach_fold_signs(const int8_t *codes, size_t count, unsigned floor, uint8_t *out) {
    if (floor == 0) {
        for (size_t i = 0; i < count; i++) out[i] = (uint8_t)((uint8_t)codes[i] << 1 ^ (codes[i] < 0 ? 255 : 0));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        uint8_t magnitude = (uint8_t)(codes[i] < 0 ? -codes[i] : codes[i]);
        out[i] = (uint8_t)((uint8_t)(magnitude - floor) << 1 | (codes[i] < 0));
    }
}

PLEACH_CLONES void pleach_unfold_signs(const uint8_t *folded, size_t count, unsigned floor, int8_t *out) {
    if (floor == 0) {
        for (size_t i = 0; i < count; i++) out[i] = (int8_t)(uint8_t)(folded[i] >> 1 ^ (0u - (folded[i] & 1u)));
        return;
    }
    for (size_t i = 0; i < count; i++) {
        uint8_t magnitude = (uint8_t)((folded[i] >> 1) + floor);
        out[i] = (int8_t)(folded[i] & 1 ? (uint8_t)-magnitude : magnitude);
    }
}
