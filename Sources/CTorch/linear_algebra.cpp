// Decompositions and products of matrices, in double.
#include <algorithm>
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

// Images handled at once hold at most this many numbers, or are one image.
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

int ct_add_second_moment(const float *images, int64_t samples, int64_t channels, int64_t height, int64_t width,
                         CTRowWindow window, double *sum, int64_t *places) {
    return ct::guarded([&] {
        auto all = at::from_blob(const_cast<float *>(images), {samples, channels, height, width},
                                 at::TensorOptions().dtype(at::kFloat));
        auto size = channels * window.rows;
        auto total = view(sum, {size, size});
        auto step = std::max<int64_t>(1, most_elements / std::max<int64_t>(1, channels * height * width));
        *places = 0;
        for (int64_t start = 0; start < samples; start += step) {
            auto part = all.slice(0, start, std::min(samples, start + step)).to(at::kDouble);
            part = at::constant_pad_nd(part, {window.left, window.right, window.top, window.bottom}, 0);
            part = part.slice(3, 0, part.size(3), window.column_step);
            part = part.unfold(2, (window.rows - 1) * window.dilation + 1, window.row_step);
            part = part.slice(4, 0, part.size(4), window.dilation);
            auto columns = part.permute({0, 2, 3, 1, 4}).reshape({-1, size});
            total.addmm_(columns.t(), columns);
            *places += columns.size(0);
        }
    });
}

}
