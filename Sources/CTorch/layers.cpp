// Softmax and dropout.
#include "precision.h"

extern "C" {

CTTensor *ct_softmax(const CTTensor *x, int64_t axis) {
    return ct::boxed([&] { return at::softmax(ct::widened(x->value), axis).to(x->value.scalar_type()); });
}

CTTensor *ct_log_softmax(const CTTensor *x, int64_t axis) {
    return ct::boxed([&] { return at::log_softmax(ct::widened(x->value), axis).to(x->value.scalar_type()); });
}

int ct_dropout(const CTTensor *x, double ratio, bool training, CTTensor **outputs) {
    return ct::guarded([&] {
        const auto &input = x->value;
        auto mask = at::ones(input.sizes(), input.options().dtype(at::kBool));
        if (!training || ratio == 0) return ct::give(outputs, {input, mask});
        if (ratio == 1) return ct::give(outputs, {input * 0, mask.fill_(false)});
        // at::dropout's arithmetic, with this thread's own generator.
        auto type = input.scalar_type() == at::kHalf ? at::kFloat : input.scalar_type();
        auto kept = at::empty(input.sizes(), input.options().dtype(type)).bernoulli_(1 - ratio, ct::generator());
        mask = kept.to(at::kBool);
        ct::give(outputs, {(ct::widened(input) * kept.div_(1 - ratio)).to(input.scalar_type()), mask});
    });
}

}
