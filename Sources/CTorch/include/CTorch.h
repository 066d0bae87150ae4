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
// Where tensors are made from now on, in every thread of the process: -1 for the CPU, else the number of a CUDA device.
// Fails where the linked libtorch has no such device; the device then stays what it was.
int ct_set_device(int index);
// Seeds the calling thread's generator (dropout); on a GPU, the device's.
int ct_seed(uint64_t seed);
// Returns whether gradients were on before.
bool ct_set_gradients(bool enabled);

// Tensors. Bytes are copied from and to main memory, whatever the device.
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
// Makes `gradient` the leaf's, without a copy.
int ct_set_gradient(CTTensor *leaf, const CTTensor *gradient);
CTTensor *ct_zeros_like(const CTTensor *tensor);
CTTensor *ct_clone(const CTTensor *tensor);

#ifdef __cplusplus
}
#endif

#include "ct_images.h"
#include "ct_layers.h"
#include "ct_linear_algebra.h"
#include "ct_operators.h"
#include "ct_training.h"

#endif
