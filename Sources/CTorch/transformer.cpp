// Operators that transformers need beside those of operators.cpp.
#include <vector>

#include "internal.h"

extern "C" {

CTTensor *ct_erf(const CTTensor *x) {
    return ct::boxed([&] { return at::erf(x->value); });
}

CTTensor *ct_tanh(const CTTensor *x) {
    return ct::boxed([&] { return at::tanh(x->value); });
}

CTTensor *ct_sqrt(const CTTensor *x) {
    return ct::boxed([&] { return at::sqrt(x->value); });
}

CTTensor *ct_sigmoid(const CTTensor *x) {
    return ct::boxed([&] { return at::sigmoid(x->value); });
}

CTTensor *ct_exp(const CTTensor *x) {
    return ct::boxed([&] { return at::exp(x->value); });
}

CTTensor *ct_log(const CTTensor *x) {
    return ct::boxed([&] { return at::log(x->value); });
}

CTTensor *ct_neg(const CTTensor *x) {
    return ct::boxed([&] { return at::neg(x->value); });
}

// The result has the type of the base, whatever the exponent's.
CTTensor *ct_pow(const CTTensor *x, const CTTensor *exponent) {
    return ct::boxed([&] { return at::pow(x->value, exponent->value).to(x->value.scalar_type()); });
}

CTTensor *ct_cast(const CTTensor *x, int type) {
    return ct::boxed([&] { return x->value.to(ct::scalar_type(type)); });
}

CTTensor *ct_layer_norm(const CTTensor *x, const CTTensor *scale, const CTTensor *bias, int64_t axis, double epsilon) {
    return ct::boxed([&] {
        auto normalized = x->value.sizes().slice(axis < 0 ? axis + x->value.dim() : axis);
        return at::layer_norm(x->value, normalized, scale->value, ct::optional(bias), epsilon);
    });
}

CTTensor *ct_gather(const CTTensor *x, const CTTensor *indices, int64_t axis) {
    return ct::boxed([&] {
        if (axis < 0) axis += x->value.dim();
        auto flat = indices->value.reshape({-1}).to(at::kLong);
        flat = at::where(flat < 0, flat + x->value.size(axis), flat);
        auto kept = x->value.sizes();
        std::vector<int64_t> shape(kept.begin(), kept.begin() + axis);
        shape.insert(shape.end(), indices->value.sizes().begin(), indices->value.sizes().end());
        shape.insert(shape.end(), kept.begin() + axis + 1, kept.end());
        return at::index_select(x->value, axis, flat).reshape(shape);
    });
}

CTTensor *ct_concat(const CTTensor *const *parts, int count, int64_t axis) {
    return ct::boxed([&] {
        std::vector<at::Tensor> tensors;
        for (int index = 0; index < count; index++) tensors.push_back(parts[index]->value);
        return at::cat(tensors, axis);
    });
}

CTTensor *ct_mean(const CTTensor *x, const int64_t *axes, int count, bool keep_axes) {
    return ct::boxed([&] {
        std::vector<int64_t> list(axes, axes + count);
        for (int64_t axis = 0; count == 0 && axis < x->value.dim(); axis++) list.push_back(axis);
        return list.empty() ? x->value : at::mean(x->value, list, keep_axes);
    });
}

}
