// Functions of one and of two elements, with ONNX's types and corner cases.
#include <limits>

#include "internal.h"
#include "precision.h"

namespace {

bool is_integral(const at::Tensor &x) { return at::isIntegralType(x.scalar_type(), false); }

at::Tensor unary(CTUnary function, const at::Tensor &x, double alpha, double beta) {
    switch (function) {
    case CT_UNARY_ABS: return at::abs(x);
    case CT_UNARY_CEIL: return at::ceil(x);
    case CT_UNARY_COS: return at::cos(x);
    case CT_UNARY_ERF: return at::erf(x);
    case CT_UNARY_EXP: return at::exp(x);
    case CT_UNARY_FLOOR: return at::floor(x);
    case CT_UNARY_LOG: return at::log(x);
    case CT_UNARY_NEG: return at::neg(x);
    case CT_UNARY_NOT: return at::logical_not(x);
    case CT_UNARY_RECIPROCAL: return at::reciprocal(x);
    case CT_UNARY_RELU: return at::relu(x);
    case CT_UNARY_ROUND: return at::round(x);  // half to even
    case CT_UNARY_SIGMOID: return at::sigmoid(x);
    case CT_UNARY_SIGN: return at::sign(x);
    case CT_UNARY_SIN: return at::sin(x);
    case CT_UNARY_SOFTPLUS: return at::softplus(x);
    case CT_UNARY_SOFTSIGN: return x / (1 + at::abs(x));
    case CT_UNARY_SQRT: return at::sqrt(x);
    case CT_UNARY_TANH: return at::tanh(x);
    case CT_UNARY_MISH: return at::mish(x);
    case CT_UNARY_HARD_SWISH: return at::hardswish(x);
    case CT_UNARY_IS_NAN: return at::isnan(x);
    case CT_UNARY_GELU: return at::gelu(x, "none");
    case CT_UNARY_GELU_TANH: return at::gelu(x, "tanh");
    case CT_UNARY_CELU: return at::clamp_min(x, 0) + at::clamp_max(alpha * at::expm1(x / alpha), 0);
    case CT_UNARY_ELU: return at::elu(x, alpha);
    case CT_UNARY_LEAKY_RELU: return at::leaky_relu(x, alpha);
    case CT_UNARY_SELU: return at::elu(x, alpha, beta);
    case CT_UNARY_HARD_SIGMOID: return at::clamp(alpha * x + beta, 0, 1);
    case CT_UNARY_IS_INF: {
        constexpr double infinity = std::numeric_limits<double>::infinity();
        auto found = at::zeros_like(x, at::kBool);
        if (alpha != 0) found = at::logical_or(found, x == -infinity);
        if (beta != 0) found = at::logical_or(found, x == infinity);
        return found;
    }
    }
    throw std::runtime_error("unknown function");
}

// The processor traps when the smallest integer is divided by -1: -1 is never divided by.
at::Tensor divided(const at::Tensor &a, const at::Tensor &b) {
    if (!is_integral(a)) return at::div(a, b);
    auto minus = b == -1;
    if (!minus.any().item<bool>()) return at::div(a, b, "trunc");
    return at::where(minus, at::neg(a), at::div(a, at::where(minus, at::ones_like(b), b), "trunc"));
}

at::Tensor remainder(const at::Tensor &a, const at::Tensor &b, bool sign_of_dividend) {
    // What -1 leaves, 1 leaves too: nothing.
    auto divisor = is_integral(b) ? at::where(b == -1, at::ones_like(b), b) : b;
    return sign_of_dividend ? at::fmod(a, divisor) : at::remainder(a, divisor);
}

at::Tensor binary(CTBinary function, const at::Tensor &a, const at::Tensor &b) {
    switch (function) {
    case CT_BINARY_ADD: return at::add(a, b);
    case CT_BINARY_SUB: return at::sub(a, b);
    case CT_BINARY_MUL: return at::mul(a, b);
    case CT_BINARY_DIV: return divided(a, b);
    case CT_BINARY_MAX: return at::maximum(a, b);
    case CT_BINARY_MIN: return at::minimum(a, b);
    case CT_BINARY_POW: return at::pow(a, b);
    case CT_BINARY_MOD: return remainder(a, b, false);
    case CT_BINARY_FMOD: return remainder(a, b, true);
    case CT_BINARY_PRELU: return at::where(a < 0, a * b, a);
    case CT_BINARY_AND: return at::logical_and(a, b);
    case CT_BINARY_OR: return at::logical_or(a, b);
    case CT_BINARY_XOR: return at::logical_xor(a, b);
    case CT_BINARY_EQUAL: return at::eq(a, b);
    case CT_BINARY_LESS: return at::lt(a, b);
    case CT_BINARY_LESS_OR_EQUAL: return at::le(a, b);
    case CT_BINARY_GREATER: return at::gt(a, b);
    case CT_BINARY_GREATER_OR_EQUAL: return at::ge(a, b);
    }
    throw std::runtime_error("unknown function");
}

// Rounds back to the type of an operand that was widened.
at::Tensor narrowed(const at::Tensor &result, const at::Tensor &operand) {
    return result.scalar_type() == at::kBool ? result : ct::as(result, operand);
}

at::Tensor bound(const CTTensor *value) {
    ct::require(value->value.numel() == 1, "a bound must be a single value");
    return value->value.reshape({});
}

}  // namespace

extern "C" {

CTTensor *ct_unary(CTUnary function, const CTTensor *x, double alpha, double beta) {
    return ct::boxed([&] { return narrowed(unary(function, ct::widened(x->value), alpha, beta), x->value); });
}

CTTensor *ct_binary(CTBinary function, const CTTensor *a, const CTTensor *b) {
    return ct::boxed([&] {
        ct::require(function == CT_BINARY_POW || a->value.scalar_type() == b->value.scalar_type(),
                    "the operands have different types");
        return narrowed(binary(function, ct::widened(a->value), ct::widened(b->value)), a->value);
    });
}

CTTensor *ct_clip(const CTTensor *x, const CTTensor *low, const CTTensor *high) {
    return ct::boxed([&] {
        if (!low && !high) return x->value;
        auto input = ct::widened(x->value);
        bool learned = (low && low->value.requires_grad()) || (high && high->value.requires_grad());
        if (learned) {
            c10::optional<at::Tensor> lower, upper;
            if (low) lower = ct::as(bound(low), input);
            if (high) upper = ct::as(bound(high), input);
            return ct::as(at::clamp(input, lower, upper), x->value);
        }
        c10::optional<at::Scalar> lower, upper;
        if (low) lower = bound(low).item();
        if (high) upper = bound(high).item();
        return ct::as(at::clamp(input, lower, upper), x->value);
    });
}

CTTensor *ct_where(const CTTensor *condition, const CTTensor *a, const CTTensor *b) {
    return ct::boxed([&] {
        ct::require(condition->value.scalar_type() == at::kBool, "the condition must be bool");
        ct::require(a->value.scalar_type() == b->value.scalar_type(), "the operands have different types");
        return at::where(condition->value, a->value, b->value);
    });
}

CTTensor *ct_cast(const CTTensor *x, int type) {
    return ct::boxed([&] { return x->value.to(ct::scalar_type(type)); });
}

}
