"""Makes the numbers in TrainingReference.swift: `python3 training.py > ../TrainingReference.swift` (torch 2.13)."""

import torch
import torch.nn.functional as F

torch.manual_seed(11)


def swift(name, values, kind="Double"):
    flat = values.flatten().tolist() if torch.is_tensor(values) else list(values)
    rows, line = [], "        "
    for value in flat:
        text = repr(round(value, 9)) if kind == "Double" else str(value)
        if len(line) + len(text) + 2 > 118:
            rows.append(line.rstrip())
            line = "        "
        line += text + ", "
    rows.append(line.rstrip())
    print(f"    static let {name}: [{kind}] = [")
    print("\n".join(rows))
    print("    ]")


def grid(count, step, start=0.0):
    """Values that binary fractions hold exactly, so that both sides start from the same bits."""
    return torch.tensor([((i * step) % 13 - 6) / 8 + start for i in range(count)])


def loss(name, function, z):
    z = z.clone().requires_grad_()
    value = function(z)
    value.backward()
    swift(name, torch.cat([value.detach().reshape(1), z.grad.flatten()]))


print("// Made by reference/training.py with PyTorch; each loss is followed by its gradient.")
print("enum TrainingReference {")
z = grid(12, 5).reshape(3, 4)
y = torch.tensor([1, 3, 0])
loss("crossEntropy", lambda z: F.cross_entropy(z, y), z)
loss("smoothed", lambda z: F.cross_entropy(z, y, label_smoothing=0.1), z)
loss("ignoring", lambda z: F.cross_entropy(z, torch.tensor([1, -100, 0])), z)
loss("smoothedIgnoring", lambda z: F.cross_entropy(z, torch.tensor([1, 3, 0]), label_smoothing=0.2, ignore_index=3), z)
mixed = torch.tensor([[0.25, 0.75, 0, 0], [0, 0, 1, 0], [0.5, 0, 0, 0.5]])
loss("mixed", lambda z: F.cross_entropy(z, mixed), z)
loss("mixedSmoothed", lambda z: F.cross_entropy(z, mixed, label_smoothing=0.1), z)
maps = grid(24, 7).reshape(2, 3, 2, 2)
labels = torch.tensor([0, 1, 2, 0, 1, 1, 255, 2]).reshape(2, 2, 2)
loss("perPixel", lambda z: F.cross_entropy(z, labels, ignore_index=255), maps)
tokens = grid(30, 4).reshape(2, 3, 5)
following = torch.tensor([[4, -100, 2], [0, 1, -100]])
loss("tokens", lambda z: F.cross_entropy(z.flatten(0, -2), following.flatten()), tokens)
t = grid(12, 3).reshape(3, 4)
kl = lambda z, t, temperature: temperature * temperature * F.kl_div(
    F.log_softmax(z / temperature, 1), F.log_softmax(t / temperature, 1), log_target=True, reduction="batchmean")
loss("klDivergence", lambda z: kl(z, t, 3.0), z)
loss("distilled", lambda z: 0.7 * kl(z, t, 2.0) + 0.3 * F.cross_entropy(z, y), z)
teacher = grid(30, 9).reshape(2, 3, 5)
kept = following.flatten() != -100
loss("distilledTokens", lambda z: 0.4 * kl(z.flatten(0, -2)[kept], teacher.flatten(0, -2)[kept], 2.0)
     + 0.6 * F.cross_entropy(z.flatten(0, -2), following.flatten()), tokens)
loss("squared", lambda z: F.mse_loss(z, t), z)
loss("binary", lambda z: F.binary_cross_entropy_with_logits(z, mixed), z)
loss("cosine", lambda z: F.cosine_embedding_loss(z.flatten(1), t.flatten(1), torch.ones(3)), z)


