"""What PyTorch computes of a model, and which of it float32 determines.

The reference is PyTorch's float32. Beside it the same is computed in float64, and again in float32 with the batch in
other orders, with other convolution kernels, and with GELU from the operators that stand in the exported file:
mathematically the same problem, rounded differently. Where these runs disagree, disagreement with the reference is
rounding and not an error; nobody has to guess, and no parameter is excused by its name.
"""
import contextlib
import copy
from unittest import mock

import torch
from torch import nn

SGD = dict(lr=0.05, momentum=0.9, weight_decay=5e-4)
# With the usual epsilon of 1e-8 a gradient that is rounding noise becomes a full step of random sign: of MobileNetV2, whose
# bounded activations add noise of their own, half the elements would not be determined. The decay is large enough to
# be seen after three steps.
ADAMW = dict(lr=1e-3, weight_decay=0.5, eps=1e-3)
STEPS = 3
# The bound of the parity tests: largest difference over largest value of a tensor.
TOLERANCE = 1e-4
# Runs may differ from float64 by this share of the bound; another implementation rounds as badly, hardly worse.
MARGIN = 0.25
ORDERS = 4


def buffers(module):
    """Running statistics; the counters of batches are not in ONNX files."""
    return {name: value for name, value in module.named_buffers() if value.is_floating_point()}


def gelu_of_file(x, approximate="none"):
    """GELU as the exporters write it below opset 20."""
    assert approximate == "none"
    return x * (torch.erf(x / 2**0.5) + 1) * 0.5


class Run:
    """One way to compute everything: a type, an order of the batch, which kernels."""

    def __init__(self, sample, dtype=torch.float32, order=None, onednn=True, fused=True):
        self.sample, self.dtype, self.onednn, self.fused = sample, dtype, onednn, fused
        count = len(next(iter(sample.inputs.values())))
        self.count, self.order = count, torch.arange(count) if order is None else order
        inputs = [value[self.order] for value in sample.inputs.values()]
        self.inputs = [value.to(dtype) if value.is_floating_point() else value for value in inputs]
        self.labels = self.reorder(sample.labels, self.order)

    def reorder(self, rows, order):
        """Rows of labels or logits: one or several for each sample."""
        return rows.reshape(self.count, -1, *rows.shape[1:])[order].reshape(rows.shape)

    def module(self):
        return copy.deepcopy(self.sample.module).to(self.dtype)

    @contextlib.contextmanager
    def kernels(self):
        """Native instead of oneDNN convolutions, GELU in single operators instead of one kernel."""
        with contextlib.ExitStack() as stack:
            if not self.onednn:
                stack.enter_context(torch.backends.mkldnn.flags(enabled=False))
            if not self.fused:
                stack.enter_context(mock.patch.object(nn.functional, "gelu", gelu_of_file))
            yield

    def backward(self, module):
        module.zero_grad()
        logits = module(*self.inputs)
        loss = nn.functional.cross_entropy(logits, self.labels)
        loss.backward()
        return self.reorder(logits.detach(), self.order.argsort()), loss.detach()

    def plain(self):
        """Logits in both modes, loss and gradients."""
        with self.kernels():
            module = self.module().eval()
            with torch.no_grad():
                tensors = {"eval.logits": self.reorder(module(*self.inputs), self.order.argsort())}
            logits, loss = self.backward(module.train())
        tensors |= {"train.logits": logits, "train.loss": loss.reshape(1)}
        return tensors | {f"grad.{name}": value.grad for name, value in module.named_parameters()}

    def steps(self, prefix, optimizer, settings):
        """Parameters and running statistics after `STEPS` steps; gradients of each step; AdamW's second moments."""
        module = self.module().train()
        stepper = optimizer(module.parameters(), **settings)
        gradients, moments = [], []
        with self.kernels():
            for step in range(1, STEPS + 1):
                self.backward(module)
                gradients.append({name: value.grad.clone() for name, value in module.named_parameters()})
                stepper.step()
                if optimizer is torch.optim.AdamW:
                    moments.append({
                        name: (stepper.state[value]["exp_avg_sq"] / (1 - 0.999**step)).sqrt()
                        for name, value in module.named_parameters()})
        tensors = {f"{prefix}.{name}": value.detach() for name, value in module.named_parameters()}
        tensors |= {f"{prefix}.{name}": value for name, value in buffers(module).items()}
        return tensors, gradients, moments

    def all(self):
        adamw, gradients, moments = self.steps("adamw3", torch.optim.AdamW, ADAMW)
        return self.plain() | self.steps("sgd3", torch.optim.SGD, SGD)[0] | adamw, gradients, moments


