// Operators element by element, by axis, and on shapes. Included by CTorch.h.
//
// All take the element types of ONNX's operators; float16 and bfloat16 are computed in float32 and rounded once.
// Functions that return a status fill `outputs`.
#ifndef CT_OPERATORS_H
#define CT_OPERATORS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CTTensor CTTensor;

// Functions of one element. `alpha` and `beta` are the operator's attributes, where it has any.
typedef enum {
    CT_UNARY_ABS, CT_UNARY_CEIL, CT_UNARY_COS, CT_UNARY_ERF, CT_UNARY_EXP, CT_UNARY_FLOOR, CT_UNARY_LOG,
    CT_UNARY_NEG, CT_UNARY_NOT, CT_UNARY_RECIPROCAL, CT_UNARY_RELU, CT_UNARY_ROUND, CT_UNARY_SIGMOID,
    CT_UNARY_SIGN, CT_UNARY_SIN, CT_UNARY_SOFTPLUS, CT_UNARY_SOFTSIGN, CT_UNARY_SQRT, CT_UNARY_TANH,
    CT_UNARY_MISH, CT_UNARY_HARD_SWISH, CT_UNARY_IS_NAN, CT_UNARY_GELU, CT_UNARY_GELU_TANH,
    CT_UNARY_CELU,          // alpha
    CT_UNARY_ELU,           // alpha
    CT_UNARY_LEAKY_RELU,    // alpha
    CT_UNARY_SELU,          // alpha, gamma
    CT_UNARY_HARD_SIGMOID,  // alpha, beta
    CT_UNARY_IS_INF,        // whether negative, whether positive infinity counts
} CTUnary;
CTTensor *ct_unary(CTUnary function, const CTTensor *x, double alpha, double beta);

// Functions of two elements; extents of 1 stretch. Integers wrap; their quotients are cut towards zero.
typedef enum {
    CT_BINARY_ADD, CT_BINARY_SUB, CT_BINARY_MUL, CT_BINARY_DIV, CT_BINARY_MAX, CT_BINARY_MIN,
    CT_BINARY_POW,        // the result has the type of the base, whatever the exponent's
    CT_BINARY_MOD,        // the sign of the divisor, as in Python
    CT_BINARY_FMOD,       // the sign of the dividend, as in C
    CT_BINARY_PRELU,      // a >= 0 ? a : a * b
    CT_BINARY_AND, CT_BINARY_OR, CT_BINARY_XOR, CT_BINARY_EQUAL, CT_BINARY_LESS, CT_BINARY_LESS_OR_EQUAL,
    CT_BINARY_GREATER, CT_BINARY_GREATER_OR_EQUAL,
} CTBinary;
CTTensor *ct_binary(CTBinary function, const CTTensor *a, const CTTensor *b);

// `low`, `high`: single values, or NULL.
CTTensor *ct_clip(const CTTensor *x, const CTTensor *low, const CTTensor *high);
CTTensor *ct_where(const CTTensor *condition, const CTTensor *a, const CTTensor *b);
CTTensor *ct_cast(const CTTensor *x, int type);

// Reductions over `axes`, each given once, 0 <= axis < rank; over none of them the elementwise part remains.
typedef enum {
    CT_REDUCE_MEAN, CT_REDUCE_SUM, CT_REDUCE_MAX, CT_REDUCE_MIN, CT_REDUCE_PROD, CT_REDUCE_L1, CT_REDUCE_L2,
    CT_REDUCE_SUM_SQUARE, CT_REDUCE_LOG_SUM, CT_REDUCE_LOG_SUM_EXP,
} CTReduction;
CTTensor *ct_reduce(CTReduction reduction, const CTTensor *x, const int64_t *axes, int count, bool keep_axes);
// Where the largest (or smallest) element lies along an axis: the first of equals, or the last.
CTTensor *ct_arg_extreme(const CTTensor *x, int64_t axis, bool largest, bool keep_axis, bool last);
// Values and their places; equals in the order of their places.
int ct_top_k(const CTTensor *x, int64_t k, int64_t axis, bool largest, CTTensor **outputs);
CTTensor *ct_cumulative_sum(const CTTensor *x, int64_t axis, bool exclusive, bool reverse);

