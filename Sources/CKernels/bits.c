#include "places.h"

// The 64 bits from `cursor` on, zero beyond the end; at least 57 of them are valid within the stream.
PLEACH_INLINE uint64_t window_at(const uint8_t *bytes, size_t byte_count, uint64_t cursor) {
    size_t byte = (size_t)(cursor >> 3);
    uint64_t window = 0;
    if (byte + 8 <= byte_count) {
        memcpy(&window, bytes + byte, 8);
        window = little_endian(window);
    } else {
        for (size_t i = byte; i < byte_count; i++) window |= (uint64_t)bytes[i] << 8 * (i - byte);
    }
    return window >> (cursor & 7);
}

PLEACH_CLONES void pleach_unpack_12(const uint8_t *bytes, size_t first, size_t count, uint32_t *out) {
    bytes += first / 2 * 3;
    for (size_t pair = 0; pair < count / 2; pair++) {
        uint32_t middle = bytes[3 * pair + 1];
        out[2 * pair] = bytes[3 * pair] | (middle & 15u) << 8;
        out[2 * pair + 1] = middle >> 4 | (uint32_t)bytes[3 * pair + 2] << 4;
    }
    if (count & 1) out[count - 1] = bytes[count / 2 * 3] | (bytes[count / 2 * 3 + 1] & 15u) << 8;
}

PLEACH_CLONES void pleach_pack_12(const uint32_t *numbers, size_t count, uint8_t *out) {
    for (size_t pair = 0; pair < count / 2; pair++) {
        uint32_t both = numbers[2 * pair] | numbers[2 * pair + 1] << 12;
        out[3 * pair] = (uint8_t)both;
        out[3 * pair + 1] = (uint8_t)(both >> 8);
        out[3 * pair + 2] = (uint8_t)(both >> 16);
    }
    if (count & 1) {
        out[count / 2 * 3] = (uint8_t)numbers[count - 1];
        out[count / 2 * 3 + 1] = (uint8_t)(numbers[count - 1] >> 8);
    }
}

PLEACH_CLONES size_t pleach_next_ones(
    const uint8_t *bits, size_t bit_count, size_t *cursor, uint32_t *out, size_t count) {
    const size_t byte_count = (bit_count + 7) / 8;
    size_t position = *cursor, written = 0;
    while (written < count && position < bit_count) {
        // Whole bytes while there is room for eight: no branch depends on the bits.
        for (; position % 8 == 0 && position + 8 <= bit_count && written + 8 <= count; position += 8) {
            store_places(places_of_ones[bits[position / 8]], (uint32_t)position, out + written);
            written += (size_t)__builtin_popcount(bits[position / 8]);
        }
        uint64_t window = window_at(bits, byte_count, position);
        size_t width = 64 - (position & 7);
        for (; window != 0 && written < count; window &= window - 1) {
            out[written] = (uint32_t)(position + (size_t)__builtin_ctzll(window));
            written += out[written] < bit_count;
        }
        // When `out` is full in mid-window, go on right behind the last bit taken.
        position = window != 0 && written > 0 ? out[written - 1] + (size_t)1 : position + width;
    }
    *cursor = position < bit_count ? position : bit_count;
    return written;
}

PLEACH_CLONES size_t pleach_count_ones(const uint8_t *bits, size_t byte_count) {
    size_t ones = 0, byte = 0;
    for (; byte + 8 <= byte_count; byte += 8) {
        uint64_t word;
        memcpy(&word, bits + byte, 8);
        ones += (size_t)__builtin_popcountll(word);
    }
    for (; byte < byte_count; byte++) ones += (size_t)__builtin_popcount(bits[byte]);
    return ones;
}

PLEACH_CLONES bool pleach_select_ones(
    const uint8_t *bits, size_t byte_count, size_t *byte, size_t *rank, uint32_t *ranks, size_t count) {
    size_t here = *byte, before = *rank;
    for (size_t i = 0; i < count; i++) {
        size_t wanted = ranks[i];
        for (; here + 8 <= byte_count; here += 8) {
            uint64_t word;
            memcpy(&word, bits + here, 8);
            size_t ones = (size_t)__builtin_popcountll(word);
            if (before + ones > wanted) break;
            before += ones;
        }
        for (; here < byte_count; here++) {
            size_t ones = (size_t)__builtin_popcount(bits[here]);
            if (before + ones > wanted) break;
            before += ones;
        }
        if (here >= byte_count || wanted < before) return false;
        uint32_t rest = bits[here];
        for (size_t skip = wanted - before; skip > 0; skip--) rest &= rest - 1;
        ranks[i] = (uint32_t)(here * 8 + (size_t)__builtin_ctz(rest));
    }
    *byte = here;
    *rank = before;
    return true;
}

size_t pleach_gather_ones(const float *x, const uint8_t *bits, size_t bit_count, float *out) {
    // Writing every element and advancing behind those wanted has no branch to mispredict, but overwrites what follows:
    // not at the end.
    const size_t total = pleach_count_ones(bits, bit_count / 8);
    size_t written = 0, start = 0;
    for (; start + 8 <= bit_count && written + 8 <= total; start += 8)
        for (size_t bit = 0; bit < 8; bit++) {
            out[written] = x[start + bit];
            written += bits[start / 8] >> bit & 1u;
        }
    for (; start < bit_count; start += 8)
        for (uint32_t rest = bits[start / 8]; rest != 0; rest &= rest - 1)
            out[written++] = x[start + (size_t)__builtin_ctz(rest)];
    return written;
}
