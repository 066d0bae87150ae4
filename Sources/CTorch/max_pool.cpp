// The 2x2 window at stride 2 is nearly everybody's. ATen 1.13 spends 10 ns an output on it, a quarter of a step of the
// bundled cnn; this loop spends 1 ns. Same values, same winner among equals (the first), NaN wins as it does there, and
// the backward is ATen's.
#include "max_pool.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

namespace {

#if defined(__x86_64__)
__attribute__((target_clones("default", "avx2", "avx512f")))
#endif
void pool_row(const float *upper, const float *lower, float *out, int64_t *winners, int64_t count, int64_t start,
              int64_t width) {
    for (int64_t column = 0; column < count; column++) {
        float best = upper[2 * column];
        int64_t winner = start + 2 * column;
        float other = upper[2 * column + 1];
        bool wins = other > best || other != other;
        winner = wins ? start + 2 * column + 1 : winner;
        best = wins ? other : best;
        other = lower[2 * column];
        wins = other > best || other != other;
        winner = wins ? start + width + 2 * column : winner;
        best = wins ? other : best;
        other = lower[2 * column + 1];
        wins = other > best || other != other;
        winner = wins ? start + width + 2 * column + 1 : winner;
        best = wins ? other : best;
        out[column] = best;
        winners[column] = winner;
    }
}

std::tuple<at::Tensor, at::Tensor> pool(const at::Tensor &x) {
    int64_t height = x.size(2), width = x.size(3), rows = height / 2, columns = width / 2;
    auto out = at::empty({x.size(0), x.size(1), rows, columns}, x.options());
    auto winners = at::empty(out.sizes(), x.options().dtype(at::kLong));
    const float *source = x.data_ptr<float>();
    float *target = out.data_ptr<float>();
    int64_t *indices = winners.data_ptr<int64_t>();
    at::parallel_for(0, x.size(0) * x.size(1), 16, [&](int64_t begin, int64_t end) {
        for (int64_t plane = begin; plane < end; plane++) {
            for (int64_t row = 0; row < rows; row++) {
                const float *upper = source + (plane * height + 2 * row) * width;
                int64_t place = (plane * rows + row) * columns;
                pool_row(upper, upper + width, target + place, indices + place, columns, 2 * row * width, width);
            }
        }
    });
    return {out, winners};
}

// The same for one output row of a channels-last tensor: `count` columns of `channels` values each.
#if defined(__x86_64__)
__attribute__((target_clones("default", "avx2", "avx512f")))
#endif
void pool_channels(const float *upper, const float *lower, float *out, int64_t *winners, int64_t count,
                   int64_t channels, int64_t start, int64_t width) {
    for (int64_t column = 0; column < count; column++) {
        const float *corners[4] = {upper + 2 * column * channels, upper + (2 * column + 1) * channels,
                                   lower + 2 * column * channels, lower + (2 * column + 1) * channels};
        int64_t first = start + 2 * column;
        int64_t places[4] = {first, first + 1, first + width, first + width + 1};
        for (int64_t channel = 0; channel < channels; channel++) {
            float best = corners[0][channel];
            int64_t winner = places[0];
            for (int corner = 1; corner < 4; corner++) {
                float other = corners[corner][channel];
                bool wins = other > best || other != other;
                winner = wins ? places[corner] : winner;
                best = wins ? other : best;
            }
            out[column * channels + channel] = best;
            winners[column * channels + channel] = winner;
        }
    }
}

std::tuple<at::Tensor, at::Tensor> pool_channels_last(const at::Tensor &x) {
    int64_t channels = x.size(1), height = x.size(2), width = x.size(3), rows = height / 2, columns = width / 2;
    auto format = at::MemoryFormat::ChannelsLast;
    auto out = at::empty({x.size(0), channels, rows, columns}, x.options().memory_format(format));
    auto winners = at::empty(out.sizes(), x.options().dtype(at::kLong).memory_format(format));
    const float *source = x.data_ptr<float>();
    float *target = out.data_ptr<float>();
    int64_t *indices = winners.data_ptr<int64_t>();
    at::parallel_for(0, x.size(0) * rows, 16, [&](int64_t begin, int64_t end) {
        for (int64_t line = begin; line < end; line++) {
            int64_t row = line % rows;
            const float *upper = source + (line / rows * height + 2 * row) * width * channels;
            int64_t place = line * columns * channels;
            pool_channels(upper, upper + width * channels, target + place, indices + place, columns, channels,
                          2 * row * width, width);
        }
    });
    return {out, winners};
}

std::tuple<at::Tensor, at::Tensor> pool_any(const at::Tensor &x) {
    return x.is_contiguous() ? pool(x) : pool_channels_last(x);
}

struct PoolByHalves : torch::autograd::Function<PoolByHalves> {
    static at::Tensor forward(torch::autograd::AutogradContext *context, const at::Tensor &x) {
        at::AutoDispatchBelowADInplaceOrView guard;
        auto [out, winners] = pool_any(x);
        context->save_for_backward({x, winners});
        return out;
    }

    static torch::autograd::variable_list backward(
        torch::autograd::AutogradContext *context, torch::autograd::variable_list gradients) {
        auto saved = context->get_saved_variables();
        auto format = saved[0].suggest_memory_format();
        return {at::max_pool2d_with_indices_backward(
            gradients[0].contiguous(format), saved[0], {2, 2}, {2, 2}, {0, 0}, {1, 1}, false, saved[1])};
    }
};

}  // namespace

namespace ct {

bool pools_by_halves(const at::Tensor &x, at::IntArrayRef kernel, at::IntArrayRef strides, at::IntArrayRef pads,
                     at::IntArrayRef dilations, bool ceil_mode) {
    auto all = [](at::IntArrayRef values, int64_t value) { return values[0] == value && values[1] == value; };
    bool is_packed = x.is_contiguous() || x.is_contiguous(at::MemoryFormat::ChannelsLast);
    return x.device().is_cpu() && is_packed && x.scalar_type() == at::kFloat && x.dim() == 4 && x.size(2) > 1 &&
           x.size(3) > 1 && all(kernel, 2) && all(strides, 2) && all(pads, 0) && all(dilations, 1) && !ceil_mode;
}

at::Tensor max_pool_halves(const at::Tensor &x) {
    if (!at::GradMode::is_enabled() || !x.requires_grad()) return std::get<0>(pool_any(x));
    return PoolByHalves::apply(x);
}

}  // namespace ct
