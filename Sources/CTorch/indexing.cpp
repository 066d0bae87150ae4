// Gathers and scatters, with ONNX's negative indices. Every index is checked before it is used.
#include <vector>

#include "internal.h"
#include "precision.h"

namespace {

// Indices as int64, counted from the front of an axis of `extent`.
at::Tensor resolved(const at::Tensor &indices, int64_t extent) {
    auto type = indices.scalar_type();
    ct::require(type == at::kLong || type == at::kInt, "indices must be int64 or int32");
    auto places = indices.to(at::kLong);
    if (places.numel() == 0) return places;
    if (places.min().item<int64_t>() < -extent || places.max().item<int64_t>() >= extent)
        throw std::runtime_error("an index is out of range for an axis of " + std::to_string(extent));
    return at::where(places < 0, places + extent, places);
}

// Index tuples along the last axis, as places in the row-major order of `extents`.
at::Tensor places(const at::Tensor &tuples, at::IntArrayRef extents) {
    auto sizes = tuples.sizes();
    auto result = at::zeros(sizes.slice(0, sizes.size() - 1), tuples.options().dtype(at::kLong));
    for (size_t axis = 0; axis < extents.size(); axis++)
        result = result * extents[axis] + resolved(tuples.select(-1, axis), extents[axis]);
    return result;
}

int64_t product(at::IntArrayRef extents) {
    int64_t result = 1;
    for (auto extent : extents) result *= extent;
    return result;
}

std::vector<int64_t> joined(at::IntArrayRef a, at::IntArrayRef b) {
    std::vector<int64_t> result(a.begin(), a.end());
    result.insert(result.end(), b.begin(), b.end());
    return result;
}

const char *name(CTScatter mode) {
    switch (mode) {
    case CT_SCATTER_ADD: return "sum";
    case CT_SCATTER_MUL: return "prod";
    case CT_SCATTER_MAX: return "amax";
    case CT_SCATTER_MIN: return "amin";
    default: throw std::runtime_error("unknown mode");
    }
}

}  // namespace

extern "C" {

CTTensor *ct_gather(const CTTensor *x, const CTTensor *indices, int64_t axis) {
    return ct::boxed([&] {
        auto flat = resolved(indices->value, x->value.size(axis)).reshape({-1});
        auto kept = x->value.sizes();
        auto shape = joined(joined(kept.slice(0, axis), indices->value.sizes()), kept.slice(axis + 1));
        return at::index_select(x->value, axis, flat).reshape(shape);
    });
}

CTTensor *ct_gather_elements(const CTTensor *x, const CTTensor *indices, int64_t axis) {
    return ct::boxed([&] { return at::gather(x->value, axis, resolved(indices->value, x->value.size(axis))); });
}

CTTensor *ct_gather_places(const CTTensor *x, const CTTensor *indices, int64_t batch_axes) {
    return ct::boxed([&] {
        auto data = x->value.sizes(), tuples = indices->value.sizes();
        ct::require(0 <= batch_axes && batch_axes < (int64_t)tuples.size(), "batch_dims exceeds the indices' axes");
        int64_t length = tuples.back();
        ct::require(batch_axes + length <= (int64_t)data.size(), "the indices are longer than the data has axes");
        auto batch = data.slice(0, batch_axes), rest = data.slice(batch_axes + length);
        ct::require(batch == tuples.slice(0, batch_axes), "the batch axes differ");
        auto inner = data.slice(batch_axes, length);
        int64_t batches = product(batch), size = product(inner);
        auto between = tuples.slice(batch_axes, tuples.size() - 1 - batch_axes);
        auto flat = places(indices->value, inner).reshape({batches, product(between)});
        flat = flat + at::arange(batches, flat.options()).unsqueeze(1) * size;
        auto rows = x->value.reshape(joined({batches * size}, rest));
        return at::index_select(rows, 0, flat.reshape({-1})).reshape(joined(joined(batch, between), rest));
    });
}

CTTensor *ct_scatter_elements(const CTTensor *x, const CTTensor *indices, const CTTensor *updates, int64_t axis,
                              CTScatter mode) {
    return ct::boxed([&] {
        ct::require(indices->value.sizes() == updates->value.sizes(), "indices and updates differ in shape");
        auto places = resolved(indices->value, x->value.size(axis));
        if (mode == CT_SCATTER_SET) return at::scatter(x->value, axis, places, updates->value);
        auto input = ct::widened(x->value);
        auto result = at::scatter_reduce(input, axis, places, ct::as(updates->value, input), name(mode), true);
        return ct::as(result, x->value);
    });
}

CTTensor *ct_scatter_places(const CTTensor *x, const CTTensor *indices, const CTTensor *updates, CTScatter mode) {
    return ct::boxed([&] {
        auto data = x->value.sizes(), tuples = indices->value.sizes();
        ct::require(!tuples.empty() && tuples.back() <= (int64_t)data.size(),
                    "the indices are longer than the data has axes");
        auto inner = data.slice(0, tuples.back()), rest = data.slice(tuples.back());
        auto between = tuples.slice(0, tuples.size() - 1);
        ct::require(updates->value.sizes() == at::IntArrayRef(joined(between, rest)), "the updates have another shape");
        auto flat = places(indices->value, inner).reshape({-1});
        auto input = ct::widened(x->value);
        auto rows = input.reshape(joined({product(inner)}, rest));
        auto changes = ct::as(updates->value, input).reshape(joined({flat.numel()}, rest));
        at::Tensor result;
        if (mode == CT_SCATTER_SET)
            result = at::index_put(rows, {flat}, changes);
        else if (mode == CT_SCATTER_ADD)
            // Not index_put, which adds to one place from several threads in any order.
            result = at::index_add(rows, 0, flat, changes);
        else
            result = at::index_reduce(rows, 0, flat, changes, name(mode), true);
        return ct::as(result.reshape(data), x->value);
    });
}

CTTensor *ct_one_hot(const CTTensor *indices, int64_t depth, const CTTensor *values, int64_t axis) {
    return ct::boxed([&] {
        ct::require(values->value.numel() == 2 && values->value.dim() == 1, "values must be the off and the on value");
        auto places = indices->value.to(at::kLong).unsqueeze(axis);
        places = at::where(places < 0, places + depth, places);
        std::vector<int64_t> shape(places.dim(), 1);
        shape.at(axis) = depth;
        auto hot = places == at::arange(depth, places.options()).reshape(shape);
        return at::where(hot, values->value[1], values->value[0]);
    });
}

CTTensor *ct_non_zero(const CTTensor *x) {
    return ct::boxed([&] { return at::nonzero(x->value).t().contiguous(); });
}

}
