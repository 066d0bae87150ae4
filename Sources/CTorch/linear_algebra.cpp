// Decompositions and products of matrices, in double.
#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>

#include "internal.h"

namespace {

at::Tensor view(const double *values, at::IntArrayRef extents) {
    return at::from_blob(const_cast<double *>(values), extents, at::TensorOptions().dtype(at::kDouble));
}

void copy(const at::Tensor &from, double *to) {
    auto dense = from.contiguous();
    std::memcpy(to, dense.data_ptr<double>(), dense.numel() * sizeof(double));
}

// Patches handled at once hold at most this many numbers, or are one row of one image's.
constexpr int64_t most_elements = 1 << 22;

}  // namespace

extern "C" {

int ct_singular_values(const double *matrix, int64_t rows, int64_t columns, double *left, double *values,
                       double *right) {
    return ct::guarded([&] {
        auto parts = at::linalg_svd(view(matrix, {rows, columns}), false);
        auto u = std::get<0>(parts);
        auto largest = u.gather(0, u.abs().argmax(0, true));
        auto signs = at::where(largest < 0, -at::ones_like(largest), at::ones_like(largest));
        copy(u * signs, left);
        copy(std::get<1>(parts), values);
        copy(std::get<2>(parts).t() * signs, right);
    });
}

int ct_symmetric_eigenvalues(const double *matrix, int64_t size, double *values, double *vectors) {
    return ct::guarded([&] {
        auto parts = at::linalg_eigh(view(matrix, {size, size}));
        copy(std::get<0>(parts), values);
        copy(std::get<1>(parts), vectors);
    });
}

int ct_matrix_product(const double *a, const double *b, int64_t rows, int64_t inner, int64_t columns, bool transposed_a,
                      bool transposed_b, double *result) {
    return ct::guarded([&] {
        auto left = transposed_a ? view(a, {inner, rows}).t() : view(a, {rows, inner});
        auto right = transposed_b ? view(b, {columns, inner}).t() : view(b, {inner, columns});
        copy(at::mm(left, right), result);
    });
}

int ct_inverse_cholesky(const double *matrix, int64_t size, double *result) {
    return ct::guarded([&] {
        // Turned upside down, the lower factor of the turned matrix is an upper factor R of the matrix itself, H = R R^T; its
        // inverse is what is asked for. No inverse of H is made, which would cost digits.
        auto turned = view(matrix, {size, size}).flip({0, 1});
        auto factor = at::linalg_cholesky(turned).flip({0, 1});
        auto identity = at::eye(size, at::TensorOptions().dtype(at::kDouble));
        copy(at::linalg_solve_triangular(factor, identity, /*upper=*/true), result);
    });
}

int ct_add_second_moment(const float *images, int64_t samples, int64_t channels, int64_t height, int64_t width,
                         int64_t groups, bool with_constant, CTPatchWindow window, double *sum, int64_t *places) {
    return ct::guarded([&] {
        auto all = at::from_blob(const_cast<float *>(images), {samples, channels, height, width},
                                 at::TensorOptions().dtype(at::kFloat));
        auto elements = channels / groups * window.rows * window.columns;
        auto size = elements + (with_constant ? 1 : 0);
        auto total = view(sum, {groups, size, size});
        auto image = std::max<int64_t>(1, channels * height * width * window.rows * window.columns);
        auto step = std::max<int64_t>(1, most_elements / image);
        *places = 0;
        for (int64_t start = 0; start < samples; start += step) {
            auto part = all.slice(0, start, std::min(samples, start + step)).to(at::kDouble);
            part = at::constant_pad_nd(part, {window.left, window.right, window.top, window.bottom}, 0);
            // [samples, channels, rows, columns, window rows, window columns], nothing copied yet.
            part = part.unfold(2, (window.rows - 1) * window.dilation + 1, window.row_step);
            part = part.unfold(3, (window.columns - 1) * window.column_dilation + 1, window.column_step);
            part = part.slice(4, 0, part.size(4), window.dilation).slice(5, 0, part.size(5), window.column_dilation);
            auto row = std::max<int64_t>(1, part.numel() / std::max<int64_t>(1, part.size(2)));
            auto rows = std::max<int64_t>(1, most_elements / row);
            for (int64_t top = 0; top < part.size(2); top += rows) {
                auto strip = part.slice(2, top, std::min(part.size(2), top + rows));
                strip = strip.reshape({strip.size(0), groups, channels / groups, strip.size(2), strip.size(3),
                                       strip.size(4), strip.size(5)});
                auto patches = strip.permute({1, 0, 3, 4, 2, 5, 6}).reshape({groups, -1, elements});
                if (with_constant) patches = at::constant_pad_nd(patches, {0, 1}, 1);
                if (groups == 1)
                    total[0].addmm_(patches[0].t(), patches[0]);
                else
                    total.baddbmm_(patches.transpose(1, 2), patches);
                *places += patches.size(1);
            }
        }
    });
}

int ct_round_adaptively(CTRounding rounding, const float *moments, const float *below, const float *span, float *rounded) {
    return ct::guarded([&] {
        at::NoGradGuard no_gradients;
        auto floats = [](const float *values, at::IntArrayRef extents) {
            return at::from_blob(const_cast<float *>(values), extents, at::TensorOptions().dtype(at::kFloat));
        };
        auto [groups, rows, columns] = std::array{rounding.groups, rounding.rows, rounding.columns};
        auto h_matrix = floats(moments, {groups, columns, columns});
        auto low = floats(below, {groups, rows, columns});
        auto width = floats(span, {groups, rows, columns});
        // h = the weight's own place between low and high: rounding begins where nothing is lost.
        auto movable = width > 0;
        auto place = at::where(movable, low.neg() / at::where(movable, width, at::ones_like(width)),
                               at::zeros_like(width)).clamp(0, 1);
        auto sigmoid = (place + 0.1) / 1.2;
        auto v = at::log(sigmoid / (1 - sigmoid));
        auto first = at::zeros_like(v), second = at::zeros_like(v);
        auto difference = at::empty_like(v), gradient = at::empty_like(v), slope = at::empty_like(v);
        auto h = at::empty_like(v), scratch = at::empty_like(v);
        auto stretched = [&] {
            at::sigmoid_out(scratch, v);
            at::mul_out(h, scratch, at::scalar_tensor(1.2)).sub_(0.1).clamp_(0, 1);
        };
        auto warm = static_cast<int64_t>(rounding.warm_start * static_cast<double>(rounding.iterations));
        for (int64_t iteration = 0; iteration < rounding.iterations; iteration++) {
            stretched();
            // d loss / d h = 2 (D H) span.
            at::mul_out(difference, h, width).add_(low);
            if (groups == 1) {
                auto target = gradient[0];
                at::mm_out(target, difference[0], h_matrix[0]);
            } else {
                at::bmm_out(gradient, difference, h_matrix);
            }
            gradient.mul_(width).mul_(2);
            if (iteration >= warm) {
                auto progress = static_cast<double>(iteration - warm) / std::max<int64_t>(1, rounding.iterations - warm);
                auto beta = rounding.last_beta
                    + 0.5 * (rounding.first_beta - rounding.last_beta) * (1 + std::cos(progress * 3.14159265358979));
                // d / dh of -|2h - 1|^beta.
                at::mul_out(difference, h, at::scalar_tensor(2.0)).sub_(1);
                at::abs_out(slope, difference).pow_(beta - 1).mul_(2 * beta * rounding.lambda);
                gradient.sub_(slope.mul_(difference.sign_()));
            }
            // dh / dv = 1.2 sigmoid (1 - sigmoid) where h is not clipped. `scratch` is the sigmoid.
            at::mul_out(slope, scratch, scratch).sub_(scratch).mul_(-1.2);
            slope.mul_(at::logical_and(h > 0, h < 1));
            gradient.mul_(slope);
            first.mul_(0.9).add_(gradient, 0.1);
            second.mul_(0.999).addcmul_(gradient, gradient, 0.001);
            auto step = static_cast<double>(iteration + 1);
            auto rate = rounding.learning_rate * std::sqrt(1 - std::pow(0.999, step)) / (1 - std::pow(0.9, step));
            at::sqrt_out(scratch, second).add_(1e-12);
            v.addcdiv_(first, scratch, -rate);
        }
        stretched();
        auto dense = h.contiguous();
        std::memcpy(rounded, dense.data_ptr<float>(), dense.numel() * sizeof(float));
    });
}

}
