// Losses, backward, optimizer steps. Included by CTorch.h.
#ifndef CT_TRAINING_H
#define CT_TRAINING_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CTTensor CTTensor;

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

#ifdef __cplusplus
}
#endif

#endif
