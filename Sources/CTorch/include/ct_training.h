// Losses, backward, gradients, optimizer steps. Included by CTorch.h.
#ifndef CT_TRAINING_H
#define CT_TRAINING_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CTTensor CTTensor;

// Losses: scalars, means over the counted targets (0 when `counted` is 0). `axis` is where the classes lie: 1 or -1.
// Targets are int64 classes without that axis, those equal to `*ignore` (may be NULL) not counted; or float32
// probabilities of the logits' shape.
CTTensor *ct_cross_entropy(const CTTensor *logits, const CTTensor *targets, int axis, double label_smoothing,
                           const int64_t *ignore, int64_t counted);
// T^2 * KL(softmax(teacher/T) || softmax(logits/T)) (Hinton et al. 2015). With `targets` (int64) only positions whose
// target is not `*ignore` count; both may be NULL.
CTTensor *ct_soft_labels(const CTTensor *logits, const CTTensor *teacher, int axis, double temperature,
                         const CTTensor *targets, const int64_t *ignore, int64_t counted);
CTTensor *ct_squared_error(const CTTensor *output, const CTTensor *targets);
CTTensor *ct_binary_cross_entropy(const CTTensor *logits, const CTTensor *targets);
// The mean over rows of 1 - cos.
CTTensor *ct_cosine_loss(const CTTensor *output, const CTTensor *targets);
// Values inside of two networks: means over the samples. Planes [n, channels, height, width] of different sizes are both
// brought to the smaller by adaptive average pooling.
// The mean squared error of the student's values, through `projector` [teacher's channels, student's channels] where it
// is not NULL (channels are axis 1 of planes, else the last), and the teacher's.
CTTensor *ct_hidden_state_loss(const CTTensor *student, const CTTensor *teacher, const CTTensor *projector);
// Squared distance of the normalised maps of sums over the channels' squares (Zagoruyko and Komodakis 2017).
CTTensor *ct_attention_map_loss(const CTTensor *student, const CTTensor *teacher);
// KL(teacher || student) over the last axis, a mean over the rows.
CTTensor *ct_attention_divergence(const CTTensor *student, const CTTensor *teacher);
CTTensor *ct_weighted_sum(const CTTensor *a, double wa, const CTTensor *b, double wb);
int ct_item(const CTTensor *scalar, double *value);
// How many counted positions have their largest logit at the target (at the largest target, for probabilities).
int ct_count_correct(const CTTensor *logits, const CTTensor *targets, int axis, const int64_t *ignore, int64_t *count);
// How many logits are on their target's side: above 0 for targets above one half.
int ct_count_binary_correct(const CTTensor *logits, const CTTensor *targets, int64_t *count);

int ct_backward(const CTTensor *loss);

// Gradients of a leaf, in place; nothing happens to a leaf that no gradient reached.
// sum += weight * gradient.
int ct_add_gradient(CTTensor *sum, const CTTensor *leaf, double weight);

// What a gradient becomes before it is measured and used:
// clamp((scale * gradient + proximal * (parameter - reference) + correction) * mask, -limit, limit).
typedef struct CTGradientTerms {
    double scale;
    // Li et al. 2020 (FedProx), eq. 2; `reference` may be NULL.
    double proximal;
    const CTTensor *reference;
    // May be NULL.
    const CTTensor *correction;
    // 0 or 1 (CT_BOOL), or NULL.
    const CTTensor *mask;
    // 0 for none.
    double limit;
} CTGradientTerms;
int ct_prepare_gradient(CTTensor *leaf, const CTGradientTerms *terms);
// Adds the sum of the gradient's squares to `*sum`; the same on any number of threads.
int ct_add_gradient_squares(const CTTensor *leaf, double *sum);

// Optimizer steps, in place on a leaf with a gradient, without temporaries on the CPU.
typedef struct CTUpdate {
    double rate;
    double weight_decay;
    // What the gradient is multiplied by first (clipping).
    double scale;
    // 0 or 1 (CT_BOOL), or NULL: stops the gradient of dead weights, so those that start at zero stay there, and so do
    // their moments.
    const CTTensor *mask;
    double beta1;
    double beta2;
    double epsilon;
    // From 1.
    int64_t step;
} CTUpdate;
// torch.optim.SGD with dampening 0; `buffer` starts at zero and may be NULL when `momentum` is 0.
int ct_sgd_step(CTTensor *parameter, CTTensor *buffer, double momentum, bool nesterov, const CTUpdate *update);
// torch.optim.AdamW.
int ct_adamw_step(CTTensor *parameter, CTTensor *average, CTTensor *square, const CTUpdate *update);
// You et al. 2020, algorithm 2, with the identity for phi.
int ct_lamb_step(CTTensor *parameter, CTTensor *average, CTTensor *square, const CTUpdate *update);

#ifdef __cplusplus
}
#endif

#endif
