// Layers, pooling, normalisation. `bias` may be NULL. A function that returns a status fills `outputs`. Included by
// CTorch.h.
#ifndef CT_LAYERS_H
#define CT_LAYERS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CTTensor CTTensor;

// Convolutions, with ONNX's pads: all begins, then all ends. With `channels_last` a float32 image is brought into that
// memory format first; so is then the result.
CTTensor *ct_convolution(const CTTensor *x, const CTTensor *w, const CTTensor *bias, const int64_t *strides,
                         const int64_t *pads, const int64_t *dilations, int spatial, int64_t groups,
                         bool channels_last);
// `begins`: what is cut before the first place of each axis; `extents`: the output's, whatever the input reaches.
CTTensor *ct_convolution_transpose(const CTTensor *x, const CTTensor *w, const CTTensor *bias, const int64_t *strides,
                                   const int64_t *begins, const int64_t *dilations, const int64_t *extents, int spatial,
                                   int64_t groups);

// Pooling as ATen does it: float32 or float64, equal pads on both sides of at most half a kernel.
CTTensor *ct_max_pool(const CTTensor *x, const int64_t *kernel, const int64_t *strides, const int64_t *pads,
                      const int64_t *dilations, int spatial, bool ceil_mode);
CTTensor *ct_average_pool(const CTTensor *x, const int64_t *kernel, const int64_t *strides, const int64_t *pads,
                          int spatial, bool ceil_mode, bool count_padding);
// Pooling by any windows, `extents` of them: what a window reaches beyond the input does not count. The outputs are the
// maxima and their places in the whole input, row-major or, within a plane, column-major.
int ct_max_pool_windows(const CTTensor *x, const int64_t *kernel, const int64_t *strides, const int64_t *begins,
                        const int64_t *dilations, const int64_t *extents, int spatial, bool column_major,
                        CTTensor **outputs);
// `count_padding`: the node's own pads count as zeros; what a window reaches beyond them never counts.
CTTensor *ct_average_pool_windows(const CTTensor *x, const int64_t *kernel, const int64_t *strides,
                                  const int64_t *pads, const int64_t *dilations, const int64_t *extents, int spatial,
                                  bool count_padding);
CTTensor *ct_global_average_pool(const CTTensor *x);
CTTensor *ct_global_max_pool(const CTTensor *x);

// Matrix products; `c` may be NULL and of any shape that broadcasts.
// x W + b over the last axis of x; with `transposed` W lies as [outputs, inputs].
CTTensor *ct_linear(const CTTensor *x, const CTTensor *w, const CTTensor *bias, bool transposed);
CTTensor *ct_gemm(const CTTensor *a, const CTTensor *b, const CTTensor *c, double alpha, double beta, bool trans_a,
                  bool trans_b);
CTTensor *ct_matmul(const CTTensor *a, const CTTensor *b);
CTTensor *ct_einsum(const char *equation, const CTTensor *const *operands, int count);

// Normalisations. In training the running statistics are updated in place:
// running = (1 - update) * running + update * batch.
CTTensor *ct_batch_norm(const CTTensor *x, const CTTensor *scale, const CTTensor *bias, CTTensor *mean,
                        CTTensor *variance, bool training, double update, double epsilon);
// By the batch's own statistics, as ONNX's training mode asks. The outputs are the values and the next running mean and
// variance: momentum * running + (1 - momentum) * batch, of the population variance.
int ct_batch_norm_statistics(const CTTensor *x, const CTTensor *scale, const CTTensor *bias, const CTTensor *mean,
                             const CTTensor *variance, double momentum, double epsilon, CTTensor **outputs);
// Overwrites a tensor, outside of any gradient.
int ct_copy_values(CTTensor *target, const CTTensor *source);
// Normalises over the axes from `axis` on; `bias` may be NULL. Scale and bias have those axes' shape.
CTTensor *ct_layer_norm(const CTTensor *x, const CTTensor *scale, const CTTensor *bias, int64_t axis, double epsilon);
// With scale and bias that broadcast; the outputs are the values, the means and 1 / standard deviation, in float32.
int ct_layer_norm_statistics(const CTTensor *x, const CTTensor *scale, const CTTensor *bias, int64_t axis,
                             double epsilon, CTTensor **outputs);
CTTensor *ct_rms_norm(const CTTensor *x, const CTTensor *scale, int64_t axis, double epsilon);
// Scale and bias have a value a channel or a value a group.
CTTensor *ct_group_norm(const CTTensor *x, const CTTensor *scale, const CTTensor *bias, int64_t groups,
                        double epsilon);
CTTensor *ct_instance_norm(const CTTensor *x, const CTTensor *scale, const CTTensor *bias, double epsilon);

CTTensor *ct_softmax(const CTTensor *x, int64_t axis);
CTTensor *ct_log_softmax(const CTTensor *x, int64_t axis);
// The outputs are the values and the mask of what was kept.
int ct_dropout(const CTTensor *x, double ratio, bool training, CTTensor **outputs);

// Padding: `pads` for every axis, begins then ends; a negative one cuts. `value` is a scalar, zero when NULL.
enum { CT_PAD_CONSTANT, CT_PAD_REFLECT, CT_PAD_EDGE, CT_PAD_WRAP };
CTTensor *ct_pad(const CTTensor *x, const int64_t *pads, int mode, const CTTensor *value);
CTTensor *ct_depth_to_space(const CTTensor *x, int64_t block, bool column_row_depth);
CTTensor *ct_space_to_depth(const CTTensor *x, int64_t block, bool column_row_depth);

#ifdef __cplusplus
}
#endif

#include "ct_sequences.h"

#endif
