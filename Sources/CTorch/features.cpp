// Losses between values inside of two networks.
#include "internal.h"

namespace {

// [n, height * width]: sums of squares over the channels, each sample's of length 1.
at::Tensor attention_map(const at::Tensor &x, int64_t height, int64_t width) {
    auto map = x.pow(2).sum(1, true);
    if (map.size(2) != height || map.size(3) != width) map = at::adaptive_avg_pool2d(map, {height, width});
    map = map.flatten(1);
    // As torch.nn.functional.normalize: a map of zeros stays one.
    return map / map.norm(2, {1}, true).clamp_min(1e-12);
}

at::Tensor resized(const at::Tensor &x, int64_t height, int64_t width) {
    return x.size(2) == height && x.size(3) == width ? x : at::adaptive_avg_pool2d(x, {height, width});
}

}  // namespace

extern "C" {

CTTensor *ct_hidden_state_loss(const CTTensor *student, const CTTensor *teacher, const CTTensor *projector) {
    return ct::boxed([&] {
        auto x = student->value, y = teacher->value;
        bool has_planes = x.dim() == 4;
        if (has_planes) {
            auto height = std::min(x.size(2), y.size(2)), width = std::min(x.size(3), y.size(3));
            x = resized(x, height, width);
            y = resized(y, height, width);
        }
        if (projector) {
            const auto &w = projector->value;
            x = has_planes ? at::conv2d(x, w.unsqueeze(-1).unsqueeze(-1)) : at::linear(x, w);
        }
        return at::mse_loss(x, y);
    });
}

CTTensor *ct_attention_map_loss(const CTTensor *student, const CTTensor *teacher) {
    return ct::boxed([&] {
        const auto &x = student->value, &y = teacher->value;
        auto height = std::min(x.size(2), y.size(2)), width = std::min(x.size(3), y.size(3));
        auto difference = attention_map(x, height, width) - attention_map(y, height, width);
        return difference.pow(2).sum(1).mean();
    });
}

CTTensor *ct_attention_divergence(const CTTensor *student, const CTTensor *teacher) {
    return ct::boxed([&] {
        const auto &x = student->value, &y = teacher->value;
        auto rows = std::max<int64_t>(x.numel() / std::max<int64_t>(x.size(-1), 1), 1);
        auto divergence = at::kl_div(x.clamp_min(1e-8).log(), y, at::Reduction::Sum, false);
        return divergence / static_cast<double>(rows);
    });
}

}
