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

// Which columns of an image a layer multiplies: `rows` places below each other, `dilation` apart, at steps of `row_step`
// and `column_step` over the image padded with zeros.
typedef struct {
    int64_t rows, row_step, dilation, top, bottom, column_step, left, right;
} CTRowWindow;

// Adds p p^T to `sum` [channels * rows, channels * rows] for each column p [channels, rows] of images
// [samples, channels, height, width]; `places` becomes their number.
int ct_add_second_moment(const float *images, int64_t samples, int64_t channels, int64_t height, int64_t width,
                         CTRowWindow window, double *sum, int64_t *places);

#ifdef __cplusplus
}
#endif

#endif
