// Convolutions with ONNX's paddings on top of ATen's.
#include "padding.h"
#include "precision.h"

extern "C" {

CTTensor *ct_convolution(const CTTensor *x, const CTTensor *w, const CTTensor *bias, const int64_t *strides,
                         const int64_t *pads, const int64_t *dilations, int spatial, int64_t groups,
                         bool channels_last) {
    return ct::boxed([&] {
        auto input = ct::widened(x->value), weight = ct::widened(w->value);
        std::vector<int64_t> padding(pads, pads + spatial);
        if (!ct::symmetric(pads, spatial)) {
            input = ct::padded(input, pads, spatial, 0);
            padding.assign(spatial, 0);
        }
        std::vector<int64_t> none(spatial, 0);
        if (channels_last && spatial == 2 && input.dim() == 4 && weight.dim() == 4 &&
            input.scalar_type() == at::kFloat && input.device().is_cpu()) {
            input = input.contiguous(at::MemoryFormat::ChannelsLast);
            weight = weight.contiguous(at::MemoryFormat::ChannelsLast);
        }
        return at::convolution(input, weight, ct::widened(bias), ct::list(strides, spatial), padding,
                               ct::list(dilations, spatial), false, none, groups)
            .to(x->value.scalar_type());
    });
}

CTTensor *ct_convolution_transpose(const CTTensor *x, const CTTensor *w, const CTTensor *bias, const int64_t *strides,
                                   const int64_t *begins, const int64_t *dilations, const int64_t *extents, int spatial,
                                   int64_t groups) {
    return ct::boxed([&] {
        auto input = ct::widened(x->value), weight = ct::widened(w->value);
        std::vector<int64_t> none(spatial, 0);
        // Everything the input reaches; ONNX's pads then cut it, and its output padding adds places that nothing
        // reaches, which hold the bias alone.
        auto whole = at::convolution(input, weight, c10::nullopt, ct::list(strides, spatial), none,
                                     ct::list(dilations, spatial), true, none, groups);
        std::vector<int64_t> pads(2 * spatial);
        for (int axis = 0; axis < spatial; axis++) {
            pads[axis] = -begins[axis];
            pads[axis + spatial] = extents[axis] + begins[axis] - whole.size(axis + 2);
        }
        auto result = ct::padded(whole, pads.data(), spatial, 0);
        if (bias) {
            std::vector<int64_t> shape(spatial + 2, 1);
            ct::require(bias->value.numel() == result.size(1), "the bias must have one value a channel");
            shape[1] = bias->value.numel();
            result = result + ct::widened(bias->value).reshape(shape);
        }
        return result.to(x->value.scalar_type());
    });
}

}
