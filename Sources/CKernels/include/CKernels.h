// The hot loops of the update codec and the fold, in plain C that the compiler vectorises.
//
// Invariants: every function is pure but for its output pointers, never allocates, and gives the same bits on every
// processor: sums have a fixed order of eight lanes, nothing is contracted to a fused multiply-add. Callers pass
// pointers that hold what the counts say; functions that read coded streams check every bound themselves.
// Bits are numbered from the least significant one of byte 0 upwards.
#ifndef CKERNELS_H
#define CKERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Reductions (reduce.c)

/// The largest bit pattern of |x|: order-preserving, and at least 0x7f800000 when an element is infinite or NaN.
uint32_t pleach_absmax_bits(const float *x, size_t count);
/// The same, and how many elements are not zero.
uint32_t pleach_survey(const float *x, size_t count, size_t *nonzero);
/// Σ|x| in double, eight lanes.
double pleach_sum_abs(const float *x, size_t count);
/// Σx² in double, eight lanes.
double pleach_sum_squares(const float *x, size_t count);
/// How many elements are not zero.
size_t pleach_count_nonzero(const float *x, size_t count);
/// sum += x.
void pleach_add(float *sum, const float *x, size_t count);
/// out = a − b.
void pleach_subtract(const float *a, const float *b, float *out, size_t count);

// Selection (select.c)

/// Counts |x|'s bit patterns by the bits [shift, shift + 11) among those whose higher bits equal `prefix`.
void pleach_magnitude_histogram(const float *x, size_t count, unsigned shift, uint32_t prefix, uint32_t bins[2048]);
/// Writes the indices, ascending, of elements whose |x| has bits above `threshold`, and of the first `ties` ones with
/// exactly these bits. `out` needs room for one more than the number written, which is returned.
size_t pleach_select(const float *x, size_t count, uint32_t threshold, size_t ties, uint32_t *out);

// Quantization (quantize.c). Block b holds elements [b·block, (b+1)·block); `first` is the index of x[0] and out[0].

/// out = the integer nearest to x·inverse (ties to even), within ±levels.
void pleach_quantize(const float *x, size_t count, double inverse, double levels, int8_t *out);
/// out = floor(x·inverse + u) within ±levels, so E[out] = x·inverse: u in [0, 1) is SplitMix64's output at
/// counter + index.
void pleach_quantize_stochastic(
    const float *x, size_t count, double inverse, double levels, uint64_t counter, uint64_t first, int8_t *out);
/// out = code · half(scales[block]) · factor. `scales` are little-endian binary16 and need no alignment.
void pleach_dequantize(
    const int8_t *codes, size_t count, const uint8_t *scales, float factor, size_t block, size_t first, float *out);
/// out = ±half(scales[block]) · factor, negative where bit `first + i` of `signs` is 1.
void pleach_dequantize_signs(
    const uint8_t *signs, size_t count, const uint8_t *scales, float factor, size_t block, size_t first, float *out);
/// Packs codes of −7...7 two a byte, the first in the low half, as two's complement.
void pleach_pack_int4(const int8_t *codes, size_t count, uint8_t *out);
/// Unpacks `count` codes, the first being number `first`.
void pleach_unpack_int4(const uint8_t *bytes, size_t first, size_t count, int8_t *out);
/// The smallest code, 127 when count is 0.
int8_t pleach_minimum_code(const int8_t *codes, size_t count);
/// counts[q + 128] = how many codes are q. At most 2^32 − 1 codes.
void pleach_count_codes(const int8_t *codes, size_t count, uint32_t counts[256]);
/// out[i] = 2·q for q >= 0, −2·q − 1 for q < 0.
void pleach_fold_signs(const int8_t *codes, size_t count, uint32_t *out);
/// The inverse of `pleach_fold_signs`, for values up to 254.
void pleach_unfold_signs(const uint32_t *folded, size_t count, int8_t *out);
/// Sets bit i of the zeroed `out` where x[i] is negative.
void pleach_sign_bits(const float *x, size_t count, uint8_t *out);

// Half precision (half.c)

/// out = little-endian binary16 of x·factor, ties to even. |x·factor| must be at most 65504.
void pleach_to_half(const float *x, size_t count, float factor, uint8_t *out);
/// out = half · factor. Infinities and NaNs in `bytes` become infinite or NaN.
void pleach_from_half(const uint8_t *bytes, size_t count, float factor, float *out);

// Fold (fold.c)

/// sum += weight · round-half-even(x·2^30). |x| <= 256.
void pleach_fold_add(int64_t *sum, const float *x, size_t count, int64_t weight);
/// sum[index[i]] += weight · round-half-even(x[i]·2^30). |x| <= 256.
void pleach_fold_add_at(int64_t *sum, const uint32_t *index, const float *x, size_t count, int64_t weight);
/// out = float(double(sum) / divisor).
void pleach_fold_mean(const int64_t *sum, size_t count, double divisor, float *out);

// Bit streams (bits.c)

/// Σ(v >> k).
uint64_t pleach_sum_shifted(const uint32_t *v, size_t count, unsigned k);
/// Writes Rice codes (v >> k ones, a zero, the k low bits) and returns the bytes used. `out` must hold them and 8 more.
size_t pleach_rice_encode(const uint32_t *v, size_t count, unsigned k, uint8_t *out);
/// Reads `count` Rice codes from bit `*cursor` on. False when the stream ends first or a value exceeds `limit`.
bool pleach_rice_decode(
    const uint8_t *bytes, size_t byte_count, uint64_t *cursor, unsigned k, uint32_t limit, uint32_t *out,
    size_t count);
/// Writes the indices of the next `count` 1 bits at or after `*cursor`; returns how many there were.
size_t pleach_next_ones(const uint8_t *bits, size_t bit_count, size_t *cursor, uint32_t *out, size_t count);
/// Replaces each rank (ascending) by the index of the 1 bit with that rank. The pair `*byte`, `*rank` remembers how many
/// 1 bits lie before a byte, from call to call. False when there are not that many 1 bits.
bool pleach_select_ones(
    const uint8_t *bits, size_t byte_count, size_t *byte, size_t *rank, uint32_t *ranks, size_t count);
/// How many bits are 1.
size_t pleach_count_ones(const uint8_t *bits, size_t byte_count);
/// out[i] = x[index of the i-th 1 bit]; returns how many.
size_t pleach_gather_ones(const float *x, const uint8_t *bits, size_t bit_count, float *out);

#endif
