// Backward, and what happens to gradients before the optimizer sees them.
#include "loops.h"

extern "C" {

int ct_backward(const CTTensor *loss) {
    return ct::guarded([&] { loss->value.backward(); });
}

int ct_add_gradient(CTTensor *sum, const CTTensor *leaf, double weight) {
    return ct::guarded([&] {
        at::NoGradGuard guard;
        auto gradient = leaf->value.grad();
        if (gradient.defined()) sum->value.add_(gradient, weight);
    });
}

int ct_prepare_gradient(CTTensor *leaf, const CTGradientTerms *terms) {
    return ct::guarded([&] {
        at::NoGradGuard guard;
        auto gradient = ct::owned_gradient(leaf->value);
        if (!gradient.defined()) return;
        auto reference = terms->reference ? terms->reference->value : at::Tensor();
        auto correction = terms->correction ? terms->correction->value : at::Tensor();
        auto mask = terms->mask ? terms->mask->value : at::Tensor();
        if (!ct::loops_fit({leaf->value, gradient, reference, correction}, mask)) {
            gradient.mul_(terms->scale);
            if (reference.defined()) gradient.add_(leaf->value - reference, terms->proximal);
            if (correction.defined()) gradient.add_(correction);
            if (mask.defined()) gradient.mul_(mask);
            if (terms->limit > 0) gradient.clamp_(-terms->limit, terms->limit);
            return;
        }
        auto scale = static_cast<float>(terms->scale), proximal = static_cast<float>(terms->proximal);
        auto limit = static_cast<float>(terms->limit);
        auto w = ct::floats(leaf->value), w0 = ct::floats(reference), c = ct::floats(correction);
        auto g = ct::floats(gradient);
        auto alive = ct::flags(mask);
        ct::each(gradient.numel(), [=](int64_t begin, int64_t end) {
            if (scale != 1)
                for (auto i = begin; i < end; i++) g[i] *= scale;
            if (w0)
                for (auto i = begin; i < end; i++) g[i] += proximal * (w[i] - w0[i]);
            if (c)
                for (auto i = begin; i < end; i++) g[i] += c[i];
            if (alive)
                for (auto i = begin; i < end; i++) g[i] = alive[i] ? g[i] : 0.0f;
            // NaN passes both comparisons, as in torch.clamp.
            if (limit > 0)
                for (auto i = begin; i < end; i++) g[i] = g[i] > limit ? limit : g[i] < -limit ? -limit : g[i];
        });
    });
}

int ct_add_gradient_squares(const CTTensor *leaf, double *sum) {
    return ct::guarded([&] {
        at::NoGradGuard guard;
        auto gradient = leaf->value.grad();
        if (!gradient.defined()) return;
        if (!ct::loops_fit({gradient}, {})) {
            *sum += gradient.to(at::kDouble).pow(2).sum().item<double>();
            return;
        }
        *sum += ct::sum(gradient.numel(), [g = ct::floats(gradient)](int64_t i) {
            return static_cast<double>(g[i]) * static_cast<double>(g[i]);
        });
    });
}

}
