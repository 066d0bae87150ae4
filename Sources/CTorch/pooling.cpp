// Pooling with ONNX's windows. ATen pools with equal padding on both sides of at most half a kernel; ONNX allows any.
#include <limits>

#include "max_pool.h"
#include "padding.h"
#include "precision.h"

namespace {

// Pads that make each of the `extents` windows whole: what a window reaches beyond the input is padding too.
std::vector<int64_t> whole_windows(const at::Tensor &x, const int64_t *kernel, const int64_t *strides,
                                   const int64_t *begins, const int64_t *dilations, const int64_t *extents,
                                   int spatial) {
    std::vector<int64_t> pads(begins, begins + spatial);
    for (int axis = 0; axis < spatial; axis++) {
        int64_t reach = (extents[axis] - 1) * strides[axis] + (kernel[axis] - 1) * dilations[axis] + 1;
        pads.push_back(std::max<int64_t>(0, reach - begins[axis] - x.size(axis + 2)));
    }
    return pads;
}

at::Tensor cut(const at::Tensor &x, const int64_t *extents, int spatial) {
    auto result = x;
    for (int axis = 0; axis < spatial; axis++)
        if (result.size(axis + 2) > extents[axis]) result = result.narrow(axis + 2, 0, extents[axis]);
    return result;
}

// From places in a padded plane to places in the whole unpadded tensor, row-major or column-major within a plane.
at::Tensor onnx_places(const at::Tensor &places, const at::Tensor &x, at::IntArrayRef padded, const int64_t *begins,
                       int spatial, bool column_major) {
    auto rest = places;
    auto result = at::zeros_like(places);
    int64_t plane = 1;
    std::vector<int64_t> steps(spatial);
    for (int index = 0; index < spatial; index++) {
        int axis = column_major ? index : spatial - 1 - index;
        steps[axis] = plane;
        plane *= x.size(axis + 2);
    }
    for (int axis = spatial - 1; axis >= 0; axis--) {
        auto place = at::remainder(rest, padded[axis + 2]);
        rest = at::div(rest, padded[axis + 2], "floor");
        result = result + (place - begins[axis]).clamp(0, x.size(axis + 2) - 1) * steps[axis];
    }
    std::vector<int64_t> shape(spatial + 2, 1);
    shape[0] = x.size(0);
    shape[1] = x.size(1);
    return result + at::arange(shape[0] * shape[1], places.options()).reshape(shape) * plane;
}

at::Tensor over_space(const at::Tensor &x, bool maximum) {
    std::vector<int64_t> axes;
    for (int64_t axis = 2; axis < x.dim(); axis++) axes.push_back(axis);
    if (axes.empty()) return x;
    return maximum ? at::amax(x, axes, true) : at::mean(ct::widened(x), axes, true).to(x.scalar_type());
}

}  // namespace

