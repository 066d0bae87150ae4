// Operators that move elements or make them from nothing.
#include <algorithm>
#include <vector>

#include "internal.h"
#include "precision.h"

extern "C" {

CTTensor *ct_reshape(const CTTensor *x, const int64_t *dims, int rank) {
    return ct::boxed([&] { return x->value.reshape(ct::list(dims, rank)); });
}

CTTensor *ct_transpose(const CTTensor *x, const int64_t *permutation, int rank) {
    return ct::boxed([&] { return x->value.permute(ct::list(permutation, rank)); });
}

CTTensor *ct_expand(const CTTensor *x, const int64_t *dims, int rank) {
    return ct::boxed([&] { return x->value.expand(ct::list(dims, rank)); });
}

CTTensor *ct_tile(const CTTensor *x, const int64_t *repeats, int rank) {
    return ct::boxed([&] { return x->value.repeat(ct::list(repeats, rank)); });
}

CTTensor *ct_slice(const CTTensor *x, int64_t axis, int64_t start, int64_t count, int64_t step) {
    return ct::boxed([&] {
        if (count == 0) return x->value.narrow(axis, 0, 0);
        int64_t last = start + (count - 1) * step;
        if (step > 0) return x->value.slice(axis, start, last + 1, step);
        // ATen steps forward only.
        return at::flip(x->value.slice(axis, last, start + 1, -step), {axis});
    });
}

CTTensor *ct_concat(const CTTensor *const *parts, int count, int64_t axis) {
    return ct::boxed([&] {
        std::vector<at::Tensor> tensors;
        for (int index = 0; index < count; index++) {
            tensors.push_back(parts[index]->value);
            ct::require(tensors[index].scalar_type() == tensors[0].scalar_type(), "the parts have different types");
        }
        return at::cat(tensors, axis);
    });
}

CTTensor *ct_triangle(const CTTensor *x, int64_t k, bool upper) {
    return ct::boxed([&] {
        ct::require(x->value.dim() >= 2, "a triangle needs two axes");
        // Beyond the corners nothing changes any more.
        int64_t reach = x->value.size(-1) + x->value.size(-2);
        k = std::min(std::max(k, -reach), reach);
        return upper ? at::triu(x->value, k) : at::tril(x->value, k);
    });
}

CTTensor *ct_full(const CTTensor *value, const int64_t *dims, int rank) {
    return ct::boxed([&] {
        ct::require(value->value.numel() == 1, "it must be a single value");
        return value->value.reshape({}).expand(ct::list(dims, rank)).contiguous();
    });
}

CTTensor *ct_range(const CTTensor *start, const CTTensor *delta, int64_t count) {
    return ct::boxed([&] {
        auto steps = at::arange(count, start->value.options().dtype(at::kLong));
        auto type = start->value.scalar_type();
        if (at::isIntegralType(type, false))
            return (start->value.reshape({}).to(at::kLong) + steps * delta->value.reshape({}).to(at::kLong)).to(type);
        auto first = start->value.reshape({}).to(at::kDouble), step = delta->value.reshape({}).to(at::kDouble);
        return (first + steps.to(at::kDouble) * step).to(type);
    });
}

}
