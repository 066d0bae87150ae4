#include "dispatch.h"

PLEACH_CLONES uint64_t pleach_sum_shifted(const uint32_t *v, size_t count, unsigned k) {
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++) sum += v[i] >> k;
    return sum;
}

size_t pleach_rice_encode(const uint32_t *v, size_t count, unsigned k, uint8_t *out) {
    uint64_t pending = 0;
    unsigned used = 0;  // bits of `pending` that are written, below 8 between codes
    uint8_t *next = out;
    for (size_t i = 0; i < count; i++) {
        uint32_t ones = v[i] >> k;
        for (; ones >= 24; ones -= 24) {
            pending |= (uint64_t)0xffffffu << used;
            for (int byte = 0; byte < 3; byte++, pending >>= 8) *next++ = (uint8_t)pending;
        }
        pending |= (((uint64_t)1 << ones) - 1) << used;
        used += ones + 1;
        pending |= (uint64_t)(v[i] & (((uint32_t)1 << k) - 1)) << used;
        used += k;
        for (; used >= 8; used -= 8, pending >>= 8) *next++ = (uint8_t)pending;
    }
    if (used > 0) *next++ = (uint8_t)pending;
    return (size_t)(next - out);
}

// The 64 bits from `cursor` on, zero beyond the end; at least 57 of them are valid within the stream.
PLEACH_INLINE uint64_t window_at(const uint8_t *bytes, size_t byte_count, uint64_t cursor) {
    size_t byte = (size_t)(cursor >> 3);
    uint64_t window = 0;
    if (byte + 8 <= byte_count) {
        memcpy(&window, bytes + byte, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        window = __builtin_bswap64(window);
#endif
    } else {
        for (size_t i = byte; i < byte_count; i++) window |= (uint64_t)bytes[i] << 8 * (i - byte);
    }
    return window >> (cursor & 7);
}

bool pleach_rice_decode(
    const uint8_t *bytes, size_t byte_count, uint64_t *cursor, unsigned k, uint32_t limit, uint32_t *out,
    size_t count) {
    const uint64_t end = (uint64_t)byte_count * 8;
    const uint32_t most_ones = limit >> k;
    uint64_t position = *cursor;
    for (size_t i = 0; i < count; i++) {
        if (position >= end) return false;
        uint64_t window = window_at(bytes, byte_count, position);
        uint64_t ones = (uint64_t)__builtin_ctzll(~window | (uint64_t)1 << 63);
        if (ones + 1 + k <= 57) {
            window >>= ones + 1;
        } else {
            // A long run of ones, or few bits left in the window: count in steps of 32, then look again.
            ones = 0;
            while (((window = window_at(bytes, byte_count, position + ones)) & 0xffffffffu) == 0xffffffffu) {
                ones += 32;
                if (ones > most_ones || position + ones >= end) return false;
            }
            ones += (uint64_t)__builtin_ctzll(~window);
            if (position + ones >= end) return false;
            window = window_at(bytes, byte_count, position + ones + 1);
        }
        position += ones + 1 + k;
        if (position > end || ones > most_ones) return false;
        uint64_t value = ones << k | (window & (((uint64_t)1 << k) - 1));
        if (value > limit) return false;
        out[i] = (uint32_t)value;
    }
    *cursor = position;
    return true;
}

size_t pleach_next_ones(const uint8_t *bits, size_t bit_count, size_t *cursor, uint32_t *out, size_t count) {
    const size_t byte_count = (bit_count + 7) / 8;
    size_t position = *cursor, written = 0;
    while (written < count && position < bit_count) {
        uint64_t window = window_at(bits, byte_count, position);
        size_t width = 64 - (position & 7);
        while (window != 0 && written < count) {
            out[written] = (uint32_t)(position + (size_t)__builtin_ctzll(window));
            written += out[written] < bit_count;
            window &= window - 1;
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
    size_t written = 0;
    for (size_t start = 0; start < bit_count; start += 8)
        for (uint32_t rest = bits[start / 8]; rest != 0; rest &= rest - 1)
            out[written++] = x[start + (size_t)__builtin_ctz(rest)];
    return written;
}
