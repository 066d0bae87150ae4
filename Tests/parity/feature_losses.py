#!/usr/bin/env python3
"""Makes the numbers in FeatureReference.swift: losses between values inside two networks, and their gradients.

    Tests/parity/feature_losses.py > Tests/EngineTests/FeatureReference.swift

Each array holds the loss, its gradient by the student's value (before the softmax, for attention matrices) and, where
there is one, by the projector; `combined` that of a whole student's loss by its parameters in order. Inputs are `grid`s,
which the tests make again.
"""
import torch
import torch.nn.functional as F


def grid(shape, step):
    """Values that binary fractions hold exactly, so that both sides start from the same bits."""
    count = torch.Size(shape).numel()
    return torch.tensor([((i * step) % 13 - 6) / 8 for i in range(count)]).reshape(shape)


def leaf(shape, step):
    return grid(shape, step).requires_grad_()


def smaller(x, y):
    """Both at the smaller of their sizes."""
    size = tuple(min(a, b) for a, b in zip(x.shape[2:], y.shape[2:]))
    return [F.adaptive_avg_pool2d(value, size) if value.shape[2:] != size else value for value in (x, y)]


def hidden(x, y, projector=None):
    if x.dim() == 4:
        x, y = smaller(x, y)
    if projector is not None:
        x = F.conv2d(x, projector[:, :, None, None]) if x.dim() == 4 else F.linear(x, projector)
    return F.mse_loss(x, y)


def maps(x, y):
    x, y = smaller(x.abs().pow(2).sum(1, keepdim=True), y.abs().pow(2).sum(1, keepdim=True))
    distance = F.normalize(x.flatten(1), p=2, dim=1) - F.normalize(y.flatten(1), p=2, dim=1)
    return distance.norm(dim=1).pow(2).mean()


def divergence(x, y):
    rows = x.numel() // x.shape[-1]
    return F.kl_div(x.clamp_min(1e-8).log(), y, reduction="sum") / rows


def shares(shape, step):
    """Attention matrices, some of whose entries are exactly zero."""
    scores = grid(shape, step)
    return torch.softmax(scores.masked_fill(scores == -0.75, -torch.inf), -1)


def swift(name, loss, leaves):
    loss.backward()
    flat = [loss.item()] + [value for one in leaves for value in one.grad.flatten().tolist()]
    print(f"    static let {name}: [Double] = [")
    line = "        "
    for value in flat:
        text = repr(round(value, 9)) + ","
        if len(line) + len(text) + 1 > 118:
            print(line.rstrip())
            line = "        "
        line += text + " "
    print(line.rstrip())
    print("    ]")


def main():
    print("// Made by Tests/parity/feature_losses.py with PyTorch; what an array holds is told there.")
    print("enum FeatureReference {")
    z = leaf([2, 3, 4, 4], 5)
    swift("planes", hidden(z, grid([2, 3, 4, 4], 3)), [z])
    z, w = leaf([2, 3, 4, 4], 5), leaf([5, 3], 7)
    swift("projectedPlanes", hidden(z, grid([2, 5, 4, 4], 3), w), [z, w])
    z, w = leaf([2, 3, 6, 3], 5), leaf([5, 3], 7)
    swift("resizedPlanes", hidden(z, grid([2, 5, 4, 5], 3), w), [z, w])
    z, w = leaf([2, 4, 3], 5), leaf([5, 3], 7)
    swift("projectedSequences", hidden(z, grid([2, 4, 5], 3), w), [z, w])
    z, w = leaf([4, 5], 5), leaf([3, 5], 7)
    swift("projectedRows", hidden(z, grid([4, 3], 3), w), [z, w])
    z = leaf([2, 3, 4, 4], 5)
    swift("maps", maps(z, grid([2, 5, 4, 4], 3)), [z])
    z = leaf([2, 3, 6, 3], 5)
    swift("resizedMaps", maps(z, grid([2, 5, 4, 5], 3)), [z])
    z = leaf([2, 2, 3, 3], 5)
    swift("matrices", F.mse_loss(torch.softmax(z, -1), shares([2, 2, 3, 3], 3)), [z])
    z = leaf([2, 2, 3, 3], 5)
    swift("divergence", divergence(torch.softmax(z, -1), shares([2, 2, 3, 3], 3)), [z])
    # A whole student: convolution, tanh, mean over the places, classes; logits, hidden states and maps of a teacher.
    kernel, dense, projector = leaf([3, 2, 3, 3], 5), leaf([4, 3], 4), leaf([5, 3], 7)
    value = torch.tanh(F.conv2d(grid([2, 2, 6, 6], 9), kernel, padding=1))
    logits = F.linear(value.mean((2, 3)), dense)
    teacher, labels = grid([2, 4], 3), torch.tensor([1, 3])
    soft = 4 * F.kl_div(
        F.log_softmax(logits / 2, 1), F.log_softmax(teacher / 2, 1), log_target=True, reduction="batchmean")
    loss = 0.7 * soft + 0.3 * F.cross_entropy(logits, labels)
    loss = loss + 0.5 * hidden(value, grid([2, 5, 4, 4], 3), projector) + 8 * maps(value, grid([2, 5, 4, 4], 3))
    swift("combined", loss, [kernel, dense, projector])
    print("}")


if __name__ == "__main__":
    main()
