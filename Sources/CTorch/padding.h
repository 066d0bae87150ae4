// ONNX's pads (all begins, then all ends) for ATen, which wants (begin, end) pairs from the last axis back.
#pragma once

#include <ATen/ATen.h>

#include <vector>

namespace ct {

inline bool symmetric(const int64_t *pads, int spatial) {
    for (int axis = 0; axis < spatial; axis++)
        if (pads[axis] != pads[axis + spatial]) return false;
    return true;
}

// Pads the last `axes` axes; a negative pad cuts.
inline at::Tensor padded(const at::Tensor &x, const int64_t *pads, int axes, const at::Scalar &value) {
    std::vector<int64_t> pairs;
    bool changes = false;
    for (int axis = axes - 1; axis >= 0; axis--) {
        pairs.push_back(pads[axis]);
        pairs.push_back(pads[axis + axes]);
        changes = changes || pads[axis] != 0 || pads[axis + axes] != 0;
    }
    return changes ? at::constant_pad_nd(x, pairs, value) : x;
}

}  // namespace ct
