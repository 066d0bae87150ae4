// Shared by the implementation files: the tensor box and the guard that keeps exceptions inside.
#pragma once

#include <ATen/ATen.h>

#include <exception>
#include <string>

#include "CTorch.h"

struct CTTensor {
    at::Tensor value;
};

namespace ct {
extern thread_local std::string last_error;

// The libtorch type of a CT_ element type.
at::ScalarType scalar_type(int type);

// Where new tensors are made.
at::Device device();

// The calling thread's source of randomness: trainers on several threads do not disturb one another.
at::Generator generator();

// libtorch appends a C++ back trace: people need its first line only.
inline void record(const std::exception &error) {
    last_error = error.what();
    auto end = last_error.find('\n');
    if (end != std::string::npos) last_error.resize(end);
}

template <typename Body>
CTTensor *boxed(Body body) noexcept {
    try {
        return new CTTensor{body()};
    } catch (const std::exception &error) {
        record(error);
    } catch (...) {
        last_error = "unknown exception";
    }
    return nullptr;
}

template <typename Body>
int guarded(Body body) noexcept {
    try {
        body();
        return 0;
    } catch (const std::exception &error) {
        record(error);
    } catch (...) {
        last_error = "unknown exception";
    }
    return 1;
}

inline c10::optional<at::Tensor> optional(const CTTensor *tensor) {
    return tensor ? c10::optional<at::Tensor>(tensor->value) : c10::nullopt;
}

inline at::IntArrayRef list(const int64_t *values, int count) { return at::IntArrayRef(values, count); }
}  // namespace ct
