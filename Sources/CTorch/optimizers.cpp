// Optimizer steps: one pass over each tensor where loops fit, ATen's operators elsewhere (GPUs), with one arithmetic.
#include <cmath>

#include "loops.h"

namespace {

// Everything a step reads and writes.
struct Step {
    at::Tensor parameter, gradient, first, second, mask;
    const CTUpdate &update;

    Step(CTTensor *leaf, CTTensor *first, CTTensor *second, const CTUpdate *update)
        : parameter(leaf->value), gradient(ct::owned_gradient(leaf->value)), first(first ? first->value : at::Tensor()),
          second(second ? second->value : at::Tensor()), mask(update->mask ? update->mask->value : at::Tensor()),
          update(*update) {}

    bool is_empty() const { return !gradient.defined() || parameter.numel() == 0; }
    bool loops() const { return ct::loops_fit({parameter, gradient, first, second}, mask); }

    // The gradient after clipping and masking, for ATen's operators.
    at::Tensor used_gradient() const {
        auto used = update.scale == 1 ? gradient : gradient * update.scale;
        return mask.defined() ? used * mask : used;
    }

    double correction1() const { return 1 - std::pow(update.beta1, static_cast<double>(update.step)); }
    double correction2() const { return 1 - std::pow(update.beta2, static_cast<double>(update.step)); }
};

// Both moments of AdamW and LAMB by ATen's operators.
void mix_moments(Step &s) {
    auto gradient = s.used_gradient();
    s.first.mul_(s.update.beta1).add_(gradient, 1 - s.update.beta1);
    s.second.mul_(s.update.beta2).addcmul_(gradient, gradient, 1 - s.update.beta2);
}

// The same for elements begin..<end of float32 tensors.
struct MomentLoop {
    float *m, *v;
    const float *g;
    const unsigned char *alive;
    float scale, keep1, keep2, mix1, mix2;

    explicit MomentLoop(const Step &s)
        : m(ct::floats(s.first)), v(ct::floats(s.second)), g(ct::floats(s.gradient)), alive(ct::flags(s.mask)),
          scale(s.update.scale), keep1(s.update.beta1), keep2(s.update.beta2), mix1(1 - s.update.beta1),
          mix2(1 - s.update.beta2) {}

    template <bool masked>
    void mix(int64_t i) const {
        float x = g[i] * scale;
        if constexpr (masked) x = alive[i] ? x : 0.0f;
        m[i] = m[i] * keep1 + x * mix1;
        v[i] = v[i] * keep2 + mix2 * x * x;
    }
};

}  // namespace

extern "C" {

int ct_sgd_step(CTTensor *parameter, CTTensor *buffer, double momentum, bool nesterov, const CTUpdate *update) {
    return ct::guarded([&] {
        at::NoGradGuard guard;
        Step s(parameter, momentum != 0 ? buffer : nullptr, nullptr, update);
        if (s.is_empty()) return;
        if (!s.loops()) {
            auto gradient = s.used_gradient();
            if (update->weight_decay != 0) gradient = gradient.add(s.parameter, update->weight_decay);
            if (momentum != 0) {
                s.first.mul_(momentum).add_(gradient);
                gradient = nesterov ? gradient.add(s.first, momentum) : s.first;
            }
            s.parameter.add_(gradient, -update->rate);
            return;
        }
        float scale = update->scale, decay = update->weight_decay, keep = momentum, rate = update->rate;
        auto w = ct::floats(s.parameter), b = ct::floats(s.first);
        const float *g = ct::floats(s.gradient);
        auto alive = ct::flags(s.mask);
        ct::with(alive, [&](auto masked) {
            ct::with(b, [&](auto buffered) {
                ct::each(s.parameter.numel(), [=](int64_t begin, int64_t end) {
                    for (auto i = begin; i < end; i++) {
                        float x = g[i] * scale;
                        if constexpr (masked.value) x = alive[i] ? x : 0.0f;
                        x += decay * w[i];
                        if constexpr (buffered.value) {
                            float velocity = b[i] * keep + x;
                            b[i] = velocity;
                            x = nesterov ? x + keep * velocity : velocity;
                        }
                        w[i] -= rate * x;
                    }
                });
            });
        });
    });
}

int ct_adamw_step(CTTensor *parameter, CTTensor *average, CTTensor *square, const CTUpdate *update) {
    return ct::guarded([&] {
        at::NoGradGuard guard;
        Step s(parameter, average, square, update);
        if (s.is_empty()) return;
        double shrink = 1 - update->rate * update->weight_decay;
        double root = std::sqrt(s.correction2()), stride = update->rate / s.correction1();
        if (!s.loops()) {
            s.parameter.mul_(shrink);
            mix_moments(s);
            auto denominator = (s.second.sqrt() / root).add_(update->epsilon);
            s.parameter.addcdiv_(s.first, denominator, -stride);
            return;
        }
        MomentLoop moments(s);
        auto w = ct::floats(s.parameter);
        float keep = shrink, divisor = root, epsilon = update->epsilon, pace = stride;
        ct::with(moments.alive, [&](auto masked) {
            ct::each(s.parameter.numel(), [=](int64_t begin, int64_t end) {
                for (auto i = begin; i < end; i++) {
                    moments.mix<masked.value>(i);
                    w[i] = w[i] * keep - pace * (moments.m[i] / (ct::root(moments.v[i]) / divisor + epsilon));
                }
            });
        });
    });
}

int ct_lamb_step(CTTensor *parameter, CTTensor *average, CTTensor *square, const CTUpdate *update) {
    return ct::guarded([&] {
        at::NoGradGuard guard;
        Step s(parameter, average, square, update);
        if (s.is_empty()) return;
        double share1 = 1 / s.correction1(), root = std::sqrt(s.correction2());
        auto trust = [](double weights, double direction) {
            return weights > 0 && direction > 0 ? std::sqrt(weights) / std::sqrt(direction) : 1.0;
        };
        if (!s.loops()) {
            mix_moments(s);
            auto direction = (s.first * share1).div_((s.second.sqrt() / root).add_(update->epsilon));
            direction.add_(s.parameter, update->weight_decay);
            auto squares = [](const at::Tensor &x) { return x.to(at::kDouble).pow(2).sum().item<double>(); };
            s.parameter.add_(direction, -update->rate * trust(squares(s.parameter), squares(direction)));
            return;
        }
        MomentLoop moments(s);
        auto w = ct::floats(s.parameter);
        float unbias = share1, divisor = root, epsilon = update->epsilon, decay = update->weight_decay;
        auto direction = [=](int64_t i) {
            return moments.m[i] * unbias / (ct::root(moments.v[i]) / divisor + epsilon) + decay * w[i];
        };
        ct::with(moments.alive, [&](auto masked) {
            ct::each(s.parameter.numel(), [&](int64_t begin, int64_t end) {
                for (auto i = begin; i < end; i++) moments.mix<masked.value>(i);
            });
        });
        auto squared = [](double x) { return x * x; };
        double weights = ct::sum(s.parameter.numel(), [&](int64_t i) { return squared(w[i]); });
        double length = ct::sum(s.parameter.numel(), [&](int64_t i) { return squared(direction(i)); });
        float rate = update->rate * trust(weights, length);
        ct::each(s.parameter.numel(), [&](int64_t begin, int64_t end) {
            for (auto i = begin; i < end; i++) w[i] -= rate * direction(i);
        });
    });
}

}