def reference(sample):
    """Tensors of the fixture, and a report.

    Beside the reference's tensors, for each KEY that float32 does not determine everywhere: `undetermined.KEY`, uint8 of
    its shape, and `bound.KEY`, the absolute difference that those elements are held to.

    An element is determined where every run is within `MARGIN * TOLERANCE * largest` of float64. AdamW needs more: it
    moves a weight by about lr * g / sqrt(v) whatever the size of g, so that a gradient which is rounding noise becomes
    a full step of random sign, and few runs need not show it. To first order noise n in the gradients moves an
    element by lr * sum of n / sqrt(v) over the steps. That may be half the tolerance, with n eight times the root mean
    square of the runs' differences, because among tens of millions of elements some are off by five of them.
    """
    exact, fine, moments = Run(sample, torch.float64).all()
    spread = {key: torch.zeros_like(value) for key, value in exact.items()}
    noise = [{name: torch.zeros_like(value) for name, value in step.items()} for step in fine]
    generator = torch.Generator().manual_seed(1)
    count = len(next(iter(sample.inputs.values())))
    runs = [Run(sample), Run(sample, onednn=False)]
    if any(isinstance(part, nn.GELU) for part in sample.module.modules()):
        runs += [Run(sample, fused=False), Run(sample, onednn=False, fused=False)]
    runs += [Run(sample, order=torch.randperm(count, generator=generator)) for _ in range(ORDERS)]
    for index, run in enumerate(runs):
        found, rough, _ = run.all()
        if index == 0:
            tensors = dict(found)
        for key, value in found.items():
            torch.maximum(spread[key], (value - exact[key]).abs(), out=spread[key])
        for total, one, other in zip(noise, rough, fine):
            for name, sum_of_squares in total.items():
                sum_of_squares += (one[name] - other[name]).square()
    groups = {}
    for key, value in exact.items():
        largest = value.abs().max()
        doubtful = spread[key] > MARGIN * TOLERANCE * largest
        group, name = key.split(".", 1)
        # Whatever the gradients, two runs of AdamW are at most all their steps apart.
        bound = 10 * spread[key].max()
        if group == "adamw3" and name in noise[0]:
            roots = [(step[name] / len(runs)).sqrt() for step in noise]
            reach = sum(8 * ADAMW["lr"] * root / (moment[name] + ADAMW["eps"]) for root, moment in zip(roots, moments))
            doubtful |= reach > TOLERANCE / 2 * largest
            bound = torch.tensor(2.02 * STEPS * ADAMW["lr"])
        if doubtful.any():
            tensors[f"undetermined.{key}"] = doubtful.to(torch.uint8)
            tensors[f"bound.{key}"] = bound.reshape(1).float()
        entry = groups.setdefault(group, {"elements": 0, "undetermined": 0, "worst": 0.0, "tensors": 0, "names": []})
        entry["elements"] += doubtful.numel()
        entry["undetermined"] += int(doubtful.sum())
        entry["tensors"] += 1
        certain = spread[key][~doubtful]
        if certain.numel():
            entry["worst"] = max(entry["worst"], float(certain.max() / largest))
        if doubtful.any():
            entry["names"].append(name)
    return tensors, groups
