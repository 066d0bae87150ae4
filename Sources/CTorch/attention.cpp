// Attention and rotary positions (ONNX opset 23 and later).
#include <cmath>
#include <limits>

#include "precision.h"

namespace {

constexpr double infinity = std::numeric_limits<double>::infinity();

// [batch, length, heads * size] to [batch, heads, length, size].
at::Tensor by_head(const at::Tensor &x, int64_t heads) {
    if (x.dim() == 4) return x;
    ct::require(x.dim() == 3 && heads > 0 && x.size(2) % heads == 0, "the hidden size is no multiple of the heads");
    return x.reshape({x.size(0), x.size(1), heads, x.size(2) / heads}).transpose(1, 2);
}

// What is added to the scores: -infinity where a query may not look.
struct Bias {
    at::Tensor value;  // undefined where nothing is added

    void add(const at::Tensor &more) { value = value.defined() ? value + more : more; }

    void forbid(const at::Tensor &places, const at::TensorOptions &options) {
        add(at::zeros(places.sizes(), options).masked_fill(places, -infinity));
    }
};

Bias bias(const at::Tensor &mask, const at::Tensor &lengths, const CTAttention &settings, int64_t queries, int64_t keys,
          int64_t past, const at::TensorOptions &options) {
    Bias bias;
    if (mask.defined()) {
        ct::require(mask.dim() >= 1 && mask.dim() <= 4 && mask.size(-1) <= keys, "attn_mask does not fit the keys");
        bool flags = mask.scalar_type() == at::kBool;
        auto whole = mask;
        // Keys that a shorter mask does not name are not looked at.
        if (mask.size(-1) < keys)
            whole = at::constant_pad_nd(mask, {0, keys - mask.size(-1)}, flags ? at::Scalar(false) : -infinity);
        if (flags) {
            bias.forbid(whole.logical_not(), options);
        } else {
            bias.add(whole.to(options));
        }
    }
    auto integers = options.dtype(at::kLong);
    auto query = at::arange(queries, integers).unsqueeze(1), key = at::arange(keys, integers).unsqueeze(0);
    // Where the queries stand among the keys: after the past, or at the end of what is filled.
    auto position = query + past;
    if (lengths.defined()) position = query + (lengths.reshape({-1, 1, 1, 1}) - queries);
    if (settings.causal) bias.forbid(key > position, options);
    if (settings.left_window >= 0) bias.forbid(position - key > settings.left_window, options);
    if (settings.right_window >= 0) bias.forbid(key - position > settings.right_window, options);
    if (lengths.defined()) bias.forbid(key >= lengths.reshape({-1, 1, 1, 1}), options);
    return bias;
}

}  // namespace

