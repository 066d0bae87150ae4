// Operators with ONNX's conventions on top of ATen's.
#include <vector>

#include "internal.h"

namespace {

// A per-axis parameter, shaped to broadcast along `axis` of `x`.
at::Tensor along(const at::Tensor &parameter, const at::Tensor &x, int64_t axis) {
    if (axis < 0 || parameter.numel() == 1) return parameter.reshape({});
    std::vector<int64_t> shape(x.dim(), 1);
    shape.at(axis) = parameter.numel();
    return parameter.reshape(shape);
}

}  // namespace

extern "C" {

CTTensor *ct_relu(const CTTensor *x) {
    return ct::boxed([&] { return at::relu(x->value); });
}

CTTensor *ct_clip(const CTTensor *x, const double *low, const double *high) {
    return ct::boxed([&] {
        c10::optional<at::Scalar> lower, upper;
        if (low) lower = *low;
        if (high) upper = *high;
        return lower || upper ? at::clamp(x->value, lower, upper) : x->value;
    });
}

CTTensor *ct_add(const CTTensor *a, const CTTensor *b) {
    return ct::boxed([&] { return at::add(a->value, b->value); });
}

CTTensor *ct_sub(const CTTensor *a, const CTTensor *b) {
    return ct::boxed([&] { return at::sub(a->value, b->value); });
}

CTTensor *ct_mul(const CTTensor *a, const CTTensor *b) {
    return ct::boxed([&] { return at::mul(a->value, b->value); });
}

CTTensor *ct_div(const CTTensor *a, const CTTensor *b) {
    return ct::boxed([&] {
        // ONNX divides integers as C does.
        bool integral = at::isIntegralType(a->value.scalar_type(), true);
        return integral ? at::div(a->value, b->value, "trunc") : at::div(a->value, b->value);
    });
}

CTTensor *ct_reshape(const CTTensor *x, const int64_t *dims, int rank) {
    return ct::boxed([&] { return x->value.reshape(ct::list(dims, rank)); });
}

CTTensor *ct_transpose(const CTTensor *x, const int64_t *permutation, int rank) {
    return ct::boxed([&] { return x->value.permute(ct::list(permutation, rank)); });
}

CTTensor *ct_quantize(const CTTensor *x, const CTTensor *scale, const CTTensor *zero_point, int type, int64_t axis) {
    return ct::boxed([&] {
        // at::round rounds half to even, as ONNX asks.
        auto codes = at::round(x->value / along(scale->value, x->value, axis));
        if (zero_point) codes = codes + along(zero_point->value, x->value, axis).to(at::kFloat);
        return type == CT_UINT8 ? codes.clamp(0, 255).to(at::kByte) : codes.clamp(-128, 127).to(at::kChar);
    });
}

CTTensor *ct_dequantize(const CTTensor *x, const CTTensor *scale, const CTTensor *zero_point, int64_t axis) {
    return ct::boxed([&] {
        auto values = x->value.to(at::kFloat);
        if (zero_point) values = values - along(zero_point->value, x->value, axis).to(at::kFloat);
        return values * along(scale->value, x->value, axis);
    });
}

}