class Lamb(torch.optim.Optimizer):
    """You et al. 2020, algorithm 2, phi the identity."""

    def __init__(self, parameters, lr, weight_decay):
        super().__init__(parameters, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state.update(t=0, m=torch.zeros_like(p), v=torch.zeros_like(p))
                state["t"] += 1
                state["m"] = 0.9 * state["m"] + 0.1 * p.grad
                state["v"] = 0.999 * state["v"] + 0.001 * p.grad ** 2
                m, v = state["m"] / (1 - 0.9 ** state["t"]), state["v"] / (1 - 0.999 ** state["t"])
                u = m / (v.sqrt() + 1e-6) + group["weight_decay"] * p
                trust = p.norm() / u.norm() if p.norm() > 0 and u.norm() > 0 else 1.0
                p -= group["lr"] * trust * u


# One layer x w + b, five steps on two alternating batches.
xs = [grid(12, 5).reshape(4, 3), grid(12, 7).reshape(4, 3)]
ys = [torch.tensor([0, 1, 1, 0]), torch.tensor([1, 1, 0, 1])]


def train(name, make, clip=None, correct=None):
    w = grid(6, 4).reshape(3, 2).requires_grad_()
    b = torch.tensor([0.5, -0.25], requires_grad=True)
    start = [w.detach().clone(), b.detach().clone()]
    optimizer = make([w, b])
    norms = []
    for step in range(5):
        optimizer.zero_grad()
        F.cross_entropy(xs[step % 2] @ w + b, ys[step % 2]).backward()
        if correct:
            correct([w, b], start)
        if clip:
            norms.append(clip([w, b]))
        optimizer.step()
    swift(name, torch.cat([w.detach().flatten(), b.detach()]))
    if norms and norms[0] is not None:
        swift(name + "Norms", [float(norm) for norm in norms])


sgd = lambda **k: lambda p: torch.optim.SGD(p, lr=0.3, **k)
train("sgd", sgd())
train("sgdMomentum", sgd(momentum=0.9, weight_decay=0.05))
train("sgdNesterov", sgd(momentum=0.8, nesterov=True, weight_decay=0.01))
train("adamw", lambda p: torch.optim.AdamW(p, lr=0.05, weight_decay=0.1))
train("adamwSpared", lambda p: torch.optim.AdamW(
    [{"params": p[:1]}, {"params": p[1:], "weight_decay": 0.0}], lr=0.05, weight_decay=0.1))
train("lamb", lambda p: Lamb(p, lr=0.05, weight_decay=0.1))
train("clippedNorm", sgd(momentum=0.9), clip=lambda p: torch.nn.utils.clip_grad_norm_(p, 0.3))
train("clippedValue", sgd(), clip=lambda p: torch.nn.utils.clip_grad_value_(p, 0.1))


def proximal(p, start):
    for parameter, origin in zip(p, start):
        parameter.grad += 0.5 * (parameter.detach() - origin)


def scaffold(p, start):
    for parameter, values in zip(p, [grid(6, 2), grid(2, 3)]):
        parameter.grad += values.reshape(parameter.shape)


train("proximal", sgd(), correct=proximal)
train("corrected", sgd(momentum=0.9), clip=lambda p: torch.nn.utils.clip_grad_norm_(p, 0.5), correct=scaffold)


def rates(name, make, steps, momentum=False, lr=0.2):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr, momentum=0.9)
    scheduler = make(optimizer)
    found = []
    for step in range(steps):
        group = optimizer.param_groups[0]
        found.append(group["momentum"] if momentum else group["lr"])
        optimizer.step()
        if step + 1 < steps:
            scheduler.step()
    swift(name, found)


S = torch.optim.lr_scheduler
warm = lambda o, n, then: S.SequentialLR(o, [S.LinearLR(o, 1 / n, total_iters=n - 1), then(o)], [n])
rates("cosineRates", lambda o: S.CosineAnnealingLR(o, T_max=10, eta_min=0.02), 10)
rates("warmCosineRates", lambda o: warm(o, 4, lambda o: S.CosineAnnealingLR(o, T_max=8, eta_min=0.0)), 12)
rates("stepRates", lambda o: S.StepLR(o, step_size=3, gamma=0.5), 10)
cycle = lambda total, momentum=False: lambda o: S.OneCycleLR(o, 0.2, total_steps=total, cycle_momentum=momentum)
rates("cycleRates", cycle(20), 20)
rates("oddCycleRates", cycle(7), 7)
rates("cycleMomenta", cycle(15, True), 15, momentum=True)
print("}")