extern "C" {

int ct_attention(const CTTensor *const *inputs, const CTAttention *settings, CTTensor **outputs) {
    return ct::guarded([&] {
        auto input = [&](int index) { return inputs[index] ? ct::widened(inputs[index]->value) : at::Tensor(); };
        auto type = inputs[0]->value.scalar_type();
        bool flat = inputs[0]->value.dim() == 3;
        auto query = by_head(input(0), settings->query_heads);
        auto key = by_head(input(1), settings->key_heads), value = by_head(input(2), settings->key_heads);
        ct::require(query.dim() == 4 && key.dim() == 4 && value.dim() == 4, "Q, K and V must have three or four axes");
        int64_t past = 0;
        if (auto before = input(4); before.defined()) {
            past = before.size(2);
            key = at::cat({before, key}, 2);
            value = at::cat({input(5), value}, 2);
        }
        auto present_key = key, present_value = value;
        int64_t queries = query.size(2), keys = key.size(2);
        ct::require(key.size(1) > 0 && query.size(1) % key.size(1) == 0 && key.size(1) == value.size(1),
                    "the query heads are no multiple of the key and value heads");
        if (query.size(1) != key.size(1)) {
            key = key.repeat_interleave(query.size(1) / key.size(1), 1);
            value = value.repeat_interleave(query.size(1) / value.size(1), 1);
        }
        double scale = settings->has_scale ? settings->scale : 1 / std::sqrt(static_cast<double>(query.size(3)));
        double root = std::sqrt(scale);
        auto scores = at::matmul(query * root, key.transpose(2, 3) * root);
        at::Tensor shown = settings->shown == CT_SCORES ? scores : at::Tensor();
        if (settings->softcap > 0) scores = at::tanh(scores / settings->softcap) * settings->softcap;
        if (settings->shown == CT_SCORES_CAPPED) shown = scores;
        auto added = bias(input(3), input(6), *settings, queries, keys, past, query.options()).value;
        at::Tensor blind;
        if (added.defined()) {
            // A query that may look at nothing gets zeros, not 0/0, forwards and backwards.
            blind = at::amax(added.detach(), -1, true) == -infinity;
            if (settings->shown == CT_SCORES_BIASED) shown = scores + added;
            scores = scores + added.masked_fill(blind, 0);
        } else if (settings->shown == CT_SCORES_BIASED) {
            shown = scores;
        }
        auto precision = settings->softmax_type ? ct::scalar_type(settings->softmax_type) : scores.scalar_type();
        if (precision == at::kHalf) precision = at::kFloat;
        auto shares = at::softmax(scores.to(precision), -1).to(scores.scalar_type());
        if (blind.defined()) shares = shares.masked_fill(blind, 0);
        if (settings->shown == CT_SHARES) shown = shares;
        auto result = at::matmul(shares, value);
        if (flat) result = result.transpose(1, 2).reshape({result.size(0), queries, -1});
        ct::give(outputs, {result.to(type), present_key.to(type), present_value.to(inputs[2]->value.scalar_type()),
                           shown.expand(shares.sizes()).to(type)});
    });
}

CTTensor *ct_rotary_embedding(const CTTensor *x, const CTTensor *cosines, const CTTensor *sines,
                              const CTTensor *positions, int64_t heads, int64_t rotated, bool interleaved) {
    return ct::boxed([&] {
        auto input = by_head(ct::widened(x->value), heads);
        ct::require(input.dim() == 4, "the input must have three or four axes");
        int64_t size = rotated == 0 ? input.size(3) : rotated;
        ct::require(size <= input.size(3) && size % 2 == 0, "the rotated part must be even and no larger than a head");
        // One row of angles a token: [batch, 1, length, size / 2].
        auto rows = [&](const CTTensor *cache) {
            auto angles = ct::widened(cache->value);
            if (positions) {
                ct::require(angles.dim() == 2, "with position_ids the caches must have two axes");
                auto places = positions->value.to(at::kLong);
                angles = at::index_select(angles, 0, places.reshape({-1}))
                             .reshape({places.size(0), places.size(1), angles.size(1)});
            }
            ct::require(angles.dim() == 3 && angles.size(2) == size / 2, "the caches do not fit the rotated part");
            return angles.unsqueeze(1);
        };
        auto cosine = rows(cosines), sine = rows(sines);
        auto turned = input.narrow(3, 0, size), rest = input.narrow(3, size, input.size(3) - size);
        auto pairs = interleaved ? turned.reshape({input.size(0), input.size(1), input.size(2), size / 2, 2}).unbind(4)
                                 : turned.chunk(2, 3);
        auto real = cosine * pairs[0] - sine * pairs[1], imaginary = sine * pairs[0] + cosine * pairs[1];
        turned = interleaved ? at::stack({real, imaginary}, 4).flatten(3) : at::cat({real, imaginary}, 3);
        auto result = at::cat({turned, rest}, 3);
        if (x->value.dim() == 3) result = result.transpose(1, 2).reshape(x->value.sizes());
        return result.to(x->value.scalar_type());
    });
}

}
