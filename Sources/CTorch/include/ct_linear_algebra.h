// Decompositions and products of matrices, in double. Included by CTorch.h.
//
// Matrices are row-major in main memory, whatever the device; every extent is at least 1. All functions return a status.
#ifndef CT_LINEAR_ALGEBRA_H
#define CT_LINEAR_ALGEBRA_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// matrix = left diag(values) right^T with k = min(rows, columns): left [rows, k], values [k] falling, right [columns, k].
// The element of largest magnitude in each column of `left` is positive, so that one build gives one answer.
int ct_singular_values(const double *matrix, int64_t rows, int64_t columns, double *left, double *values,
                       double *right);
// matrix = vectors diag(values) vectors^T of a symmetric matrix [size, size], values rising.
int ct_symmetric_eigenvalues(const double *matrix, int64_t size, double *values, double *vectors);
// result [rows, columns] = a b, where `a` is stored as [inner, rows] if `transposed_a`, `b` as [columns, inner] if
// `transposed_b`.
int ct_matrix_product(const double *a, const double *b, int64_t rows, int64_t inner, int64_t columns, bool transposed_a,
                      bool transposed_b, double *result);

// result [size, size], upper triangular, with result^T result = matrix^-1, of a symmetric positive definite matrix.
int ct_inverse_cholesky(const double *matrix, int64_t size, double *result);

// Which patches of an image a layer multiplies: `rows` x `columns` places, `dilation` and `column_dilation` apart, at steps of
// `row_step` and `column_step` over the image padded with zeros.
typedef struct {
    int64_t rows, row_step, dilation, top, bottom, columns, column_step, column_dilation, left, right;
} CTPatchWindow;

// Adds p p^T for each patch p [channels / groups, rows, columns] of images [samples, channels, height, width] to `sum`
// [groups, n, n]; `places` becomes the number of patches of a group. n is channels / groups * rows * columns, and one more if
// `with_constant`: then every patch ends with a 1. `channels` is a multiple of `groups`.
int ct_add_second_moment(const float *images, int64_t samples, int64_t channels, int64_t height, int64_t width,
                         int64_t groups, bool with_constant, CTPatchWindow window, double *sum, int64_t *places);

// Rounding learned for a product (Nagel et al. 2020, "AdaRound"). Weight r, c of group g becomes
// low + h (high - low) with h = clip(1.2 sigmoid(v) - 0.1, 0, 1), such that tr(D H D^T) + lambda sum(1 - |2h - 1|^beta) is
// least, D being the difference from the weights.
typedef struct {
    int64_t groups, rows, columns, iterations;
    // Adam's step, the factor of the regulariser, beta at the end of the warm start and at the end of all.
    double learning_rate, lambda, first_beta, last_beta;
    // The share of iterations before the regulariser counts.
    double warm_start;
} CTRounding;

// `moments` [groups, columns, columns], the other arrays [groups, rows, columns]: `below` is low minus weight, `span` is high
// minus low; both are in units in which lambda means what it should. A weight without a span is left alone. `rounded` becomes
// h at the end.
int ct_round_adaptively(CTRounding rounding, const float *moments, const float *below, const float *span, float *rounded);

#ifdef __cplusplus
}
#endif

#endif
