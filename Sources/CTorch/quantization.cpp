// Between real numbers and codes, and arithmetic on codes. Sums of products of 8-bit codes are taken in float64, which
// holds them exactly and has fast kernels; the rounding is the specification's, half to even.
#include <algorithm>
#include <cmath>
#include <vector>

#include "internal.h"
#include "precision.h"

namespace {

// A parameter (a scale or zero point) shaped to broadcast with `x`: one value, one a place of `axis`, or one a block.
at::Tensor along(const at::Tensor &parameter, const at::Tensor &x, int64_t axis, int64_t block) {
    if (block > 0) {
        ct::require(parameter.dim() == x.dim(), "a scale of blocks needs as many axes as the input");
        ct::require(0 <= axis && axis < x.dim(), "the axis lies outside the input");
        int64_t extent = x.size(axis);
        ct::require(parameter.size(axis) == extent / block + (extent % block != 0), "the blocks do not cover the axis");
        return at::repeat_interleave(parameter, std::min(block, std::max<int64_t>(extent, 1)), axis)
            .narrow(axis, 0, extent);
    }
    if (parameter.numel() == 1) return parameter.reshape({});
    ct::require(parameter.dim() == 1, "a scale must be one value or one for each place of an axis");
    ct::require(0 <= axis && axis < x.dim() && parameter.numel() == x.size(axis), "the scale does not fit the axis");
    std::vector<int64_t> shape(x.dim(), 1);
    shape[axis] = parameter.numel();
    return parameter.reshape(shape);
}

at::Tensor saturated(const at::Tensor &values, at::ScalarType type) {
    switch (type) {
    case at::kByte: return values.clamp(0, 255).to(type);
    case at::kChar: return values.clamp(-128, 127).to(type);
    case at::kShort: return values.clamp(-32768, 32767).to(type);
    default: throw std::runtime_error("codes must be uint8, int8 or int16");
    }
}

void require_fit(const CTTensor *scale, const CTTensor *zero_point) {
    ct::require(!zero_point || scale->value.numel() == zero_point->value.numel(),
                "scale and zero point differ in shape");
}

}  // namespace

extern "C" {

CTTensor *ct_quantize(const CTTensor *x, const CTTensor *scale, const CTTensor *zero_point, int type, int64_t axis,
                      int64_t block, int precision) {
    return ct::boxed([&] {
        require_fit(scale, zero_point);
        // The quotient has the precision of the scale unless the node says otherwise; halves are rounded to it.
        auto exact = precision ? ct::scalar_type(precision) : scale->value.scalar_type();
        auto wide = exact == at::kDouble ? at::kDouble : at::kFloat;
        auto quotient = x->value.to(exact).to(wide) / along(scale->value, x->value, axis, block).to(exact).to(wide);
        auto codes = at::round(quotient.to(exact).to(wide));
        if (zero_point) codes = codes + along(zero_point->value, x->value, axis, block).to(wide);
        return saturated(codes, ct::scalar_type(type));
    });
}

CTTensor *ct_dequantize(const CTTensor *x, const CTTensor *scale, const CTTensor *zero_point, int type, int64_t axis,
                        int64_t block) {
    return ct::boxed([&] {
        require_fit(scale, zero_point);
        auto codes = x->value;
        // In int64, where no difference of int32 codes overflows.
        if (zero_point && codes.scalar_type() == at::kInt) codes = codes.to(at::kLong);
        else codes = codes.to(at::kFloat);
        if (zero_point) codes = codes - along(zero_point->value, x->value, axis, block).to(codes.scalar_type());
        auto factor = ct::widened(along(scale->value, x->value, axis, block));
        return (codes.to(at::kFloat) * factor).to(ct::scalar_type(type));
    });
}

CTTensor *ct_fake_quantize(const CTTensor *x, const CTTensor *step, int64_t zero_point, int64_t low, int64_t high,
                           int64_t axis, bool whole) {
    return ct::boxed([&] {
        const auto &value = x->value;
        ct::require(value.scalar_type() == at::kFloat && step->value.scalar_type() == at::kFloat,
                    "simulated quantization is of float32");
        ct::require(low <= zero_point && zero_point <= high && low < high, "the zero point lies outside the codes");
        auto steps = step->value.reshape({-1}).abs().clamp_min(1e-12);
        if (axis < 0) {
            ct::require(steps.numel() == 1, "a step must be one value or one for each place of an axis");
        } else {
            ct::require(steps.numel() > 0 && axis < value.dim() && value.size(axis) == steps.numel(),
                        "the steps do not fit the axis");
        }
        auto zero_points = at::full({steps.numel()}, static_cast<double>(zero_point), steps.options());
        auto samples = whole || value.dim() == 0 ? 1 : std::max<int64_t>(1, value.size(0));
        auto shared = std::max<int64_t>(1, value.numel() / samples / (axis < 0 ? 1 : steps.numel()));
        auto factor = 1 / std::sqrt(static_cast<double>(shared) * static_cast<double>(std::max<int64_t>(1, high)));
        if (axis < 0) {
            return at::_fake_quantize_learnable_per_tensor_affine(value, steps, zero_points, low, high, factor);
        }
        return at::_fake_quantize_learnable_per_channel_affine(value, steps, zero_points, axis, low, high, factor);
    });
}

int ct_quantize_dynamically(const CTTensor *x, CTTensor **outputs) {
    return ct::guarded([&] {
        ct::require(x->value.numel() > 0, "there is no range of nothing");
        auto zero = at::zeros({}, x->value.options());
        auto low = at::minimum(x->value.min(), zero), high = at::maximum(x->value.max(), zero);
        auto scale = (high - low) / 255;
        // All zeros: any scale does.
        scale = at::where(scale == 0, at::ones_like(scale), scale);
        auto zero_point = at::round(at::clamp(-low / scale, 0, 255));
        auto codes = saturated(at::round(x->value / scale) + zero_point, at::kByte);
        ct::give(outputs, {codes, scale, zero_point.to(at::kByte)});
    });
}

CTTensor *ct_centered(const CTTensor *x, const CTTensor *zero_point, int64_t axis) {
    return ct::boxed([&] {
        auto values = x->value.to(at::kDouble);
        if (!zero_point) return values;
        // One for each row of a stack of matrices comes with all axes.
        bool full = zero_point->value.dim() > 1 && zero_point->value.dim() == x->value.dim();
        auto offset = full ? zero_point->value : along(zero_point->value, x->value, axis, 0);
        return values - offset.to(at::kDouble);
    });
}

CTTensor *ct_requantize(const CTTensor *sums, const CTTensor *a_scale, int64_t a_axis, const CTTensor *b_scale,
                        int64_t b_axis, const CTTensor *scale, const CTTensor *zero_point) {
    return ct::boxed([&] {
        auto factor = [&](const CTTensor *parameter, int64_t axis) {
            bool full = parameter->value.dim() > 1 && parameter->value.dim() == sums->value.dim();
            auto value = full ? parameter->value : along(parameter->value, sums->value, axis, 0);
            return value.to(at::kFloat);
        };
        int64_t last = sums->value.dim() - 1;
        auto multiplier = factor(a_scale, a_axis) * factor(b_scale, b_axis) / factor(scale, last);
        auto codes = at::round(sums->value.to(at::kFloat) * multiplier);
        bool full = zero_point->value.dim() > 1 && zero_point->value.dim() == sums->value.dim();
        auto offset = full ? zero_point->value : along(zero_point->value, sums->value, last, 0);
        return saturated(codes + offset.to(at::kFloat), zero_point->value.scalar_type());
    });
}

}
