// ATen 1.13 sums a channel of a channels-last tensor in one float: over the 131,072 values of a first ResNet layer that
// costs so many digits that three AdamW steps end 1e-4 away from PyTorch's. Here floats are summed over 256 rows only,
// and doubles above; the rows are cut at fixed places, so the result does not depend on the number of threads.
#include "batch_norm.h"

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <vector>

#if defined(__x86_64__)
#define PER_CPU __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define PER_CPU
#endif

namespace {

constexpr int64_t block_rows = 256;
constexpr int64_t chunk_rows = 8 * block_rows;
constexpr int64_t lane_count = 16;

// Adds the sums of (a - shift) and of (a - shift) * b over `rows` rows to `first` and `second`, for `lanes` channels.
template <bool squares>
inline __attribute__((always_inline)) void sum_lanes(const float *a, const float *b, const float *shift, int64_t rows,
                                                     int64_t channels, int64_t lanes, double *first, double *second) {
    float sum[lane_count] = {}, product[lane_count] = {}, center[lane_count] = {};
    for (int64_t lane = 0; lane < lanes; lane++) center[lane] = shift[lane];
    if (lanes == lane_count) {
        for (int64_t row = 0; row < rows; row++) {
            for (int64_t lane = 0; lane < lane_count; lane++) {
                float x = a[row * channels + lane] - center[lane];
                float y = squares ? x : b[row * channels + lane];
                sum[lane] += squares ? x : y;
                product[lane] += x * y;
            }
        }
    } else {
        for (int64_t row = 0; row < rows; row++) {
            for (int64_t lane = 0; lane < lanes; lane++) {
                float x = a[row * channels + lane] - center[lane];
                float y = squares ? x : b[row * channels + lane];
                sum[lane] += squares ? x : y;
                product[lane] += x * y;
            }
        }
    }
    for (int64_t lane = 0; lane < lanes; lane++) {
        first[lane] += sum[lane];
        second[lane] += product[lane];
    }
}

// For each channel the sums of x - shift and of its squares.
PER_CPU void sum_moments(const float *x, const float *shift, int64_t rows, int64_t channels, double *sum,
                         double *squares) {
    for (int64_t row = 0; row < rows; row += block_rows) {
        int64_t count = std::min(block_rows, rows - row);
        for (int64_t channel = 0; channel < channels; channel += lane_count) {
            const float *start = x + row * channels + channel;
            sum_lanes<true>(start, nullptr, shift + channel, count, channels,
                            std::min(lane_count, channels - channel), sum + channel, squares + channel);
        }
    }
}

// For each channel the sums of the gradient and of (x - mean) * gradient.
PER_CPU void sum_gradients(const float *x, const float *gradient, const float *mean, int64_t rows, int64_t channels,
                           double *sum, double *products) {
    for (int64_t row = 0; row < rows; row += block_rows) {
        int64_t count = std::min(block_rows, rows - row);
        for (int64_t channel = 0; channel < channels; channel += lane_count) {
            int64_t start = row * channels + channel;
            sum_lanes<false>(x + start, gradient + start, mean + channel, count, channels,
                             std::min(lane_count, channels - channel), sum + channel, products + channel);
        }
    }
}

// out = (x - mean) * factor + bias, by channel.
PER_CPU void scale_rows(const float *x, const float *mean, const float *factor, const float *bias, int64_t rows,
                        int64_t channels, float *out) {
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t channel = 0; channel < channels; channel++) {
            int64_t place = row * channels + channel;
            out[place] = (x[place] - mean[channel]) * factor[channel] + bias[channel];
        }
    }
}

// out = (gradient - average - (x - mean) * slope) * factor, by channel: the order of ATen's own kernel, as AdamW makes
// whole steps of what other orders round differently.
PER_CPU void combine_rows(const float *x, const float *gradient, const float *mean, const float *average,
                          const float *slope, const float *factor, int64_t rows, int64_t channels, float *out) {
    for (int64_t row = 0; row < rows; row++) {
        for (int64_t channel = 0; channel < channels; channel++) {
            int64_t place = row * channels + channel;
            float centered = (x[place] - mean[channel]) * slope[channel];
            out[place] = (gradient[place] - average[channel] - centered) * factor[channel];
        }
    }
}

// Calls body(first row, rows, chunk) for each chunk of rows.
template <typename Body>
void for_chunks(int64_t rows, Body body) {
    int64_t chunks = (rows + chunk_rows - 1) / chunk_rows;
    at::parallel_for(0, chunks, 1, [&](int64_t begin, int64_t end) {
        for (int64_t chunk = begin; chunk < end; chunk++) {
            int64_t first = chunk * chunk_rows;
            body(first, std::min(chunk_rows, rows - first), chunk);
        }
    });
}

// Two sums a channel, added over chunks in their order.
struct Sums {
    std::vector<double> first, second;

    template <typename Body>
    Sums(int64_t rows, int64_t channels, Body body) : first(channels), second(channels) {
        int64_t chunks = (rows + chunk_rows - 1) / chunk_rows;
        std::vector<double> parts(2 * chunks * channels);
        for_chunks(rows, [&](int64_t start, int64_t count, int64_t chunk) {
            double *part = parts.data() + 2 * chunk * channels;
            body(start * channels, count, part, part + channels);
        });
        for (int64_t chunk = 0; chunk < chunks; chunk++) {
            for (int64_t channel = 0; channel < channels; channel++) {
                first[channel] += parts[2 * chunk * channels + channel];
                second[channel] += parts[(2 * chunk + 1) * channels + channel];
            }
        }
    }
};

