// Which element type an operator computes in, and how operators with several outputs hand them over.
#pragma once

#include <vector>

#include "internal.h"

namespace ct {

// ATen 1.13 has few kernels for float16 on the CPU: such operators compute in float32 and round once, at the end.
inline at::Tensor widened(const at::Tensor &x) { return x.scalar_type() == at::kHalf ? x.to(at::kFloat) : x; }

inline c10::optional<at::Tensor> widened(const CTTensor *tensor) {
    return tensor ? c10::optional<at::Tensor>(widened(tensor->value)) : c10::nullopt;
}

// A parameter in the type that the computation runs in.
inline at::Tensor as(const at::Tensor &parameter, const at::Tensor &x) {
    return parameter.scalar_type() == x.scalar_type() ? parameter : parameter.to(x.scalar_type());
}

// Hands tensors to the caller; an undefined one becomes NULL.
inline void give(CTTensor **outputs, const std::vector<at::Tensor> &values) {
    for (size_t index = 0; index < values.size(); index++)
        outputs[index] = values[index].defined() ? new CTTensor{values[index]} : nullptr;
}

inline void require(bool condition, const char *reason) {
    if (!condition) throw std::runtime_error(reason);
}

}  // namespace ct
