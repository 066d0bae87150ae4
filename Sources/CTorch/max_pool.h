// Max pooling by 2x2 windows at stride 2, faster than ATen's own kernel.
#pragma once

#include <ATen/ATen.h>

namespace ct {
// Whether this pooling is the one below: float32 NCHW on the CPU, no padding, no dilation.
bool pools_by_halves(const at::Tensor &x, at::IntArrayRef kernel, at::IntArrayRef strides, at::IntArrayRef pads,
                     at::IntArrayRef dilations, bool ceil_mode);
at::Tensor max_pool_halves(const at::Tensor &x);
}  // namespace ct
