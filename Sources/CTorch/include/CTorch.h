// A small C API over libtorch: opaque tensors, one function per operator. No C++ exception leaves it: a function that
// fails returns NULL (or a non-zero status) and `ct_last_error` says why, per thread.
//
// Ownership: every returned tensor is owned by the caller and freed with `ct_free`. Tensors are not thread-safe; use
// each from one thread at a time. Gradient mode, the random generator and the error message are per thread, the number
// of threads is per process.
#ifndef CTORCH_H
#define CTORCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CTTensor CTTensor;

// Element types: the raw values of Tensors.ElementType.
enum {
    CT_FLOAT32 = 1, CT_FLOAT16 = 2, CT_BFLOAT16 = 3, CT_FLOAT64 = 4, CT_INT8 = 5, CT_UINT8 = 6, CT_INT16 = 7,
    CT_INT32 = 8, CT_INT64 = 9, CT_BOOL = 10
};

// Why the last call on this thread failed; valid until the next call.
const char *ct_last_error(void);
// Version and build of the linked libtorch.
const char *ct_description(void);
int ct_set_threads(int count);
// Makes the calling thread use the number of threads last set: OpenMP keeps one setting per thread.
int ct_enter_thread(void);
// Tells malloc to keep what is freed, once per process. Activations are freed and asked for anew at every step; giving
// them back to the system costs a page fault for every 4 KiB, a third of a training step of the bundled cnn (measured).
void ct_keep_freed_memory(void);
// Tells malloc to give large blocks back to the system when they are freed: for a process that runs no training steps and
// whose peak matters.
void ct_return_freed_memory(void);
// Gives back what is free now.
void ct_trim_memory(void);
// Seeds the calling thread's generator (dropout).
int ct_seed(uint64_t seed);
// Returns whether gradients were on before.
bool ct_set_gradients(bool enabled);

// Tensors.
CTTensor *ct_from_bytes(const void *bytes, int type, const int64_t *dims, int rank);
void ct_free(CTTensor *tensor);
int ct_rank(const CTTensor *tensor);
int64_t ct_extent(const CTTensor *tensor, int axis);
int ct_type(const CTTensor *tensor);
// Copies all elements in row-major order; `byte_count` must be exact.
int ct_copy_out(const CTTensor *tensor, void *bytes, size_t byte_count);
// A leaf that collects gradients, sharing the tensor's storage.
CTTensor *ct_leaf(const CTTensor *tensor);
// The gradient of a leaf after ct_backward; zeros when none reached it.
CTTensor *ct_gradient(const CTTensor *leaf);
int ct_clear_gradient(CTTensor *leaf);
CTTensor *ct_zeros_like(const CTTensor *tensor);
CTTensor *ct_clone(const CTTensor *tensor);

// Operators. `bias`, `low`, `high` may be NULL.
CTTensor *ct_convolution(const CTTensor *x, const CTTensor *w, const CTTensor *bias, const int64_t *strides,
                         const int64_t *pads, const int64_t *dilations, int spatial, int64_t groups);
CTTensor *ct_gemm(const CTTensor *a, const CTTensor *b, const CTTensor *c, double alpha, double beta, bool trans_a,
                  bool trans_b);
CTTensor *ct_matmul(const CTTensor *a, const CTTensor *b);
// In training the running statistics are updated in place: running = (1 - update) * running + update * batch.
CTTensor *ct_batch_norm(const CTTensor *x, const CTTensor *scale, const CTTensor *bias, CTTensor *mean,
                        CTTensor *variance, bool training, double update, double epsilon);
CTTensor *ct_relu(const CTTensor *x);
CTTensor *ct_clip(const CTTensor *x, const double *low, const double *high);
CTTensor *ct_add(const CTTensor *a, const CTTensor *b);
CTTensor *ct_sub(const CTTensor *a, const CTTensor *b);
CTTensor *ct_mul(const CTTensor *a, const CTTensor *b);
CTTensor *ct_div(const CTTensor *a, const CTTensor *b);
CTTensor *ct_max_pool(const CTTensor *x, const int64_t *kernel, const int64_t *strides, const int64_t *pads,
                      const int64_t *dilations, int spatial, bool ceil_mode);
