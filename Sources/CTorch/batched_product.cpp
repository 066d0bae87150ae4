// Matrix products as BLAS calls, split over the threads of libtorch's own pool: OpenBLAS brings a second pool, and two that
// wait actively for work on the same cores make a step of a small network twenty times slower (measured).
//
// Without MKL, ATen 1.13 multiplies a batch matrix by matrix through its own operators: slices, checks, copies of what is
// transposed. For the 128 products of 16x8 matrices of a small attention layer that takes several times as long as the
// products. Here each is one call of BLAS on the matrices as they lie.
#include "batched_product.h"

#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <torch/csrc/autograd/custom_function.h>

namespace {

using Gemm = void (*)(const char *, const char *, const int *, const int *, const int *, const float *, const float *,
                      const int *, const float *, const int *, const float *, float *, const int *);

// The BLAS that libtorch itself has loaded.
Gemm gemm() {
    static const auto found = reinterpret_cast<Gemm>(dlsym(RTLD_DEFAULT, "sgemm_"));
    return found;
}

// A matrix of a batch as BLAS takes it: rows that follow one another with a stride, or columns that do.
struct Layout {
    bool rows_lie = false, fits = false;
    int stride = 0;

    explicit Layout(const at::Tensor &x) {
        int64_t rows = x.size(-2), columns = x.size(-1);
        int64_t down = x.stride(-2), across = x.stride(-1);
        if (across == 1 && (down >= columns || rows == 1)) {
            rows_lie = true;
            stride = static_cast<int>(std::max(down, std::max<int64_t>(columns, 1)));
            fits = down <= INT_MAX;
        } else if (down == 1 && across >= rows) {
            stride = static_cast<int>(across);
            fits = across <= INT_MAX;
        }
    }
};

// The first element of matrix `index` of a batch with up to two leading axes.
const float *matrix(const at::Tensor &x, int64_t index) {
    auto *start = x.data_ptr<float>();
    if (x.dim() == 2) return start;
    if (x.dim() == 3) return start + index * x.stride(0);
    return start + index / x.size(1) * x.stride(0) + index % x.size(1) * x.stride(1);
}

// a b over the last two axes. Rows are cut at fixed places, so the result does not depend on the number of threads.
at::Tensor product_of(at::Tensor a, at::Tensor b) {
    Layout left(a), right(b);
    if (!left.fits) left = Layout(a = a.contiguous());
    if (!right.fits) right = Layout(b = b.contiguous());
    auto shape = a.sizes().vec();
    shape.back() = b.size(-1);
    auto out = at::empty(shape, a.options());
    int64_t count = 1;
    for (size_t axis = 0; axis + 2 < shape.size(); axis++) count *= shape[axis];
    int m = static_cast<int>(a.size(-2)), n = static_cast<int>(b.size(-1)), k = static_cast<int>(a.size(-1));
    if (out.numel() == 0) return out;
    if (k == 0) return out.zero_();
    // BLAS thinks in columns: it makes outᵀ = bᵀ aᵀ, and a matrix whose rows lie is its transpose to it.
    const char first = right.rows_lie ? 'N' : 'T', second = left.rows_lie ? 'N' : 'T';
    const float one = 1, zero = 0;
    auto *target = out.data_ptr<float>();
    // A piece is worth a call of BLAS; two small ones together are worth another thread.
    int64_t cost = std::max<int64_t>(1, int64_t(n) * k);
    int64_t rows = std::min<int64_t>(m, std::max<int64_t>(64, (1 << 22) / cost)), pieces = (m + rows - 1) / rows;
    int64_t grain = std::max<int64_t>(1, (1 << 18) / (rows * cost));
    at::parallel_for(0, count * pieces, grain, [&](int64_t begin, int64_t end) {
        for (int64_t job = begin; job < end; job++) {
            int64_t index = job / pieces, row = job % pieces * rows;
            int height = static_cast<int>(std::min<int64_t>(rows, m - row));
            const float *top = matrix(a, index) + (left.rows_lie ? row * left.stride : row);
            gemm()(&first, &second, &n, &height, &k, &one, matrix(b, index), &right.stride, top, &left.stride, &zero,
                   target + (index * m + row) * n, &n);
        }
    });
    return out;
}

struct BatchedProduct : torch::autograd::Function<BatchedProduct> {
    static at::Tensor forward(torch::autograd::AutogradContext *context, const at::Tensor &a, const at::Tensor &b) {
        at::AutoDispatchBelowADInplaceOrView guard;
        context->save_for_backward({a, b});
        return product_of(a, b);
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context,
                                                   torch::autograd::variable_list gradients) {
        auto saved = context->get_saved_variables();
        const auto &gradient = gradients[0];
        at::Tensor left, right;
        if (context->needs_input_grad(0)) left = product_of(gradient, saved[1].transpose(-2, -1));
        if (context->needs_input_grad(1)) right = product_of(saved[0].transpose(-2, -1), gradient);
        return {left, right};
    }
};

// x W + b or x Wᵀ + b.
struct LinearLayer : torch::autograd::Function<LinearLayer> {
    static at::Tensor forward(torch::autograd::AutogradContext *context, const at::Tensor &x, const at::Tensor &w,
                              const at::Tensor &bias, bool transposed) {
        at::AutoDispatchBelowADInplaceOrView guard;
        context->save_for_backward({x, w});
        context->saved_data["transposed"] = transposed;
        return product_of(x, transposed ? w.t() : w).add_(bias);
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context,
                                                   torch::autograd::variable_list gradients) {
        auto saved = context->get_saved_variables();
        bool transposed = context->saved_data["transposed"].toBool();
        const auto &x = saved[0], &w = saved[1], &gradient = gradients[0];
        at::Tensor input, weight, bias;
        if (context->needs_input_grad(0)) input = product_of(gradient, transposed ? w : w.t());
        if (context->needs_input_grad(1))
            weight = transposed ? product_of(gradient.t(), x) : product_of(x.t(), gradient);
        if (context->needs_input_grad(2)) bias = gradient.sum(0);
        return {input, weight, bias, at::Tensor()};
    }
};

}  // namespace

