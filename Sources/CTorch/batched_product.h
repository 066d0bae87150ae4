// Products of many small matrices, as attention makes them.
#pragma once

#include <ATen/ATen.h>

namespace ct {
// Whether the product is the one below: float32 on the CPU, three or four axes, the same leading ones, and a BLAS to call.
bool multiplies_batches(const at::Tensor &a, const at::Tensor &b);
// As at::matmul.
at::Tensor batched_product(const at::Tensor &a, const at::Tensor &b);
}  // namespace ct
