// Training-mode batch normalisation of channels-last tensors, with sums that do not lose digits.
#pragma once

#include <ATen/ATen.h>

namespace ct {
// Whether this normalisation is the one below: float32 on the CPU with the channels lying together.
bool normalizes_channels_last(const at::Tensor &x, const at::Tensor &scale);
// As at::batch_norm in training mode: batch statistics, running ones updated in place.
at::Tensor batch_norm_channels_last(const at::Tensor &x, const at::Tensor &scale, const at::Tensor &bias,
                                    at::Tensor mean, at::Tensor variance, double update, double epsilon);
}  // namespace ct
