// Resize, one axis after the other: each output place is a weighted sum of a few input places.
#include <cmath>

#include "precision.h"

namespace {

// For each output place of an axis: the input places it reads, clamped to the axis, and their weights.
struct Taps {
    int64_t count;
    std::vector<int64_t> places;
    std::vector<double> weights;
    std::vector<uint8_t> outside;
};

double coordinate(const CTResizeAxis &axis, const CTResize &settings, int64_t place) {
    double in = static_cast<double>(axis.input), length = axis.scale * in, y = static_cast<double>(place);
    switch (settings.coordinates) {
    case CT_ALIGN_CORNERS: return length == 1 ? 0 : y * (in - 1) / (length - 1);
    case CT_ASYMMETRIC: return y / axis.scale;
    case CT_CROP_AND_RESIZE: {
        double reach = (axis.end - axis.start) * (in - 1);
        return axis.start * (in - 1) + (length == 1 ? reach / 2 : y * reach / (length - 1));
    }
    case CT_PYTORCH_HALF_PIXEL: return length == 1 ? -0.5 : (y + 0.5) / axis.scale - 0.5;
    case CT_HALF_PIXEL_SYMMETRIC: {
        double adjustment = static_cast<double>(axis.output) / length;
        return in / 2 * (1 - adjustment) + (y + 0.5) / axis.scale - 0.5;
    }
    default: return (y + 0.5) / axis.scale - 0.5;
    }
}

double nearest(double x, int mode) {
    switch (mode) {
    case CT_FLOOR: return std::floor(x);
    case CT_CEIL: return std::ceil(x);
    case CT_ROUND_PREFER_CEIL: return std::floor(x + 0.5);
    default: return std::ceil(x - 0.5);
    }
}

// Keys' cubic convolution kernel (Keys 1981, equation 15).
double cubic(double x, double a) {
    x = std::fabs(x);
    if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
    if (x < 2) return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a;
    return 0;
}

int64_t clamped(double place, int64_t extent) {
    return static_cast<int64_t>(std::min(std::max(place, 0.0), static_cast<double>(extent - 1)));
}

Taps taps(const CTResizeAxis &axis, const CTResize &settings) {
    Taps taps;
    // Shrinking with antialiasing widens the kernel by the scale.
    double width = settings.antialias ? std::min(axis.scale, 1.0) : 1.0;
    double reach = settings.mode == CT_CUBIC ? 2 : 1;
    // No places, no kernel: the scale is 0.
    if (axis.output == 0) width = 1;
    ct::require(reach <= width * static_cast<double>(int64_t(1) << 19), "a kernel this wide is not supported");
    int64_t first = static_cast<int64_t>(std::floor(-reach / width)) + 1;
    taps.count = settings.mode == CT_NEAREST ? 1 : 2 - 2 * first;
    // A weight for every input place is the most there can be without repeating the edges; beyond that something is
    // wrong with the scale.
    ct::require(taps.count <= (int64_t(1) << 20) && taps.count * axis.output <= (int64_t(1) << 28),
                "a kernel this wide is not supported");
    for (int64_t place = 0; place < axis.output; place++) {
        double x = coordinate(axis, settings, place);
        ct::require(std::isfinite(x), "the scales or the region give no finite coordinates");
        taps.outside.push_back(settings.coordinates == CT_CROP_AND_RESIZE &&
                               (x < 0 || x > static_cast<double>(axis.input - 1)));
        if (settings.mode == CT_NEAREST) {
            taps.places.push_back(clamped(nearest(x, settings.nearest), axis.input));
            continue;
        }
        // The fraction lies in (0, 1]: a place on the grid counts as the end of the step to it.
        double base = std::ceil(x) - 1, fraction = x - base, sum = 0;
        size_t start = taps.weights.size();
        for (int64_t index = first; index < first + taps.count; index++) {
            double distance = width * (static_cast<double>(index) - fraction), at = base + static_cast<double>(index);
            double weight = settings.mode == CT_CUBIC ? cubic(distance, settings.cubic_coefficient)
                                                      : std::max(0.0, 1 - std::fabs(distance));
            if (settings.exclude_outside && (at < 0 || at > static_cast<double>(axis.input - 1))) weight = 0;
            taps.places.push_back(clamped(at, axis.input));
            taps.weights.push_back(weight);
            sum += weight;
        }
        if ((settings.antialias || settings.exclude_outside) && sum != 0)
            for (size_t index = start; index < taps.weights.size(); index++) taps.weights[index] /= sum;
    }
    return taps;
}

template <typename Value>
at::Tensor tensor(const std::vector<Value> &values, at::ScalarType type, at::IntArrayRef shape) {
    auto result = at::empty(shape, type);
    std::copy(values.begin(), values.end(), result.data_ptr<Value>());
    return result;
}

at::Tensor resized(const at::Tensor &x, const CTResizeAxis &axis, const CTResize &settings, at::Tensor &outside) {
    auto taps = ::taps(axis, settings);
    auto places = tensor(taps.places, at::kLong, {axis.output, taps.count});
    std::vector<int64_t> shape(x.dim(), 1);
    shape[axis.axis] = axis.output;
    if (settings.coordinates == CT_CROP_AND_RESIZE) {
        auto mask = tensor(taps.outside, at::kByte, shape).to(at::kBool);
        outside = outside.defined() ? at::logical_or(outside, mask) : mask;
    }
    if (settings.mode == CT_NEAREST) return at::index_select(x, axis.axis, places.reshape({-1}));
    auto weights = tensor(taps.weights, at::kDouble, {axis.output, taps.count}).to(x.scalar_type());
    if (taps.count <= 4) {
        at::Tensor sum;
        for (int64_t tap = 0; tap < taps.count; tap++) {
            auto part = at::index_select(x, axis.axis, places.select(1, tap)) * weights.select(1, tap).reshape(shape);
            sum = sum.defined() ? sum + part : part;
        }
        return sum;
    }
    ct::require(axis.input * axis.output <= (int64_t(1) << 28), "antialiasing axes this long is not supported");
    auto matrix = at::zeros({axis.output, axis.input}, weights.options()).scatter_add_(1, places, weights);
    return at::matmul(x.movedim(axis.axis, -1), matrix.t()).movedim(-1, axis.axis);
}

// ATen's own kernels, where every coordinate and weight is the same.
bool by_aten(const at::Tensor &x, const CTResizeAxis *axes, int count, const CTResize &settings, at::Tensor &result) {
    if (x.dim() != 4 || count != 2 || axes[0].axis != 2 || axes[1].axis != 3 || x.numel() == 0) return false;
    bool powers = true;
    for (int index = 0; index < 2; index++) {
        int exponent;
        powers = powers && std::frexp(axes[index].scale, &exponent) == 0.5;
    }
    // An IntArrayRef of a list in braces would outlive the list.
    const int64_t extents[] = {axes[0].output, axes[1].output};
    bool floors = settings.mode == CT_NEAREST && settings.nearest == CT_FLOOR;
    if (floors && settings.coordinates == CT_ASYMMETRIC && powers) {
        result = at::upsample_nearest2d(x, extents, axes[0].scale, axes[1].scale);
        return true;
    }
    if (settings.mode == CT_LINEAR && settings.coordinates == CT_HALF_PIXEL && !settings.antialias &&
        !settings.exclude_outside) {
        result = at::upsample_bilinear2d(x, extents, false, axes[0].scale, axes[1].scale);
        return true;
    }
    return false;
}

}  // namespace

