// Pad, and the operators that move blocks between channels and space.
#include "padding.h"

#include "precision.h"

namespace {

int64_t wrapped(int64_t place, int64_t period) { return ((place % period) + period) % period; }

// Which element of an axis stands at a place outside it.
int64_t source(int64_t place, int64_t extent, int mode) {
    if (mode == CT_PAD_EDGE) return std::min(std::max<int64_t>(place, 0), extent - 1);
    if (mode == CT_PAD_WRAP) return wrapped(place, extent);
    if (extent == 1) return 0;
    int64_t folded = wrapped(place, 2 * (extent - 1));
    return folded < extent ? folded : 2 * (extent - 1) - folded;
}

}  // namespace

extern "C" {

CTTensor *ct_pad(const CTTensor *x, const int64_t *pads, int mode, const CTTensor *value) {
    return ct::boxed([&] {
        auto result = x->value;
        int rank = static_cast<int>(result.dim());
        for (int axis = 0; axis < rank; axis++)
            ct::require(result.size(axis) + pads[axis] + pads[axis + rank] >= 0, "pads cut more than there is");
        if (mode == CT_PAD_CONSTANT) {
            at::Scalar constant = value ? value->value.detach().reshape({-1})[0].item() : at::Scalar(0);
            return ct::padded(result, pads, rank, constant);
        }
        for (int axis = 0; axis < rank; axis++) {
            int64_t extent = result.size(axis), begin = pads[axis], count = extent + begin + pads[axis + rank];
            if (begin == 0 && count == extent) continue;
            ct::require(extent > 0 || count == 0, "an empty axis holds nothing to pad with");
            auto places = at::empty({count}, at::kLong);
            auto *place = places.data_ptr<int64_t>();
            for (int64_t index = 0; index < count; index++) place[index] = source(index - begin, extent, mode);
            result = at::index_select(result, axis, places.to(result.device()));
        }
        return result;
    });
}

CTTensor *ct_depth_to_space(const CTTensor *x, int64_t block, bool column_row_depth) {
    return ct::boxed([&] {
        ct::require(x->value.dim() == 4, "the input must have four axes");
        int64_t n = x->value.size(0), c = x->value.size(1), h = x->value.size(2), w = x->value.size(3);
        ct::require(c % (block * block) == 0, "the channels are no multiple of the block's area");
        int64_t depth = c / (block * block);
        auto parts = column_row_depth ? x->value.reshape({n, depth, block, block, h, w}).permute({0, 1, 4, 2, 5, 3})
                                      : x->value.reshape({n, block, block, depth, h, w}).permute({0, 3, 4, 1, 5, 2});
        return parts.reshape({n, depth, h * block, w * block});
    });
}

CTTensor *ct_space_to_depth(const CTTensor *x, int64_t block, bool column_row_depth) {
    return ct::boxed([&] {
        ct::require(x->value.dim() == 4, "the input must have four axes");
        int64_t n = x->value.size(0), c = x->value.size(1), h = x->value.size(2), w = x->value.size(3);
        ct::require(h % block == 0 && w % block == 0, "height and width are no multiples of the block");
        auto parts = x->value.reshape({n, c, h / block, block, w / block, block});
        return (column_row_depth ? parts.permute({0, 1, 3, 5, 2, 4}) : parts.permute({0, 3, 5, 1, 2, 4}))
            .reshape({n, c * block * block, h / block, w / block});
    });
}

}
