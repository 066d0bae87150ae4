// Loops over contiguous float32 tensors on the CPU, shared between libtorch's threads. Each element is computed by itself
// and sums are taken in fixed pieces, so that results do not depend on the number of threads.
#pragma once

#include <ATen/Parallel.h>

#include <initializer_list>
#include <type_traits>
#include <vector>

#include "internal.h"

namespace ct {

// Whether loops can replace ATen's operators: on other devices, types and layouts they cannot. Undefined tensors fit.
inline bool loops_fit(std::initializer_list<at::Tensor> tensors, const at::Tensor &mask) {
    for (auto &tensor : tensors)
        if (tensor.defined() && !(tensor.is_cpu() && tensor.scalar_type() == at::kFloat && tensor.is_contiguous()))
            return false;
    return !mask.defined() || (mask.is_cpu() && mask.scalar_type() == at::kBool && mask.is_contiguous());
}

// The elements; null for an undefined tensor.
inline float *floats(const at::Tensor &tensor) {
    return tensor.defined() ? static_cast<float *>(tensor.data_ptr()) : nullptr;
}

inline const unsigned char *flags(const at::Tensor &mask) {
    return mask.defined() ? static_cast<const unsigned char *>(mask.data_ptr()) : nullptr;
}

// A leaf's gradient, laid out as the leaf is.
inline at::Tensor owned_gradient(at::Tensor &leaf) {
    auto &gradient = leaf.mutable_grad();
    if (gradient.defined() && leaf.is_contiguous() && !gradient.is_contiguous()) gradient = gradient.contiguous();
    return gradient;
}

// Calls `body` with a condition as a type, so that a loop need not ask at every element.
template <typename Body>
void with(bool condition, const Body &body) {
    if (condition)
        body(std::true_type{});
    else
        body(std::false_type{});
}

// std::sqrt sets errno, which keeps loops from being vectorised.
inline float root(float x) { return __builtin_elementwise_sqrt(x); }

constexpr int64_t piece = 1 << 14;

template <typename Body>
void each(int64_t count, const Body &body) {
    at::parallel_for(0, count, piece, body);
}

template <typename Term>
double sum(int64_t count, const Term &term) {
    std::vector<double> parts((count + piece - 1) / piece);
    at::parallel_for(0, static_cast<int64_t>(parts.size()), 1, [&](int64_t first, int64_t last) {
        for (auto part = first; part < last; part++) {
            double total = 0;
            for (auto i = part * piece; i < std::min(count, (part + 1) * piece); i++) total += term(i);
            parts[part] = total;
        }
    });
    double total = 0;
    for (auto part : parts) total += part;
    return total;
}

}  // namespace ct