extern "C" {

CTTensor *ct_resize(const CTTensor *x, const CTResizeAxis *axes, int count, const CTResize *settings) {
    return ct::boxed([&] {
        auto type = x->value.scalar_type();
        bool integral = at::isIntegralType(type, true), interpolates = settings->mode != CT_NEAREST;
        auto input = x->value;
        if (interpolates) input = integral ? input.to(at::kDouble) : ct::widened(input);
        at::Tensor result, outside;
        if (integral || !by_aten(ct::widened(input), axes, count, *settings, result)) {
            result = input;
            for (int index = 0; index < count; index++) {
                ct::require(axes[index].input > 0 || axes[index].output == 0, "an empty axis cannot grow");
                result = resized(result, axes[index], *settings, outside);
            }
        }
        if (integral && interpolates) {
            // Round half to even, then saturate.
            int bits = type == at::kChar ? 7 : type == at::kShort ? 15 : 31;
            double low = type == at::kByte || type == at::kBool ? 0 : -std::ldexp(1, bits);
            double high = type == at::kByte ? 255 : type == at::kBool ? 1 : -low - 1;
            result = at::round(result);
            if (type != at::kLong) result = result.clamp(low, high);
        }
        result = result.to(type);
        return outside.defined() ? at::where(outside, at::full({}, settings->extrapolation, result.options()), result)
                                 : result;
    });
}

}
