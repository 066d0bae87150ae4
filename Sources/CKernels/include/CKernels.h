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
/// largest[b] = the largest bit pattern of |x| in block b, for ⌈count/block⌉ blocks; returns the largest of all, and how
/// many elements are not zero.
uint32_t pleach_block_survey(const float *x, size_t count, size_t block, uint32_t *largest, size_t *nonzero);
/// Σ|x| in double, eight lanes.
double pleach_sum_abs(const float *x, size_t count);
/// Σx² in double, eight lanes.
double pleach_sum_squares(const float *x, size_t count);
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

/// counts[bits of |x| >> 20] += 1 for one element of each `stride` (at a place that looks random; the last stretch may be
/// shorter): 2,048 bins of an exponent and 3 bits. stride 1 counts all; stride < 2^32.
void pleach_sample_magnitudes(const float *x, size_t count, size_t stride, uint32_t counts[2048]);
/// Writes index and value of every element whose |x| has bits >= `threshold`, as long as there is room: at most `capacity`
/// are written (the buffers need room for 64 more), and the number found is returned, which may be greater.
size_t pleach_collect(
    const float *x, size_t count, uint32_t threshold, size_t capacity, uint32_t *indices, float *values);

// Quantization (quantize.c). Block b holds elements [b·block, (b+1)·block); `first` is the index of x[0] and out[0].
// Scales are little-endian binary16 and need no alignment; scale s of a block is half(scales[block]) · factor.

/// How codes are made of x / s.
typedef struct {
    int levels;       ///< Codes are within ±levels; for half steps within −levels − 1 ... levels.
    bool half_steps;  ///< Levels lie half a step beside the integers: q = round(x/s − ½), and q stands for (q + ½)·s.
    bool stochastic;  ///< floor(x/s + u) instead of round(x/s), with u in [0, 1).
    uint64_t counter;  ///< u of element i is the upper 52 bits of output number first + i of SplitMix64 seeded with it.
} pleach_rounding;

/// out = code of x in blocks with these scales (0 where a scale is 0; ties to even). x/s is x · r in float32, r being 1/s
/// computed in double and rounded to float32; where that is not a normal number, and for stochastic codes, it is x · (1/s)
/// in double. What is infinite or NaN gets some code within the levels.
void pleach_quantize(
    const float *x, size_t count, const uint8_t *scales, float factor, size_t block, size_t first,
    pleach_rounding rounding, int8_t *out);
/// out = code · s, or (code + ½) · s.
void pleach_dequantize(
    const int8_t *codes, size_t count, const uint8_t *scales, float factor, size_t block, size_t first, bool half_steps,
    float *out);
/// out = ±s, negative where bit `first + i` of `signs` is 1.
void pleach_dequantize_signs(
    const uint8_t *signs, size_t count, const uint8_t *scales, float factor, size_t block, size_t first, float *out);
/// The step s that quantizes x with least squared error, of those with largest = f · s · (levels, or levels + ½ for half
/// steps) for f in 1, 0.95, 0.9, … 0.3 (the step is largest·f / that): returned in double. `largest` = max |x| > 0. Of
/// equally good ones the largest. Errors are summed in float32 and double, in a fixed order.
double pleach_least_squares_step(const float *x, size_t count, float largest, int levels, bool half_steps);
/// Sets bit i of the zeroed `out` where x[i] has its sign bit set (as −0 has).
void pleach_sign_bits(const float *x, size_t count, uint8_t *out);
/// The same, but x[i] is negative with probability (1 − x/s)/2, so that ±s is x on average; |x| <= s. Writes
/// ⌈count/8⌉ bytes, zeroed or not.
void pleach_sign_bits_stochastic(
    const float *x, size_t count, const uint8_t *scales, float factor, size_t block, uint64_t counter, uint64_t first,
    uint8_t *out);

/// out[i] = number of the level nearest to x/s (the lower of two equally near): how many of the means of neighbouring levels
/// are below x/s, all in float32, x/s as in `pleach_quantize` and 0 where s is 0. `levels` ascend; there are 1 to 256.
void pleach_quantize_levels(
    const float *x, size_t count, const uint8_t *scales, float factor, size_t block, size_t first, const float *levels,
    size_t level_count, uint8_t *out);
/// The same, one of the two neighbouring levels at random, so that the level is x/s on average (beyond the ends: the end).
void pleach_quantize_levels_stochastic(
    const float *x, size_t count, const uint8_t *scales, float factor, size_t block, size_t first, const float *levels,
    size_t level_count, uint64_t counter, uint8_t *out);
/// out = levels[code] · s. Codes are below `level_count`, of which `levels` has 256 entries whatever their number.
void pleach_dequantize_levels(
    const uint8_t *codes, size_t count, const uint8_t *scales, float factor, size_t block, size_t first, const float *levels,
    float *out);

/// The Walsh-Hadamard transform of 2^log2 values in place, not normalised: for h = 1, 2, 4, ... pairs at distance h become
/// (a + b, a − b), each rounded to float32.
void pleach_hadamard(float *x, unsigned log2);
/// Flips the sign of x[i] where bit (first + i) mod 64 of SplitMix64's output number (first + i)/64 is 1, and multiplies by
/// `factor` (a power of two).
void pleach_random_signs(float *x, size_t count, uint64_t seed, uint64_t first, float factor);

// Sums over codes (sums.c)

/// Σ(v >> k), for choosing a Rice parameter.
uint64_t pleach_sum_shifted_bytes(const uint8_t *v, size_t count, unsigned k);
/// The smallest |code|, 128 when count is 0.
uint8_t pleach_smallest_magnitude(const int8_t *codes, size_t count);