CTTensor *ct_average_pool(const CTTensor *x, const int64_t *kernel, const int64_t *strides, const int64_t *pads,
                          int spatial, bool ceil_mode, bool count_padding);
CTTensor *ct_global_average_pool(const CTTensor *x);
CTTensor *ct_reshape(const CTTensor *x, const int64_t *dims, int rank);
CTTensor *ct_transpose(const CTTensor *x, const int64_t *permutation, int rank);
CTTensor *ct_dropout(const CTTensor *x, double ratio, bool training);
CTTensor *ct_softmax(const CTTensor *x, int64_t axis);
// Round half to even, add the zero point, saturate to its type. `axis` < 0 for per-tensor.
CTTensor *ct_quantize(const CTTensor *x, const CTTensor *scale, const CTTensor *zero_point, int type, int64_t axis);
CTTensor *ct_dequantize(const CTTensor *x, const CTTensor *scale, const CTTensor *zero_point, int64_t axis);

// Operators of transformers: element by element, by axis, and on shapes.
CTTensor *ct_erf(const CTTensor *x);
CTTensor *ct_tanh(const CTTensor *x);
CTTensor *ct_sqrt(const CTTensor *x);
CTTensor *ct_sigmoid(const CTTensor *x);
CTTensor *ct_exp(const CTTensor *x);
CTTensor *ct_log(const CTTensor *x);
CTTensor *ct_neg(const CTTensor *x);
CTTensor *ct_pow(const CTTensor *x, const CTTensor *exponent);
CTTensor *ct_cast(const CTTensor *x, int type);
// Normalises over the axes from `axis` on; `bias` may be NULL.
CTTensor *ct_layer_norm(const CTTensor *x, const CTTensor *scale, const CTTensor *bias, int64_t axis, double epsilon);
// Slices of `x` along `axis` by int64 or int32 indices of any shape; negative ones count from the end.
CTTensor *ct_gather(const CTTensor *x, const CTTensor *indices, int64_t axis);
CTTensor *ct_concat(const CTTensor *const *parts, int count, int64_t axis);
// The mean over some axes, over all when `count` is 0.
CTTensor *ct_mean(const CTTensor *x, const int64_t *axes, int count, bool keep_axes);

// Losses over logits [n, classes] and labels int64 [n]; means over the batch.
CTTensor *ct_cross_entropy(const CTTensor *logits, const CTTensor *labels);
// T^2 * KL(softmax(teacher/T) || softmax(logits/T)), mean over the batch (Hinton et al. 2015).
CTTensor *ct_soft_labels(const CTTensor *logits, const CTTensor *teacher, double temperature);
CTTensor *ct_weighted_sum(const CTTensor *a, double wa, const CTTensor *b, double wb);
int ct_backward(const CTTensor *loss);
int ct_item(const CTTensor *scalar, double *value);
// How many rows have their largest logit at the label.
int ct_count_correct(const CTTensor *logits, const CTTensor *labels, int64_t *count);

// Optimizer steps as PyTorch defines them, in place on a leaf with a gradient. `mask` (0 or 1, or NULL) stops the
// gradient of dead weights, so those that start at zero stay there, and so do their moments.
int ct_sgd_step(CTTensor *parameter, CTTensor *momentum_buffer, bool first, double rate, double momentum,
                double weight_decay, bool nesterov, const CTTensor *mask);
int ct_adamw_step(CTTensor *parameter, CTTensor *average, CTTensor *square, int64_t step, double rate, double beta1,
                  double beta2, double epsilon, double weight_decay, const CTTensor *mask);

// Images. Resizes planes of 8-bit pixels [channels, height, width]: bilinear, with antialiasing where they shrink, half pixel
// centres, rounded to nearest even: what torchvision's Resize does with a tensor.
int ct_resize_planes(const uint8_t *planes, int64_t channels, int64_t height, int64_t width, int64_t new_height,
                     int64_t new_width, uint8_t *target);
// Makes the calling thread use one thread, whatever ct_set_threads says: loaders run beside the training, not instead of it.
int ct_enter_loader_thread(void);

#ifdef __cplusplus
}
#endif

#endif