CTTensor *ct_reshape(const CTTensor *x, const int64_t *dims, int rank);
CTTensor *ct_transpose(const CTTensor *x, const int64_t *permutation, int rank);
CTTensor *ct_expand(const CTTensor *x, const int64_t *dims, int rank);
CTTensor *ct_tile(const CTTensor *x, const int64_t *repeats, int rank);
// `count` places of an axis from `start` on, `step` (not 0) apart.
CTTensor *ct_slice(const CTTensor *x, int64_t axis, int64_t start, int64_t count, int64_t step);
CTTensor *ct_concat(const CTTensor *const *parts, int count, int64_t axis);
// What is on and above (or below) the diagonal `k`, zeros elsewhere.
CTTensor *ct_triangle(const CTTensor *x, int64_t k, bool upper);
// `value`, a single one, `dims` times.
CTTensor *ct_full(const CTTensor *value, const int64_t *dims, int rank);
// start, start + delta, ... `count` of them; single values of one type.
CTTensor *ct_range(const CTTensor *start, const CTTensor *delta, int64_t count);

// Indices are int64 or int32, negative ones count from the end.
// Slices of `x` along `axis`, by indices of any shape.
CTTensor *ct_gather(const CTTensor *x, const CTTensor *indices, int64_t axis);
CTTensor *ct_gather_elements(const CTTensor *x, const CTTensor *indices, int64_t axis);
CTTensor *ct_gather_places(const CTTensor *x, const CTTensor *indices, int64_t batch_axes);
// What an update does to the element it meets.
typedef enum { CT_SCATTER_SET, CT_SCATTER_ADD, CT_SCATTER_MUL, CT_SCATTER_MAX, CT_SCATTER_MIN } CTScatter;
CTTensor *ct_scatter_elements(const CTTensor *x, const CTTensor *indices, const CTTensor *updates, int64_t axis,
                              CTScatter mode);
CTTensor *ct_scatter_places(const CTTensor *x, const CTTensor *indices, const CTTensor *updates, CTScatter mode);
CTTensor *ct_one_hot(const CTTensor *indices, int64_t depth, const CTTensor *values, int64_t axis);
// The places of elements other than 0: [rank, count].
CTTensor *ct_non_zero(const CTTensor *x);

// Codes. A scale holds one value, or one for each place of `axis`, or (`block` > 0) one for each `block` of them.
// Rounds half to even, adds the zero point (may be NULL), saturates to `type`.
CTTensor *ct_quantize(const CTTensor *x, const CTTensor *scale, const CTTensor *zero_point, int type, int64_t axis,
                      int64_t block, int precision);
CTTensor *ct_dequantize(const CTTensor *x, const CTTensor *scale, const CTTensor *zero_point, int type, int64_t axis,
                        int64_t block);
// step (clamp(round(x / step) + zero_point, low, high) - zero_point) with the gradients of LSQ (Esser et al. 2020): the
// step's is scaled by 1 / sqrt(n high), n being the numbers of a sample that share it (of all of x, for an axis of channels
// or where `whole`). `axis` below 0: one step. Steps are used by their magnitude, from 1e-12 on.
CTTensor *ct_fake_quantize(const CTTensor *x, const CTTensor *step, int64_t zero_point, int64_t low, int64_t high,
                           int64_t axis, bool whole);
// uint8 codes, their scale and zero point, from the range of `x` and 0.
int ct_quantize_dynamically(const CTTensor *x, CTTensor **outputs);
// x - zero point (may be NULL) as float64, in which products and sums of codes are exact.
CTTensor *ct_centered(const CTTensor *x, const CTTensor *zero_point, int64_t axis);
// Exact sums of products of codes to codes of the zero point's type, with the scales of both factors and of the result.
CTTensor *ct_requantize(const CTTensor *sums, const CTTensor *a_scale, int64_t a_axis, const CTTensor *b_scale,
                        int64_t b_axis, const CTTensor *scale, const CTTensor *zero_point);

#ifdef __cplusplus
}
#endif

#endif
