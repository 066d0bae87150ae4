// Resizing of images, for threads that load data.
#include <ATen/Parallel.h>
#include <ATen/core/grad_mode.h>
#include <dlfcn.h>

#include <array>

#include "internal.h"

extern "C" int ct_resize_planes(const uint8_t *planes, int64_t channels, int64_t height, int64_t width,
                                int64_t new_height, int64_t new_width, uint8_t *target) {
    return ct::guarded([&] {
        at::NoGradGuard no_gradients;
        auto bytes = at::TensorOptions().dtype(at::kByte);
        auto source = at::from_blob(const_cast<uint8_t *>(planes), {1, channels, height, width}, bytes);
        std::array<int64_t, 2> size = {new_height, new_width};
        auto resized = at::_upsample_bilinear2d_aa(source.to(at::kFloat), size, false, c10::nullopt, c10::nullopt);
        at::from_blob(target, {1, channels, new_height, new_width}, bytes).copy_(resized.round_().clamp_(0, 255));
    });
}

extern "C" int ct_enter_loader_thread(void) {
    return ct::guarded([] {
        // libtorch gives each thread its number at the first parallel loop, so that comes first.
        at::internal::lazy_init_num_threads();
        using Setter = void (*)(int);
        if (auto setter = reinterpret_cast<Setter>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"))) setter(1);
    });
}
