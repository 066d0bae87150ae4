// Operators that transformers need beside those of operators.cpp.
#include <vector>

#include "internal.h"

extern "C" {

CTTensor *ct_layer_norm(const CTTensor *x, const CTTensor *scale, const CTTensor *bias, int64_t axis, double epsilon) {
    return ct::boxed([&] {
        auto normalized = x->value.sizes().slice(axis < 0 ? axis + x->value.dim() : axis);
        return at::layer_norm(x->value, normalized, scale->value, ct::optional(bias), epsilon);
    });
}

}
