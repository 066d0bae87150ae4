// Runtime settings and tensors: creation, inspection, gradients.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/api/include/torch/version.h>
#include <dlfcn.h>
#include <malloc.h>

#include <atomic>
#include <atomic>
#include <cstring>

#include "internal.h"

namespace ct {
thread_local std::string last_error;

// Counts the changes of the number of threads.
static std::atomic<int> thread_setting{1};

// -1 is the CPU.
static std::atomic<int> device_index{-1};

at::Device device() {
    int index = device_index.load(std::memory_order_relaxed);
    return index < 0 ? at::Device(at::kCPU) : at::Device(at::kCUDA, static_cast<at::DeviceIndex>(index));
}

at::Generator generator() {
    if (device().is_cuda()) return at::globalContext().defaultGenerator(device());
    static thread_local at::Generator generator = at::detail::createCPUGenerator();
    return generator;
}

at::ScalarType scalar_type(int type) {
    switch (type) {
    case CT_FLOAT32: return at::kFloat;
    case CT_FLOAT16: return at::kHalf;
    case CT_BFLOAT16: return at::kBFloat16;
    case CT_FLOAT64: return at::kDouble;
    case CT_INT8: return at::kChar;
    case CT_UINT8: return at::kByte;
    case CT_INT16: return at::kShort;
    case CT_INT32: return at::kInt;
    case CT_INT64: return at::kLong;
    case CT_BOOL: return at::kBool;
    default: throw std::runtime_error("unknown element type");
    }
}
}  // namespace ct

extern "C" {

const char *ct_last_error(void) { return ct::last_error.c_str(); }

const char *ct_description(void) {
    static const std::string text = [] {
        std::string text = std::string("libtorch ") + TORCH_VERSION;
        if (at::hasMKLDNN()) text += ", oneDNN";
        if (at::hasMKL()) text += ", MKL";
        using Configuration = const char *(*)();
        auto openblas = reinterpret_cast<Configuration>(dlsym(RTLD_DEFAULT, "openblas_get_config"));
        if (openblas) text += std::string(", ") + openblas();
        return text;
    }();
    return text.c_str();
}

int ct_set_threads(int count) {
    return ct::guarded([&] {
        at::set_num_threads(count);
        ct::thread_setting++;
        // OpenBLAS keeps a pool of its own, whose threads and libtorch's keep one another from the cores: whoever waits
        // does so actively. Large products are split over libtorch's threads instead (batched_product.cpp).
        using Setter = void (*)(int);
        if (auto setter = reinterpret_cast<Setter>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads"))) setter(1);
    });
}

int ct_enter_thread(void) {
    return ct::guarded([] {
        // Once a thread and setting: ATen 1.13 makes a new pool of pthreads each time, and those wait actively.
        static thread_local int entered = 0;
        int setting = ct::thread_setting.load();
        if (entered == setting) return;
        at::init_num_threads();
        entered = setting;
    });
}

void ct_keep_freed_memory(void) {
#if defined(__GLIBC__)
    static const bool done = [] {
        // The most glibc accepts (half a heap); a larger number would be ignored in silence.
        mallopt(M_MMAP_THRESHOLD, 32 << 20);
        // Arenas of other threads are given back as soon as they are empty, whatever the threshold says.
        mallopt(M_ARENA_MAX, 1);
        mallopt(M_TRIM_THRESHOLD, 512 << 20);
        mallopt(M_TOP_PAD, 32 << 20);
        return true;
    }();
    (void)done;
#endif
}

void ct_return_freed_memory(void) {
#if defined(__GLIBC__)
    // A layer's tensors are reused from one layer to the next; what is larger goes back at once.
    mallopt(M_MMAP_THRESHOLD, 16 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    mallopt(M_ARENA_MAX, 2);
#endif
}

void ct_trim_memory(void) {
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
}

int ct_set_device(int index) {
    return ct::guarded([&] {
        if (index >= 0) {
            // The linker leaves out a library that nothing calls by name; loading it registers its kernels.
            dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL);
            auto name = "this libtorch (" TORCH_VERSION ")";
            if (!at::hasCUDA())
                throw std::runtime_error(std::string(name) + " has no CUDA: link one that has through LIBTORCH");
            auto count = static_cast<int>(at::detail::getCUDAHooks().getNumGPUs());
            if (index >= count)
                throw std::runtime_error(std::string(name) + " sees " + std::to_string(count) + " CUDA devices, none with number "
                                         + std::to_string(index));
        }
        ct::device_index.store(index < 0 ? -1 : index, std::memory_order_relaxed);
    });
}

int ct_seed(uint64_t seed) {
    return ct::guarded([&] {
        auto generator = ct::generator();
        std::lock_guard<std::mutex> lock(generator.mutex());
        generator.set_current_seed(seed);
    });
}

bool ct_set_gradients(bool enabled) {
    bool before = at::GradMode::is_enabled();
    at::GradMode::set_enabled(enabled);
    return before;
}

CTTensor *ct_from_bytes(const void *bytes, int type, const int64_t *dims, int rank) {
    return ct::boxed([&] {
        auto tensor = at::empty(ct::list(dims, rank), at::TensorOptions().dtype(ct::scalar_type(type)));
        if (tensor.nbytes() > 0) std::memcpy(tensor.data_ptr(), bytes, tensor.nbytes());
        return ct::device().is_cpu() ? tensor : tensor.to(ct::device());
    });
}

void ct_free(CTTensor *tensor) { delete tensor; }

int ct_rank(const CTTensor *tensor) { return static_cast<int>(tensor->value.dim()); }

int64_t ct_extent(const CTTensor *tensor, int axis) { return tensor->value.size(axis); }

int ct_type(const CTTensor *tensor) {
    switch (tensor->value.scalar_type()) {
    case at::kFloat: return CT_FLOAT32;
    case at::kHalf: return CT_FLOAT16;
    case at::kBFloat16: return CT_BFLOAT16;
    case at::kDouble: return CT_FLOAT64;
    case at::kChar: return CT_INT8;
    case at::kByte: return CT_UINT8;
    case at::kShort: return CT_INT16;
    case at::kInt: return CT_INT32;
    case at::kLong: return CT_INT64;
    case at::kBool: return CT_BOOL;
    default: return 0;
    }
}

int ct_copy_out(const CTTensor *tensor, void *bytes, size_t byte_count) {
    return ct::guarded([&] {
        auto source = tensor->value.detach().to(at::kCPU).contiguous();
        if (source.nbytes() != byte_count) throw std::runtime_error("wrong byte count");
        if (byte_count > 0) std::memcpy(bytes, source.data_ptr(), byte_count);
    });
}

CTTensor *ct_leaf(const CTTensor *tensor) {
    return ct::boxed([&] { return tensor->value.detach().set_requires_grad(true); });
}

CTTensor *ct_gradient(const CTTensor *leaf) {
    return ct::boxed([&] {
        auto gradient = leaf->value.grad();
        return gradient.defined() ? gradient : at::zeros_like(leaf->value.detach());
    });
}

int ct_clear_gradient(CTTensor *leaf) {
    return ct::guarded([&] { leaf->value.mutable_grad() = at::Tensor(); });
}

int ct_set_gradient(CTTensor *leaf, const CTTensor *gradient) {
    return ct::guarded([&] { leaf->value.mutable_grad() = gradient->value; });
}

CTTensor *ct_zeros_like(const CTTensor *tensor) {
    return ct::boxed([&] { return at::zeros_like(tensor->value.detach()); });
}

CTTensor *ct_clone(const CTTensor *tensor) {
    return ct::boxed([&] { return tensor->value.detach().clone(); });
}

}
