// Operators element by element, by axis, and on shapes. `low`, `high` may be NULL. Included by CTorch.h.
#ifndef CT_OPERATORS_H
#define CT_OPERATORS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CTTensor CTTensor;

CTTensor *ct_relu(const CTTensor *x);
CTTensor *ct_clip(const CTTensor *x, const double *low, const double *high);
CTTensor *ct_add(const CTTensor *a, const CTTensor *b);
CTTensor *ct_sub(const CTTensor *a, const CTTensor *b);
CTTensor *ct_mul(const CTTensor *a, const CTTensor *b);
CTTensor *ct_div(const CTTensor *a, const CTTensor *b);
CTTensor *ct_reshape(const CTTensor *x, const int64_t *dims, int rank);
CTTensor *ct_transpose(const CTTensor *x, const int64_t *permutation, int rank);
// Round half to even, add the zero point, saturate to its type. `axis` < 0 for per-tensor.
CTTensor *ct_quantize(const CTTensor *x, const CTTensor *scale, const CTTensor *zero_point, int type, int64_t axis);
CTTensor *ct_dequantize(const CTTensor *x, const CTTensor *scale, const CTTensor *zero_point, int64_t axis);
CTTensor *ct_erf(const CTTensor *x);
CTTensor *ct_tanh(const CTTensor *x);
CTTensor *ct_sqrt(const CTTensor *x);
CTTensor *ct_sigmoid(const CTTensor *x);
CTTensor *ct_exp(const CTTensor *x);
CTTensor *ct_log(const CTTensor *x);
CTTensor *ct_neg(const CTTensor *x);
CTTensor *ct_pow(const CTTensor *x, const CTTensor *exponent);
CTTensor *ct_cast(const CTTensor *x, int type);
// Slices of `x` along `axis` by int64 or int32 indices of any shape; negative ones count from the end.
CTTensor *ct_gather(const CTTensor *x, const CTTensor *indices, int64_t axis);
CTTensor *ct_concat(const CTTensor *const *parts, int count, int64_t axis);
// The mean over some axes, over all when `count` is 0.
CTTensor *ct_mean(const CTTensor *x, const int64_t *axes, int count, bool keep_axes);

#ifdef __cplusplus
}
#endif

#endif
