// RNN, GRU and LSTM as ONNX defines them. ATen's own layers run where they compute the same; a loop over the steps does
// the rest.
#include <cmath>

#include "precision.h"

namespace {

using Activation = CTActivation;

at::Tensor activated(const at::Tensor &x, const Activation &activation) {
    double alpha = activation.alpha, beta = activation.beta;
    switch (activation.kind) {
    case CT_RELU: return at::relu(x);
    case CT_TANH: return at::tanh(x);
    case CT_SIGMOID: return at::sigmoid(x);
    case CT_AFFINE: return x * alpha + beta;
    case CT_LEAKY_RELU: return at::where(x >= 0, x, x * alpha);
    case CT_THRESHOLDED_RELU: return at::where(x >= alpha, x, at::zeros_like(x));
    case CT_SCALED_TANH: return at::tanh(x * beta) * alpha;
    case CT_HARD_SIGMOID: return at::clamp(x * alpha + beta, 0, 1);
    case CT_ELU: return at::elu(x, alpha);
    case CT_SOFTSIGN: return x / (at::abs(x) + 1);
    case CT_SOFTPLUS: return at::softplus(x);
    default: throw std::runtime_error("unknown activation");
    }
}

// What one direction of a layer computes with.
struct Direction {
    const CTRecurrent &settings;
    const Activation *activations;
    // [gates * hidden, input], [gates * hidden, hidden], [gates * hidden] twice, [3 * hidden].
    at::Tensor w, r, input_bias, hidden_bias, peepholes;

    at::Tensor bounded(const at::Tensor &x) const {
        return settings.clip > 0 ? at::clamp(x, -settings.clip, settings.clip) : x;
    }

    at::Tensor f(const at::Tensor &x) const { return activated(bounded(x), activations[0]); }
    at::Tensor g(const at::Tensor &x) const { return activated(bounded(x), activations[1]); }
    at::Tensor h(const at::Tensor &x) const { return activated(bounded(x), activations[2]); }

    // One step from the input's share of the gates.
    void step(const at::Tensor &share, at::Tensor &hidden, at::Tensor &cell) const {
        switch (settings.kind) {
        case CT_LSTM: return lstm(share, hidden, cell);
        case CT_GRU: return gru(share, hidden);
        default: hidden = f(share + at::linear(hidden, r, hidden_bias));
        }
    }

    // Gates i, o, f, c; peepholes i, o, f.
    void lstm(const at::Tensor &share, at::Tensor &hidden, at::Tensor &cell) const {
        auto gates = (share + at::linear(hidden, r, hidden_bias)).chunk(4, 1);
        bool peeps = peepholes.defined();
        std::vector<at::Tensor> p;
        if (peeps) p = peepholes.chunk(3, 0);
        auto input = f(peeps ? gates[0] + p[0] * cell : gates[0]);
        auto forget = settings.input_forget ? 1 - input : f(peeps ? gates[2] + p[2] * cell : gates[2]);
        auto next = forget * cell + input * g(gates[3]);
        auto output = f(peeps ? gates[1] + p[1] * next : gates[1]);
        cell = next;
        hidden = output * h(next);
    }

    // Gates z, r, h.
    void gru(const at::Tensor &share, at::Tensor &hidden) const {
        int64_t size = settings.hidden_size;
        auto linear = [&](const at::Tensor &state, int64_t begin, int64_t count) {
            auto rows = r.narrow(0, begin * size, count * size);
            return hidden_bias.defined() ? at::linear(state, rows, hidden_bias.narrow(0, begin * size, count * size))
                                         : at::linear(state, rows);
        };
        auto both = (share.narrow(1, 0, 2 * size) + linear(hidden, 0, 2)).chunk(2, 1);
        auto update = f(both[0]), reset = f(both[1]), candidate = share.narrow(1, 2 * size, size);
        auto recurrent = settings.linear_before_reset ? reset * linear(hidden, 2, 1) : linear(reset * hidden, 2, 1);
        hidden = (1 - update) * g(candidate + recurrent) + update * hidden;
    }
};

struct Layer {
    const CTRecurrent &settings;
    at::Tensor x, w, r, b, p, lengths, hidden, cell;  // x: [steps, batch, input]
    int64_t directions, gates;