// Codes as bits (codes.c)

/// Packs codes of `bits` (1 to 8) each, the lowest bits first, in two's complement. Writes ⌈count·bits/8⌉ bytes, spare bits 0.
void pleach_pack_codes(const int8_t *codes, size_t count, unsigned bits, uint8_t *out);
/// Unpacks `count` codes from code number `first`, a multiple of 8, on; signed ones are sign-extended. Reads no byte beyond
/// ⌈(first + count)·bits/8⌉.
void pleach_unpack_codes(
    const uint8_t *bytes, size_t first, size_t count, unsigned bits, bool is_signed, int8_t *out);
/// Smallest and largest code, 127 and −128 when count is 0.
void pleach_code_range(const int8_t *codes, size_t count, int8_t *smallest, int8_t *largest);
/// The largest of unsigned codes, 0 when count is 0.
uint8_t pleach_largest_byte(const uint8_t *codes, size_t count);
/// counts[q + 128] += how many codes are q. At most 2^32 − 1 codes.
void pleach_count_codes(const int8_t *codes, size_t count, uint32_t counts[256]);
/// Rice numbers of codes: with floor 0, 2q for q >= 0 and −2q − 1 for q < 0; with floor f >= 1 (then every |q| >= f),
/// 2(q − f) and 2(−q − f) + 1. They fit 8 bits.
void pleach_fold_signs(const int8_t *codes, size_t count, unsigned floor, uint8_t *out);
/// The inverse of `pleach_fold_signs`.
void pleach_unfold_signs(const uint8_t *folded, size_t count, unsigned floor, int8_t *out);

// Half precision (half.c)

/// out = little-endian binary16 of x·factor, ties to even. |x·factor| must be at most 65504.
void pleach_to_half(const float *x, size_t count, float factor, uint8_t *out);
/// out = half · factor. Infinities and NaNs in `bytes` become infinite or NaN.
void pleach_from_half(const uint8_t *bytes, size_t count, float factor, float *out);

/// out = the upper half of x's bits, rounded to nearest, ties to even, little-endian. x must not round to infinity.
void pleach_to_bfloat(const float *x, size_t count, uint8_t *out);
void pleach_from_bfloat(const uint8_t *bytes, size_t count, float *out);

// Fold (fold.c)

/// sum += weight · round-half-even(code·s · 2^30), as `pleach_dequantize` and `pleach_fold_add` would do it, for whole steps.
void pleach_fold_codes(
    int64_t *sum, const int8_t *codes, size_t count, const uint8_t *scales, float factor, size_t block, size_t first,
    int64_t weight);
/// The largest |code·s| and Σ(code·s)² on top of what `largest` and `squares` hold, per block from integers: s²·Σcode² is
/// added block by block, so the sum is that of exact squares up to rounding in double. Whole steps.
void pleach_measure_codes(
    const int8_t *codes, size_t count, const uint8_t *scales, float factor, size_t block, size_t first, float *largest,
    double *squares);

/// sum += weight · round-half-even(x·2^30). |x| <= 256.
void pleach_fold_add(int64_t *sum, const float *x, size_t count, int64_t weight);
/// sum[index[i]] += weight · round-half-even(x[i]·2^30). |x| <= 256.
void pleach_fold_add_at(int64_t *sum, const uint32_t *index, const float *x, size_t count, int64_t weight);
/// out = float(double(sum) / divisor).
void pleach_fold_mean(const int64_t *sum, size_t count, double divisor, float *out);

// Bit streams (bits.c)

/// Σ(v >> k).
uint64_t pleach_sum_shifted(const uint32_t *v, size_t count, unsigned k);
/// A segment of a Rice stream: remainders (k bits each, ⌈count·k/8⌉ bytes), then quotients in unary (so many zeros, then a
/// one). Both write whole bytes, spare bits 0, and return the bytes of the quotients' field. `out` must hold the
/// segment, ⌈count·k/8⌉ + ⌈(Σ(v >> k) + count)/8⌉ bytes, and 64 more, which may be overwritten. count <= 4,096.
size_t pleach_rice_encode(const uint32_t *v, size_t count, unsigned k, uint8_t *out);
size_t pleach_rice_encode_bytes(const uint8_t *v, size_t count, unsigned k, uint8_t *out);
/// Reads `count` (1 to 4,096) numbers of a segment: `remainders` holds ⌈count·k/8⌉ bytes and `quotients` `quotient_bytes`.
/// False unless the quotients' field holds exactly `count` ones, the last of them in its last byte, the remainders' spare
/// bits are 0 and no number exceeds `limit`, or when that field has 2^29 bytes or more. `out` may be written all the same.
bool pleach_rice_decode(
    const uint8_t *remainders, const uint8_t *quotients, size_t quotient_bytes, unsigned k, uint32_t limit, uint32_t *out,
    size_t count);
/// The same for numbers of 8 bits; k <= 7, limit <= 255.
bool pleach_rice_decode_bytes(
    const uint8_t *remainders, const uint8_t *quotients, size_t quotient_bytes, unsigned k, uint32_t limit, uint8_t *out,
    size_t count);
/// Fields of 12 bits: out[i] = number first + i, `first` even. And the inverse, which writes ⌈count·12/8⌉ bytes.
void pleach_unpack_12(const uint8_t *bytes, size_t first, size_t count, uint32_t *out);
void pleach_pack_12(const uint32_t *numbers, size_t count, uint8_t *out);
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