extern "C" {

CTTensor *ct_max_pool(const CTTensor *x, const int64_t *kernel, const int64_t *strides, const int64_t *pads,
                      const int64_t *dilations, int spatial, bool ceil_mode) {
    return ct::boxed([&] {
        ct::require(ct::symmetric(pads, spatial), "asymmetric padding");
        const auto &input = x->value;
        auto k = ct::list(kernel, spatial), s = ct::list(strides, spatial), d = ct::list(dilations, spatial);
        auto padding = ct::list(pads, spatial);
        if (spatial == 2 && ct::pools_by_halves(input, k, s, padding, d, ceil_mode)) return ct::max_pool_halves(input);
        if (spatial == 1) return at::max_pool1d(input, k, s, padding, d, ceil_mode);
        if (spatial == 2) return at::max_pool2d(input, k, s, padding, d, ceil_mode);
        return at::max_pool3d(input, k, s, padding, d, ceil_mode);
    });
}

int ct_max_pool_windows(const CTTensor *x, const int64_t *kernel, const int64_t *strides, const int64_t *begins,
                        const int64_t *dilations, const int64_t *extents, int spatial, bool column_major,
                        CTTensor **outputs) {
    return ct::guarded([&] {
        auto type = x->value.scalar_type();
        bool codes = type == at::kByte || type == at::kChar;
        // Every code of 8 bits is a float32 of its own, so their order stays.
        auto input = codes ? x->value.to(at::kFloat) : ct::widened(x->value);
        double lowest = -std::numeric_limits<double>::infinity();
        if (codes) lowest = type == at::kByte ? 0 : -128;
        auto pads = whole_windows(input, kernel, strides, begins, dilations, extents, spatial);
        input = ct::padded(input, pads.data(), spatial, lowest);
        auto k = ct::list(kernel, spatial), s = ct::list(strides, spatial), d = ct::list(dilations, spatial);
        std::vector<int64_t> none(spatial, 0);
        auto [values, places] = spatial == 1   ? at::max_pool1d_with_indices(input, k, s, none, d, false)
                                : spatial == 2 ? at::max_pool2d_with_indices(input, k, s, none, d, false)
                                               : at::max_pool3d_with_indices(input, k, s, none, d, false);
        values = cut(values, extents, spatial);
        places = cut(places, extents, spatial);
        places = onnx_places(places, x->value, input.sizes(), begins, spatial, column_major);
        ct::give(outputs, {values.to(type), places});
    });
}

CTTensor *ct_average_pool(const CTTensor *x, const int64_t *kernel, const int64_t *strides, const int64_t *pads,
                          int spatial, bool ceil_mode, bool count_padding) {
    return ct::boxed([&] {
        ct::require(ct::symmetric(pads, spatial), "asymmetric padding");
        auto k = ct::list(kernel, spatial), s = ct::list(strides, spatial), p = ct::list(pads, spatial);
        if (spatial == 1) return at::avg_pool1d(x->value, k, s, p, ceil_mode, count_padding);
        if (spatial == 2) return at::avg_pool2d(x->value, k, s, p, ceil_mode, count_padding);
        return at::avg_pool3d(x->value, k, s, p, ceil_mode, count_padding);
    });
}

CTTensor *ct_average_pool_windows(const CTTensor *x, const int64_t *kernel, const int64_t *strides,
                                  const int64_t *pads, const int64_t *dilations, const int64_t *extents, int spatial,
                                  bool count_padding) {
    return ct::boxed([&] {
        auto input = ct::widened(x->value);
        auto whole = whole_windows(input, kernel, strides, pads, dilations, extents, spatial);
        std::vector<int64_t> plane(input.sizes().begin() + 2, input.sizes().end());
        std::vector<int64_t> none(spatial, 0), planes{-1, 1}, one{1, 1};
        planes.insert(planes.end(), plane.begin(), plane.end());
        one.insert(one.end(), plane.begin(), plane.end());
        std::vector<int64_t> window{1, 1};
        window.insert(window.end(), kernel, kernel + spatial);
        // A sum over windows is a convolution with ones, which knows dilations where ATen's means do not.
        auto sums = [&](const at::Tensor &values) {
            auto summed = at::convolution(values, at::ones(window, input.options()), c10::nullopt,
                                          ct::list(strides, spatial), none, ct::list(dilations, spatial), false, none, 1);
            return cut(summed, extents, spatial);
        };
        auto total = sums(ct::padded(input.reshape(planes), whole.data(), spatial, 0));
        // What counts: the input and, when asked, the node's own padding; never what rounding up adds.
        auto counted = at::ones(one, input.options());
        if (count_padding) {
            counted = ct::padded(counted, pads, spatial, 1);
            for (int axis = 0; axis < spatial; axis++) {
                whole[axis] = 0;
                whole[axis + spatial] -= pads[axis + spatial];
            }
        }
        auto result = total / sums(ct::padded(counted, whole.data(), spatial, 0));
        std::vector<int64_t> shape{input.size(0), input.size(1)};
        shape.insert(shape.end(), extents, extents + spatial);
        return result.reshape(shape).to(x->value.scalar_type());
    });
}

CTTensor *ct_global_average_pool(const CTTensor *x) {
    return ct::boxed([&] { return over_space(x->value, false); });
}

CTTensor *ct_global_max_pool(const CTTensor *x) {
    return ct::boxed([&] { return over_space(x->value, true); });
}

}
