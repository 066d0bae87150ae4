// Layers, pooling, normalisation. `bias` may be NULL. Included by CTorch.h.
#ifndef CT_LAYERS_H
#define CT_LAYERS_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CTTensor CTTensor;

// With `channels_last` a float32 image is brought into that memory format first; so is then the result.
CTTensor *ct_convolution(const CTTensor *x, const CTTensor *w, const CTTensor *bias, const int64_t *strides,
                         const int64_t *pads, const int64_t *dilations, int spatial, int64_t groups,
                         bool channels_last);
CTTensor *ct_gemm(const CTTensor *a, const CTTensor *b, const CTTensor *c, double alpha, double beta, bool trans_a,
                  bool trans_b);
CTTensor *ct_matmul(const CTTensor *a, const CTTensor *b);
// In training the running statistics are updated in place: running = (1 - update) * running + update * batch.
CTTensor *ct_batch_norm(const CTTensor *x, const CTTensor *scale, const CTTensor *bias, CTTensor *mean,
                        CTTensor *variance, bool training, double update, double epsilon);
CTTensor *ct_max_pool(const CTTensor *x, const int64_t *kernel, const int64_t *strides, const int64_t *pads,
                      const int64_t *dilations, int spatial, bool ceil_mode);
CTTensor *ct_average_pool(const CTTensor *x, const int64_t *kernel, const int64_t *strides, const int64_t *pads,
                          int spatial, bool ceil_mode, bool count_padding);
CTTensor *ct_global_average_pool(const CTTensor *x);
CTTensor *ct_dropout(const CTTensor *x, double ratio, bool training);
CTTensor *ct_softmax(const CTTensor *x, int64_t axis);
// Normalises over the axes from `axis` on; `bias` may be NULL.
CTTensor *ct_layer_norm(const CTTensor *x, const CTTensor *scale, const CTTensor *bias, int64_t axis, double epsilon);

#ifdef __cplusplus
}
#endif

#endif
