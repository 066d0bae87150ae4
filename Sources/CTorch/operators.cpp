// Operators with ONNX's conventions on top of ATen's.
#include <vector>

#include "batch_norm.h"
#include "internal.h"
#include "max_pool.h"

namespace {

// ONNX pads are all begins, then all ends; ATen's constant_pad_nd wants (begin, end) pairs from the last axis back.
bool symmetric(const int64_t *pads, int spatial) {
    for (int axis = 0; axis < spatial; axis++)
        if (pads[axis] != pads[axis + spatial]) return false;
    return true;
}

// ATen pools with equal padding on both sides, at most half a kernel; ONNX allows any.
bool fits_aten(const int64_t *kernel, const int64_t *pads, int spatial) {
    for (int axis = 0; axis < spatial; axis++)
        if (2 * pads[axis] > kernel[axis]) return false;
    return symmetric(pads, spatial);
}

at::Tensor padded(const at::Tensor &x, const int64_t *pads, int spatial, double value) {
    std::vector<int64_t> pairs;
    for (int axis = spatial - 1; axis >= 0; axis--) {
        pairs.push_back(pads[axis]);
        pairs.push_back(pads[axis + spatial]);
    }
    return at::constant_pad_nd(x, pairs, value);
}

}  // namespace

extern "C" {

CTTensor *ct_convolution(const CTTensor *x, const CTTensor *w, const CTTensor *bias, const int64_t *strides,
                         const int64_t *pads, const int64_t *dilations, int spatial, int64_t groups,
                         bool channels_last) {
    return ct::boxed([&] {
        auto input = x->value;
        std::vector<int64_t> padding(pads, pads + spatial);
        if (!symmetric(pads, spatial)) {
            input = padded(input, pads, spatial, 0);
            padding.assign(spatial, 0);
        }
        std::vector<int64_t> none(spatial, 0);
        auto weight = w->value;
        if (channels_last && spatial == 2 && input.scalar_type() == at::kFloat && input.device().is_cpu()) {
            input = input.contiguous(at::MemoryFormat::ChannelsLast);
            weight = weight.contiguous(at::MemoryFormat::ChannelsLast);
        }
        return at::convolution(input, weight, ct::optional(bias), ct::list(strides, spatial), padding,
                               ct::list(dilations, spatial), false, none, groups);
    });
}

CTTensor *ct_gemm(const CTTensor *a, const CTTensor *b, const CTTensor *c, double alpha, double beta, bool trans_a,
                  bool trans_b) {
    return ct::boxed([&] {
        if (a->value.dim() != 2 || b->value.dim() != 2) throw std::runtime_error("A and B must have two axes");
        auto left = trans_a ? a->value.t() : a->value;
        // The common layer: x W^T + b in one call.
        if (trans_b && c && alpha == 1 && beta == 1 && c->value.dim() == 1) return at::linear(left, b->value, c->value);
        auto right = trans_b ? b->value.t() : b->value;
        if (!c) return alpha == 1 ? at::mm(left, right) : at::mm(left, right) * alpha;
        return at::addmm(c->value, left, right, beta, alpha);
    });
}

CTTensor *ct_matmul(const CTTensor *a, const CTTensor *b) {
    return ct::boxed([&] { return at::matmul(a->value, b->value); });
}

CTTensor *ct_batch_norm(const CTTensor *x, const CTTensor *scale, const CTTensor *bias, CTTensor *mean,
                        CTTensor *variance, bool training, double update, double epsilon) {
    return ct::boxed([&] {
        // With one value the unbiased variance is 0/0, which would poison the running statistics.
        if (training && x->value.dim() > 1 && x->value.numel() == x->value.size(1))
            throw std::runtime_error("training needs more than one value a channel: use larger batches");
        if (training && ct::normalizes_channels_last(x->value, scale->value))
            return ct::batch_norm_channels_last(x->value, scale->value, bias->value, mean->value, variance->value,
                                                update, epsilon);
        return at::batch_norm(x->value, scale->value, bias->value, mean->value, variance->value, training, update,
                              epsilon, false);
    });
}

CTTensor *ct_max_pool(const CTTensor *x, const int64_t *kernel, const int64_t *strides, const int64_t *pads,
                      const int64_t *dilations, int spatial, bool ceil_mode) {
    return ct::boxed([&] {
        auto input = x->value;
        std::vector<int64_t> padding(pads, pads + spatial);
        bool fits = fits_aten(kernel, pads, spatial);
        if (!fits) {
            input = padded(input, pads, spatial, -std::numeric_limits<double>::infinity());
            padding.assign(spatial, 0);
        }
        if (!fits && ceil_mode) throw std::runtime_error("ceil_mode with asymmetric or wide padding is not supported");
        auto k = ct::list(kernel, spatial), s = ct::list(strides, spatial), d = ct::list(dilations, spatial);
        if (spatial == 2 && ct::pools_by_halves(input, k, s, padding, d, ceil_mode)) return ct::max_pool_halves(input);
        if (spatial == 1) return at::max_pool1d(input, k, s, padding, d, ceil_mode);
        if (spatial == 2) return at::max_pool2d(input, k, s, padding, d, ceil_mode);
        return at::max_pool3d(input, k, s, padding, d, ceil_mode);
    });
}

CTTensor *ct_average_pool(const CTTensor *x, const int64_t *kernel, const int64_t *strides, const int64_t *pads,
                          int spatial, bool ceil_mode, bool count_padding) {
    return ct::boxed([&] {
        auto k = ct::list(kernel, spatial), s = ct::list(strides, spatial);
        auto pool = [&](const at::Tensor &input, at::IntArrayRef padding) {
            if (spatial == 1) return at::avg_pool1d(input, k, s, padding, ceil_mode, count_padding);
            if (spatial == 2) return at::avg_pool2d(input, k, s, padding, ceil_mode, count_padding);
            return at::avg_pool3d(input, k, s, padding, ceil_mode, count_padding);
        };
        if (fits_aten(kernel, pads, spatial)) return pool(x->value, ct::list(pads, spatial));
        if (ceil_mode) throw std::runtime_error("ceil_mode with asymmetric or wide padding is not supported");
        std::vector<int64_t> none(spatial, 0);
        auto sums = pool(padded(x->value, pads, spatial, 0), none);
        if (count_padding) return sums;
        // Means over whole windows, rescaled to the part of each window that holds values.
        auto shares = pool(padded(at::ones_like(x->value.detach()), pads, spatial, 0), none);
        return sums / shares;
    });
}

CTTensor *ct_global_average_pool(const CTTensor *x) {
    return ct::boxed([&] {
        std::vector<int64_t> axes;
        for (int64_t axis = 2; axis < x->value.dim(); axis++) axes.push_back(axis);
        return axes.empty() ? x->value : at::mean(x->value, axes, true);
    });
}

CTTensor *ct_dropout(const CTTensor *x, double ratio, bool training) {
    return ct::boxed([&] {
        if (!training || ratio == 0) return x->value;
        if (ratio == 1) return x->value * 0;
        // at::dropout's arithmetic, with this thread's own generator.
        auto kept = at::empty_like(x->value.detach()).bernoulli_(1 - ratio, ct::generator());
        return x->value * kept.div_(1 - ratio);
    });
}

CTTensor *ct_softmax(const CTTensor *x, int64_t axis) {
    return ct::boxed([&] { return at::softmax(x->value, axis); });
}

}