namespace ct {

bool multiplies_batches(const at::Tensor &a, const at::Tensor &b) {
    auto is_plain = [](const at::Tensor &x) { return x.device().is_cpu() && x.scalar_type() == at::kFloat; };
    if (!is_plain(a) || !is_plain(b) || a.dim() != b.dim() || a.dim() < 2 || a.dim() > 4 || !gemm()) return false;
    for (int64_t axis = 0; axis + 2 < a.dim(); axis++)
        if (a.size(axis) != b.size(axis)) return false;
    bool fits = a.size(-2) <= INT_MAX && a.size(-1) <= INT_MAX && b.size(-1) <= INT_MAX;
    return fits && a.size(-1) == b.size(-2);
}

at::Tensor batched_product(const at::Tensor &a, const at::Tensor &b) {
    bool records = at::GradMode::is_enabled() && (a.requires_grad() || b.requires_grad());
    return records ? BatchedProduct::apply(a, b) : product_of(a, b);
}

at::Tensor linear(const at::Tensor &x, const at::Tensor &w, const at::Tensor &bias, bool transposed) {
    bool fits = x.dim() == 2 && bias.dim() == 1 && bias.scalar_type() == at::kFloat && w.dim() == 2 &&
                bias.size(0) == w.size(transposed ? 0 : 1) && multiplies_batches(x, transposed ? w.t() : w);
    if (!fits) return at::addmm(bias, x, transposed ? w.t() : w);
    bool records = at::GradMode::is_enabled() && (x.requires_grad() || w.requires_grad() || bias.requires_grad());
    if (records) return LinearLayer::apply(x, w, bias, transposed);
    return product_of(x, transposed ? w.t() : w).add_(bias);
}

}  // namespace ct