struct ChannelsLastNorm : torch::autograd::Function<ChannelsLastNorm> {
    static at::Tensor forward(torch::autograd::AutogradContext *context, const at::Tensor &x, const at::Tensor &scale,
                              const at::Tensor &bias, at::Tensor running_mean, at::Tensor running_variance,
                              double update, double epsilon) {
        at::AutoDispatchBelowADInplaceOrView guard;
        int64_t channels = x.size(1), rows = x.numel() / channels;
        const float *source = x.data_ptr<float>();
        // A value of the channel itself as the origin keeps the squares small.
        auto mean = at::empty({channels}, x.options()), inverse = at::empty({channels}, x.options());
        float *means = mean.data_ptr<float>(), *inverses = inverse.data_ptr<float>();
        std::vector<float> shift(source, source + channels), factor(channels);
        Sums sums(rows, channels, [&](int64_t start, int64_t count, double *first, double *second) {
            sum_moments(source + start, shift.data(), count, channels, first, second);
        });
        auto scales = scale.contiguous(), biases = bias.contiguous();
        const float *gamma = scales.data_ptr<float>(), *beta = biases.data_ptr<float>();
        auto batch_variance = at::empty({channels}, x.options());
        float *unbiased = batch_variance.data_ptr<float>();
        for (int64_t channel = 0; channel < channels; channel++) {
            double drift = sums.first[channel] / rows;
            double variance = std::max(0.0, sums.second[channel] / rows - drift * drift);
            double inverse_deviation = 1 / std::sqrt(variance + epsilon);
            double middle = shift[channel] + drift;
            means[channel] = static_cast<float>(middle);
            inverses[channel] = static_cast<float>(inverse_deviation);
            unbiased[channel] = static_cast<float>(variance * rows / std::max<int64_t>(1, rows - 1));
            factor[channel] = static_cast<float>(gamma[channel] * inverse_deviation);
        }
        auto out = at::empty_like(x);
        float *target = out.data_ptr<float>();
        for_chunks(rows, [&](int64_t first, int64_t count, int64_t) {
            scale_rows(source + first * channels, means, factor.data(), beta, count, channels,
                       target + first * channels);
        });
        if (update != 0) {
            running_mean.mul_(1 - update).add_(mean, update);
            running_variance.mul_(1 - update).add_(batch_variance, update);
        }
        context->save_for_backward({x, scale, mean, inverse});
        return out;
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context,
                                                   torch::autograd::variable_list gradients) {
        auto saved = context->get_saved_variables();
        const auto &x = saved[0];
        auto gradient = gradients[0].contiguous(x.suggest_memory_format());
        int64_t channels = x.size(1), rows = x.numel() / channels;
        const float *source = x.data_ptr<float>(), *slopes = gradient.data_ptr<float>();
        auto scales = saved[1].contiguous();
        const float *gamma = scales.data_ptr<float>();
        const float *mean = saved[2].data_ptr<float>(), *inverse = saved[3].data_ptr<float>();
        Sums sums(rows, channels, [&](int64_t start, int64_t count, double *first, double *second) {
            sum_gradients(source + start, slopes + start, mean, count, channels, first, second);
        });
        auto scale_gradient = at::empty({channels}, x.options()), bias_gradient = at::empty({channels}, x.options());
        std::vector<float> average(channels), slope(channels), factor(channels);
        for (int64_t channel = 0; channel < channels; channel++) {
            // Ioffe & Szegedy 2015, section 3.
            double deviation = inverse[channel];
            average[channel] = static_cast<float>(sums.first[channel] / rows);
            slope[channel] = static_cast<float>(deviation * deviation * sums.second[channel] / rows);
            factor[channel] = static_cast<float>(gamma[channel] * deviation);
            scale_gradient.data_ptr<float>()[channel] = static_cast<float>(sums.second[channel] * deviation);
            bias_gradient.data_ptr<float>()[channel] = static_cast<float>(sums.first[channel]);
        }
        auto input_gradient = at::empty_like(x);
        float *target = input_gradient.data_ptr<float>();
        for_chunks(rows, [&](int64_t first, int64_t count, int64_t) {
            int64_t start = first * channels;
            combine_rows(source + start, slopes + start, mean, average.data(), slope.data(), factor.data(), count,
                         channels, target + start);
        });
        return {input_gradient, scale_gradient, bias_gradient, at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
    }
};

}  // namespace

namespace ct {

bool normalizes_channels_last(const at::Tensor &x, const at::Tensor &scale) {
    return x.device().is_cpu() && x.scalar_type() == at::kFloat && scale.scalar_type() == at::kFloat && x.dim() == 4 &&
           x.numel() > 0 && x.size(1) > 1 && x.is_contiguous(at::MemoryFormat::ChannelsLast) && !x.is_contiguous();
}

at::Tensor batch_norm_channels_last(const at::Tensor &x, const at::Tensor &scale, const at::Tensor &bias,
                                    at::Tensor mean, at::Tensor variance, double update, double epsilon) {
    return ChannelsLastNorm::apply(x, scale, bias, mean, variance, update, epsilon);
}

}  // namespace ct