    at::Tensor part(const at::Tensor &tensor, int64_t direction) const {
        return tensor.defined() ? tensor.select(0, direction) : at::Tensor();
    }

    bool reverses(int64_t direction) const { return settings.direction == CT_REVERSE || direction == 1; }

    void check() const {
        int64_t rows = gates * settings.hidden_size, batch = x.size(1);
        auto has = [](const at::Tensor &tensor, std::vector<int64_t> shape, const char *reason) {
            ct::require(!tensor.defined() || tensor.sizes() == at::IntArrayRef(shape), reason);
        };
        has(w, {directions, rows, x.size(2)}, "W has another shape than [directions, gates * hidden_size, input]");
        has(r, {directions, rows, settings.hidden_size}, "R has another shape than [directions, gates * hidden, hidden]");
        has(b, {directions, 2 * rows}, "B has another shape than [directions, 2 * gates * hidden_size]");
        has(p, {directions, 3 * settings.hidden_size}, "P has another shape than [directions, 3 * hidden_size]");
        has(lengths, {batch}, "sequence_lens has another shape than [batch]");
        has(hidden, {directions, batch, settings.hidden_size}, "initial_h has another shape");
        has(cell, {directions, batch, settings.hidden_size}, "initial_c has another shape");
    }

    at::Tensor initial(const at::Tensor &given) const {
        return given.defined() ? given : at::zeros({directions, x.size(1), settings.hidden_size}, x.options());
    }

    bool suits_aten() const {
        if (lengths.defined() || p.defined() || settings.clip > 0 || settings.input_forget) return false;
        if (settings.kind == CT_RNN || (settings.kind == CT_GRU && !settings.linear_before_reset)) return false;
        const int lstm[] = {CT_SIGMOID, CT_TANH, CT_TANH}, gru[] = {CT_SIGMOID, CT_TANH};
        int count = settings.kind == CT_LSTM ? 3 : 2;
        for (int index = 0; index < directions * count; index++)
            if (settings.activations[index].kind != (settings.kind == CT_LSTM ? lstm : gru)[index % count]) return false;
        return x.size(0) > 0 && x.size(1) > 0;
    }

    // From ONNX's gates to ATen's: i,o,f,c to i,f,c,o; z,r,h to r,z,h.
    at::Tensor reordered(const at::Tensor &rows) const {
        auto parts = rows.chunk(gates, 0);
        if (settings.kind == CT_LSTM) return at::cat({parts[0], parts[2], parts[3], parts[1]});
        return at::cat({parts[1], parts[0], parts[2]});
    }

    // Y [steps, directions, batch, hidden], Y_h and Y_c [directions, batch, hidden].
    std::vector<at::Tensor> by_aten() const {
        std::vector<at::Tensor> parameters;
        for (int64_t direction = 0; direction < directions; direction++) {
            parameters.push_back(reordered(part(w, direction)));
            parameters.push_back(reordered(part(r, direction)));
            if (!b.defined()) continue;
            for (auto &bias : part(b, direction).chunk(2, 0)) parameters.push_back(reordered(bias));
        }
        bool flips = settings.direction == CT_REVERSE;
        auto input = flips ? x.flip(0) : x;
        at::Tensor y, last, last_cell;
        if (settings.kind == CT_LSTM) {
            std::tie(y, last, last_cell) = at::lstm(input, {initial(hidden), initial(cell)}, parameters, b.defined(), 1,
                                                    0, false, directions == 2, false);
        } else {
            std::tie(y, last) =
                at::gru(input, initial(hidden), parameters, b.defined(), 1, 0, false, directions == 2, false);
        }
        if (flips) y = y.flip(0);
        y = y.reshape({x.size(0), x.size(1), directions, settings.hidden_size}).permute({0, 2, 1, 3});
        return {y, last, last_cell};
    }

