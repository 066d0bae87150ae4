// Matrix products and linear layers.
#pragma once

#include <ATen/ATen.h>

namespace ct {
// Whether the product is the one below: float32 on the CPU, two to four axes, the same leading ones, and a BLAS to call.
bool multiplies_batches(const at::Tensor &a, const at::Tensor &b);
// As at::matmul.
at::Tensor batched_product(const at::Tensor &a, const at::Tensor &b);
// x W + b over two axes; with `transposed` W lies as [outputs, inputs].
at::Tensor linear(const at::Tensor &x, const at::Tensor &w, const at::Tensor &bias, bool transposed);
}  // namespace ct
