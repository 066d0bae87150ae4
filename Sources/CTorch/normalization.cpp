// Normalisations with ONNX's parameters and outputs.
#include <ATen/core/grad_mode.h>

#include "batch_norm.h"
#include "precision.h"

namespace {

// Axes from `axis` on.
std::vector<int64_t> axes_from(int64_t axis, int64_t rank) {
    std::vector<int64_t> axes;
    for (int64_t place = axis < 0 ? axis + rank : axis; place < rank; place++) axes.push_back(place);
    return axes;
}

// One value a channel, shaped to broadcast over [n, channels, ...].
at::Tensor by_channel(const at::Tensor &parameter, const at::Tensor &x) {
    std::vector<int64_t> shape(x.dim(), 1);
    if (x.dim() > 1) shape[1] = parameter.numel();
    return ct::as(parameter, x).reshape(shape);
}

bool same_types(std::initializer_list<const CTTensor *> tensors) {
    auto type = (*tensors.begin())->value.scalar_type();
    for (auto tensor : tensors)
        if (tensor->value.scalar_type() != type) return false;
    return type != at::kHalf;
}

}  // namespace

extern "C" {

CTTensor *ct_layer_norm(const CTTensor *x, const CTTensor *scale, const CTTensor *bias, int64_t axis, double epsilon) {
    return ct::boxed([&] {
        auto normalized = x->value.sizes().slice(axis < 0 ? axis + x->value.dim() : axis);
        return at::layer_norm(x->value, normalized, scale->value, ct::optional(bias), epsilon);
    });
}

CTTensor *ct_batch_norm(const CTTensor *x, const CTTensor *scale, const CTTensor *bias, CTTensor *mean,
                        CTTensor *variance, bool training, double update, double epsilon) {
    return ct::boxed([&] {
        // With one value the unbiased variance is 0/0, which would poison the running statistics.
        if (training && x->value.dim() > 1 && x->value.numel() == x->value.size(1))
            throw std::runtime_error("training needs more than one value a channel: use larger batches");
        bool is_plain = same_types({x, scale, bias, mean, variance}) && x->value.dim() > 1;
        if (is_plain && training && ct::normalizes_channels_last(x->value, scale->value)) {
            for (const CTTensor *each : {scale, bias, (const CTTensor *)mean, (const CTTensor *)variance})
                ct::require(each->value.dim() == 1 && each->value.size(0) == x->value.size(1),
                            "scale, bias, mean and variance must have one value a channel");
            return ct::batch_norm_channels_last(x->value, scale->value, bias->value, mean->value, variance->value,
                                                update, epsilon);
        }
        if (is_plain)
            return at::batch_norm(x->value, scale->value, bias->value, mean->value, variance->value, training, update,
                                  epsilon, false);
        // One axis is a batch of one channel. Statistics may be of a wider type than the values they normalise.
        auto input = ct::widened(x->value);
        if (input.dim() == 1) input = input.unsqueeze(1);
        auto means = ct::as(mean->value, input).clone(), variances = ct::as(variance->value, input).clone();
        auto result = at::batch_norm(input, ct::as(scale->value, input), ct::as(bias->value, input), means, variances,
                                     training, update, epsilon, false);
        if (training && update != 0) {
            mean->value.copy_(means);
            variance->value.copy_(variances);
        }
        return result.reshape(x->value.sizes()).to(x->value.scalar_type());
    });
}

int ct_batch_norm_statistics(const CTTensor *x, const CTTensor *scale, const CTTensor *bias, const CTTensor *mean,
                             const CTTensor *variance, double momentum, double epsilon, CTTensor **outputs) {
    return ct::guarded([&] {
        auto input = ct::widened(x->value);
        std::vector<int64_t> axes;
        for (int64_t axis = 0; axis < input.dim(); axis++)
            if (axis != 1) axes.push_back(axis);
        auto [batch_variance, batch_mean] = at::var_mean(input, axes, false, true);
        auto normalized = (input - by_channel(batch_mean, input)) *
                          at::rsqrt(by_channel(batch_variance, input) + epsilon);
        auto result = normalized * by_channel(scale->value, input) + by_channel(bias->value, input);
        auto running = [&](const at::Tensor &before, const at::Tensor &batch) {
            auto batch_values = batch.reshape(before.sizes()).to(before.scalar_type());
            return before * momentum + batch_values * (1 - momentum);
        };
        ct::give(outputs, {result.to(x->value.scalar_type()), running(mean->value, batch_mean),
                           running(variance->value, batch_variance)});
    });
}

int ct_copy_values(CTTensor *target, const CTTensor *source) {
    return ct::guarded([&] {
        at::NoGradGuard guard;
        target->value.copy_(source->value);
    });
}

int ct_layer_norm_statistics(const CTTensor *x, const CTTensor *scale, const CTTensor *bias, int64_t axis,
                             double epsilon, CTTensor **outputs) {
    return ct::guarded([&] {
        auto input = ct::widened(x->value);
        auto axes = axes_from(axis, input.dim());
        auto [variance, mean] = at::var_mean(input, axes, false, true);
        auto inverse = at::rsqrt(variance + epsilon);
        // The file's operator rounds to the input's type between its two stages.
        auto result = ((input - mean) * inverse).to(x->value.scalar_type()) * scale->value;
        if (bias) result = result + bias->value;
        ct::require(result.sizes() == x->value.sizes(), "scale or bias do not broadcast to the input");
        ct::give(outputs, {result.to(x->value.scalar_type()), mean.to(at::kFloat), inverse.to(at::kFloat)});
    });
}

CTTensor *ct_rms_norm(const CTTensor *x, const CTTensor *scale, int64_t axis, double epsilon) {
    return ct::boxed([&] {
        auto input = ct::widened(x->value);
        auto mean_square = at::mean(input * input, axes_from(axis, input.dim()), true);
        auto result = (input * at::rsqrt(mean_square + epsilon)).to(x->value.scalar_type()) * scale->value;
        ct::require(result.sizes() == x->value.sizes(), "scale does not broadcast to the input");
        return result;
    });
}

CTTensor *ct_group_norm(const CTTensor *x, const CTTensor *scale, const CTTensor *bias, int64_t groups,
                        double epsilon) {
    return ct::boxed([&] {
        auto input = ct::widened(x->value);
        ct::require(input.dim() >= 2 && input.size(1) % groups == 0, "the channels are no multiple of the groups");
        int64_t channels = input.size(1);
        auto each = [&](const at::Tensor &parameter) {
            auto values = ct::as(parameter, input);
            ct::require(values.dim() == 1, "scale and bias must have one axis");
            if (values.size(0) == channels) return values;
            ct::require(values.size(0) == groups, "scale and bias must have a value a channel or a value a group");
            return values.repeat_interleave(channels / groups);
        };
        return at::group_norm(input, groups, each(scale->value), each(bias->value), epsilon, false)
            .to(x->value.scalar_type());
    });
}

CTTensor *ct_instance_norm(const CTTensor *x, const CTTensor *scale, const CTTensor *bias, double epsilon) {
    return ct::boxed([&] {
        auto input = ct::widened(x->value);
        ct::require(input.dim() >= 3, "the input must have three axes or more");
        return at::group_norm(input, input.size(1), ct::as(scale->value, input), ct::as(bias->value, input), epsilon,
                              false)
            .to(x->value.scalar_type());
    });
}

}
