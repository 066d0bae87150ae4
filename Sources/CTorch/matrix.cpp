// Matrix products, of floating and of integer matrices.
#include <cmath>

#include "batched_product.h"
#include "precision.h"

extern "C" {

CTTensor *ct_linear(const CTTensor *x, const CTTensor *w, const CTTensor *bias, bool transposed) {
    return ct::boxed([&] {
        // One product over all rows: three axes would make a batch of small ones, and their gradient another.
        const auto &input = x->value;
        auto rows = input.dim() == 2 ? input : input.reshape({-1, input.size(-1)});
        auto result = ct::linear(rows, w->value, bias->value, transposed);
        if (input.dim() == 2) return result;
        auto shape = input.sizes().vec();
        shape.back() = result.size(1);
        return result.view(shape);
    });
}

CTTensor *ct_gemm(const CTTensor *a, const CTTensor *b, const CTTensor *c, double alpha, double beta, bool trans_a,
                  bool trans_b) {
    return ct::boxed([&] {
        if (a->value.dim() != 2 || b->value.dim() != 2) throw std::runtime_error("A and B must have two axes");
        auto type = a->value.scalar_type();
        auto left = ct::widened(trans_a ? a->value.t() : a->value);
        // The common layer: x W^T + b in one call.
        if (trans_b && c && alpha == 1 && beta == 1 && c->value.dim() == 1)
            if (type == at::kFloat && left.size(1) == b->value.size(1) && c->value.size(0) == b->value.size(0))
                return ct::linear(left, b->value, c->value, true);
        auto right = ct::widened(trans_b ? b->value.t() : b->value);
        auto added = ct::widened(c);
        bool integral = at::isIntegralType(type, true);
        // Integers times a fraction: in float64, cut to integers at the end.
        auto whole = [](double value) { return value == std::trunc(value) && std::fabs(value) < 1e15; };
        bool fraction = integral && !(whole(alpha) && whole(beta));
        if (fraction) {
            left = left.to(at::kDouble);
            right = right.to(at::kDouble);
            if (added) added = added->to(at::kDouble);
        }
        auto scalar = [&](double value) {
            return integral && !fraction ? at::Scalar(static_cast<int64_t>(value)) : at::Scalar(value);
        };
        if (!added) {
            auto product = at::mm(left, right);
            return (alpha == 1 ? product : at::mul(product, scalar(alpha))).to(type);
        }
        return at::addmm(*added, left, right, scalar(beta), scalar(alpha)).to(type);
    });
}

CTTensor *ct_matmul(const CTTensor *a, const CTTensor *b) {
    return ct::boxed([&] {
        if (ct::multiplies_batches(a->value, b->value)) return ct::batched_product(a->value, b->value);
        if (a->value.scalar_type() != at::kHalf) return at::matmul(a->value, b->value);
        return at::matmul(ct::widened(a->value), ct::widened(b->value)).to(at::kHalf);
    });
}

CTTensor *ct_einsum(const char *equation, const CTTensor *const *operands, int count) {
    return ct::boxed([&] {
        std::vector<at::Tensor> tensors;
        for (int index = 0; index < count; index++) tensors.push_back(ct::widened(operands[index]->value));
        return at::einsum(equation, tensors).to(operands[0]->value.scalar_type());
    });
}

}
