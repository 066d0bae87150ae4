// Losses, backward, optimizer steps.
#include <ATen/core/grad_mode.h>

#include <cmath>

#include "internal.h"

extern "C" {

CTTensor *ct_cross_entropy(const CTTensor *logits, const CTTensor *labels) {
    return ct::boxed([&] { return at::cross_entropy_loss(logits->value, labels->value); });
}

CTTensor *ct_soft_labels(const CTTensor *logits, const CTTensor *teacher, double temperature) {
    return ct::boxed([&] {
        auto student = at::log_softmax(logits->value / temperature, 1);
        auto target = at::log_softmax(teacher->value / temperature, 1);
        auto divergence = (target.exp() * (target - student)).sum();
        return divergence * (temperature * temperature / static_cast<double>(logits->value.size(0)));
    });
}

CTTensor *ct_weighted_sum(const CTTensor *a, double wa, const CTTensor *b, double wb) {
    return ct::boxed([&] { return a->value * wa + b->value * wb; });
}

int ct_backward(const CTTensor *loss) {
    return ct::guarded([&] { loss->value.backward(); });
}

int ct_item(const CTTensor *scalar, double *value) {
    return ct::guarded([&] { *value = scalar->value.detach().to(at::kDouble).item<double>(); });
}

int ct_count_correct(const CTTensor *logits, const CTTensor *labels, int64_t *count) {
    return ct::guarded([&] {
        at::NoGradGuard guard;
        *count = logits->value.argmax(1).eq(labels->value).sum().item<int64_t>();
    });
}

int ct_sgd_step(CTTensor *parameter, CTTensor *momentum_buffer, bool first, double rate, double momentum,
                double weight_decay, bool nesterov, const CTTensor *mask) {
    return ct::guarded([&] {
        at::NoGradGuard guard;
        auto gradient = parameter->value.grad();
        if (!gradient.defined()) return;
        if (mask) gradient = gradient * mask->value;
        if (weight_decay != 0) gradient = gradient.add(parameter->value, weight_decay);
        if (momentum != 0) {
            auto &buffer = momentum_buffer->value;
            if (first) {
                buffer.copy_(gradient);
            } else {
                buffer.mul_(momentum).add_(gradient);
            }
            gradient = nesterov ? gradient.add(buffer, momentum) : buffer;
        }
        parameter->value.add_(gradient, -rate);
    });
}

int ct_adamw_step(CTTensor *parameter, CTTensor *average, CTTensor *square, int64_t step, double rate, double beta1,
                  double beta2, double epsilon, double weight_decay, const CTTensor *mask) {
    return ct::guarded([&] {
        at::NoGradGuard guard;
        auto gradient = parameter->value.grad();
        if (!gradient.defined()) return;
        if (mask) gradient = gradient * mask->value;
        parameter->value.mul_(1 - rate * weight_decay);
        average->value.mul_(beta1).add_(gradient, 1 - beta1);
        square->value.mul_(beta2).addcmul_(gradient, gradient, 1 - beta2);
        double correction1 = 1 - std::pow(beta1, step);
        double correction2 = 1 - std::pow(beta2, step);
        auto denominator = (square->value.sqrt() / std::sqrt(correction2)).add_(epsilon);
        parameter->value.addcdiv_(average->value, denominator, -rate / correction1);
    });
}

}
