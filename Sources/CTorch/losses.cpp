// Losses as PyTorch defines them, and what is counted beside them.
#include "internal.h"

namespace {

// Logits with classes along `axis` as what ATen wants: [n, classes, ...] or, for the last axis, [positions, classes].
at::Tensor by_class(const at::Tensor &x, int axis) { return axis < 0 ? x.reshape({-1, x.size(-1)}) : x; }

bool is_soft(const CTTensor *targets) { return targets->value.is_floating_point(); }

}  // namespace

extern "C" {

CTTensor *ct_cross_entropy(const CTTensor *logits, const CTTensor *targets, int axis, double label_smoothing,
                           const int64_t *ignore, int64_t counted) {
    return ct::boxed([&] {
        auto z = by_class(logits->value, axis);
        if (is_soft(targets)) {
            auto y = by_class(targets->value, axis);
            auto loss = at::cross_entropy_loss(z, y, {}, at::Reduction::Sum, -100, label_smoothing);
            return loss / static_cast<double>(std::max<int64_t>(counted, 1));
        }
        auto y = axis < 0 ? targets->value.reshape({-1}) : targets->value;
        // Without a counted target the mean is 0/0; the sum is 0 and so are its gradients.
        auto reduction = counted > 0 ? at::Reduction::Mean : at::Reduction::Sum;
        return at::cross_entropy_loss(z, y, {}, reduction, ignore ? *ignore : -100, label_smoothing);
    });
}

CTTensor *ct_soft_labels(const CTTensor *logits, const CTTensor *teacher, int axis, double temperature,
                         const CTTensor *targets, const int64_t *ignore, int64_t counted) {
    return ct::boxed([&] {
        auto student = at::log_softmax(logits->value / temperature, axis);
        auto target = at::log_softmax(teacher->value / temperature, axis);
        auto divergence = (target.exp() * (target - student)).sum(axis);
        if (targets && ignore) divergence = divergence.masked_fill(targets->value.eq(*ignore), 0);
        return divergence.sum() * (temperature * temperature / static_cast<double>(std::max<int64_t>(counted, 1)));
    });
}

CTTensor *ct_squared_error(const CTTensor *output, const CTTensor *targets) {
    return ct::boxed([&] { return at::mse_loss(output->value, targets->value); });
}

CTTensor *ct_binary_cross_entropy(const CTTensor *logits, const CTTensor *targets) {
    return ct::boxed([&] { return at::binary_cross_entropy_with_logits(logits->value, targets->value); });
}

CTTensor *ct_cosine_loss(const CTTensor *output, const CTTensor *targets) {
    return ct::boxed([&] {
        auto ones = at::ones({output->value.size(0)}, output->value.options().requires_grad(false));
        return at::cosine_embedding_loss(output->value.flatten(1), targets->value.flatten(1), ones);
    });
}

CTTensor *ct_weighted_sum(const CTTensor *a, double wa, const CTTensor *b, double wb) {
    return ct::boxed([&] { return a->value * wa + b->value * wb; });
}

int ct_item(const CTTensor *scalar, double *value) {
    return ct::guarded([&] { *value = scalar->value.detach().to(at::kDouble).item<double>(); });
}

int ct_count_correct(const CTTensor *logits, const CTTensor *targets, int axis, const int64_t *ignore, int64_t *count) {
    return ct::guarded([&] {
        at::NoGradGuard guard;
        auto wanted = is_soft(targets) ? targets->value.argmax(axis) : targets->value;
        auto right = logits->value.argmax(axis).eq(wanted);
        if (ignore && !is_soft(targets)) right = right.logical_and(targets->value.ne(*ignore));
        *count = right.sum().item<int64_t>();
    });
}

int ct_count_binary_correct(const CTTensor *logits, const CTTensor *targets, int64_t *count) {
    return ct::guarded([&] {
        at::NoGradGuard guard;
        *count = logits->value.gt(0).eq(targets->value.gt(0.5)).sum().item<int64_t>();
    });
}

}