    std::vector<at::Tensor> by_steps() const {
        std::vector<at::Tensor> outputs, lasts, cells;
        auto hiddens = initial(hidden), first_cells = initial(cell);
        int per_direction = settings.kind == CT_LSTM ? 3 : settings.kind == CT_GRU ? 2 : 1;
        for (int64_t number = 0; number < directions; number++) {
            Direction direction{settings, settings.activations + number * per_direction, part(w, number),
                                part(r, number)};
            c10::optional<at::Tensor> input_bias;
            if (b.defined()) {
                auto halves = part(b, number).chunk(2, 0);
                input_bias = halves[0];
                direction.hidden_bias = halves[1];
            }
            direction.peepholes = part(p, number);
            auto state = hiddens.select(0, number), memory = first_cells.select(0, number);
            auto shares = at::linear(x, direction.w, input_bias);
            std::vector<at::Tensor> steps(x.size(0));
            for (int64_t index = 0; index < x.size(0); index++) {
                int64_t time = reverses(number) ? x.size(0) - 1 - index : index;
                auto next = state, next_memory = memory;
                direction.step(shares.select(0, time), next, next_memory);
                steps[time] = next;
                if (lengths.defined()) {
                    // A sequence that is over keeps its state and puts out zeros.
                    auto alive = (lengths > time).unsqueeze(1);
                    steps[time] = at::where(alive, next, at::zeros_like(next));
                    next = at::where(alive, next, state);
                    next_memory = at::where(alive, next_memory, memory);
                }
                state = next;
                memory = next_memory;
            }
            outputs.push_back(steps.empty() ? at::zeros({0, x.size(1), settings.hidden_size}, x.options())
                                            : at::stack(steps));
            lasts.push_back(state);
            cells.push_back(memory);
        }
        return {at::stack(outputs, 1), at::stack(lasts), at::stack(cells)};
    }
};

}  // namespace

extern "C" {

int ct_recurrent(const CTRecurrent *settings, const CTTensor *const *inputs, CTTensor **outputs) {
    return ct::guarded([&] {
        auto type = inputs[0]->value.scalar_type();
        auto input = [&](int index) { return inputs[index] ? ct::widened(inputs[index]->value) : at::Tensor(); };
        ct::require(inputs[0]->value.dim() == 3, "the input must have three axes");
        bool lstm = settings->kind == CT_LSTM;
        Layer layer{*settings, input(0), input(1), input(2), input(3)};
        layer.lengths = input(4);
        layer.hidden = input(5);
        layer.cell = lstm ? input(6) : at::Tensor();
        layer.p = lstm ? input(7) : at::Tensor();
        layer.directions = settings->direction == CT_BIDIRECTIONAL ? 2 : 1;
        layer.gates = lstm ? 4 : settings->kind == CT_GRU ? 3 : 1;
        // Layout 1 has the batch first.
        auto swapped = [&](const at::Tensor &tensor) {
            return tensor.defined() && settings->batch_first ? tensor.transpose(0, 1) : tensor;
        };
        layer.x = swapped(layer.x);
        layer.hidden = swapped(layer.hidden);
        layer.cell = swapped(layer.cell);
        layer.check();
        auto results = layer.suits_aten() ? layer.by_aten() : layer.by_steps();
        if (settings->batch_first) results[0] = results[0].permute({2, 0, 1, 3});
        results[1] = swapped(results[1]);
        results[2] = lstm ? swapped(results[2]) : at::Tensor();
        for (auto &result : results)
            if (result.defined()) result = result.to(type);
        ct::give(outputs, results);
    });
}

}
