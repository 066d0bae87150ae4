// Reductions along axes, and what is found by comparing along one.
#include <ATen/Dispatch.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "internal.h"
#include "precision.h"

namespace {

// Sums that need fractions along the way: integers take float64.
at::Tensor fractional(const at::Tensor &x) {
    return at::isFloatingType(x.scalar_type()) ? ct::widened(x) : x.to(at::kDouble);
}

at::Tensor extreme(const at::Tensor &x, at::IntArrayRef axes, bool keep, bool largest) {
    bool empty = false;
    for (auto axis : axes) empty = empty || x.size(axis) == 0;
    if (!empty) {
        // ATen's bool has an order but no kernel for it everywhere.
        auto input = x.scalar_type() == at::kBool ? x.to(at::kByte) : ct::widened(x);
        return ct::as(largest ? at::amax(input, axes, keep) : at::amin(input, axes, keep), x);
    }
    // Of nothing: the neutral element, the least (or largest) value of the type.
    auto shape = at::sum(at::zeros_like(x, at::kFloat), axes, keep);
    auto value = at::empty({}, x.options());
    AT_DISPATCH_ALL_TYPES_AND3(at::kBool, at::kHalf, at::kBFloat16, x.scalar_type(), "extreme", [&] {
        using limits = std::numeric_limits<scalar_t>;
        auto low = limits::has_infinity ? -limits::infinity() : limits::lowest();
        auto high = limits::has_infinity ? limits::infinity() : limits::max();
        value.fill_(static_cast<scalar_t>(largest ? low : high));
    });
    return value.expand(shape.sizes()).contiguous();
}

at::Tensor product(const at::Tensor &x, std::vector<int64_t> axes, bool keep) {
    std::sort(axes.rbegin(), axes.rend());
    auto result = ct::widened(x);
    for (auto axis : axes) result = at::prod(result, axis, keep, result.scalar_type());
    return ct::as(result, x);
}

at::Tensor total(const at::Tensor &x, at::IntArrayRef axes, bool keep) {
    return at::sum(x, axes, keep, x.scalar_type());
}

at::Tensor reduced(CTReduction reduction, const at::Tensor &x, const std::vector<int64_t> &axes, bool keep) {
    auto input = ct::widened(x);
    switch (reduction) {
    case CT_REDUCE_MEAN: return at::mean(fractional(x), axes, keep);
    case CT_REDUCE_SUM: return total(input, axes, keep);
    case CT_REDUCE_MAX: return extreme(x, axes, keep, true);
    case CT_REDUCE_MIN: return extreme(x, axes, keep, false);
    case CT_REDUCE_PROD: return product(x, axes, keep);
    case CT_REDUCE_L1: return total(at::abs(input), axes, keep);
    // Unlike the root of a sum of squares, the norm has a gradient at 0.
    case CT_REDUCE_L2: return at::linalg_vector_norm(fractional(x), 2, axes, keep);
    case CT_REDUCE_SUM_SQUARE: return total(input * input, axes, keep);
    case CT_REDUCE_LOG_SUM: return at::log(total(fractional(x), axes, keep));
    case CT_REDUCE_LOG_SUM_EXP: return at::logsumexp(fractional(x), axes, keep);
    }
    throw std::runtime_error("unknown reduction");
}

}  // namespace

extern "C" {

CTTensor *ct_reduce(CTReduction reduction, const CTTensor *x, const int64_t *axes, int count, bool keep_axes) {
    return ct::boxed([&] {
        auto input = x->value;
        std::vector<int64_t> list(axes, axes + count);
        // ATen takes no axes for all axes: an axis of one element makes "none" explicit.
        bool none = count == 0;
        if (none) {
            list.push_back(input.dim());
            input = input.unsqueeze(-1);
        }
        return ct::as(reduced(reduction, input, list, keep_axes && !none), x->value);
    });
}

CTTensor *ct_arg_extreme(const CTTensor *x, int64_t axis, bool largest, bool keep_axis, bool last) {
    return ct::boxed([&] {
        auto input = ct::widened(x->value);
        if (input.dim() == 0) return at::zeros({}, input.options().dtype(at::kLong));
        ct::require(input.size(axis) > 0, "an axis without elements has no extreme");
        if (last) input = at::flip(input, {axis});
        auto found = largest ? at::argmax(input, axis, keep_axis) : at::argmin(input, axis, keep_axis);
        return last ? input.size(axis) - 1 - found : found;
    });
}

int ct_top_k(const CTTensor *x, int64_t k, int64_t axis, bool largest, CTTensor **outputs) {
    return ct::guarded([&] {
        ct::require(x->value.dim() > 0, "a scalar has no axis");
        ct::require(0 <= k && k <= x->value.size(axis), "k exceeds the axis");
        auto order = std::get<1>(at::sort(ct::widened(x->value).detach(), true, axis, largest));
        auto places = order.narrow(axis, 0, k);
        ct::give(outputs, {at::gather(x->value, axis, places), places.contiguous()});
    });
}

CTTensor *ct_cumulative_sum(const CTTensor *x, int64_t axis, bool exclusive, bool reverse) {
    return ct::boxed([&] {
        ct::require(x->value.dim() > 0, "a scalar has no axis");
        auto input = ct::widened(x->value);
        if (reverse) input = at::flip(input, {axis});
        auto sums = at::cumsum(input, axis, input.scalar_type());
        if (exclusive && sums.size(axis) > 0) {
            auto zero = at::zeros_like(sums.narrow(axis, 0, 1));
            sums = at::cat({zero, sums.narrow(axis, 0, sums.size(axis) - 1)}, axis);
        }
        return ct::as(reverse ? at::flip(sums, {axis}) : sums, x->value);
    });
}

}
