"""PyTorch modules of the ONNX files that the training benchmarks use, with the files' own weights.

`resnet20-cifar10.onnx`, `cnn.onnx`, `cnn-mnist.onnx` and `tinybert.onnx` were exported from such modules: parameter
names are those of the files, so that both sides start with the same weights.
"""
import math
import os

import numpy
import torch
from torch import nn
from torch.nn import functional


class Block(nn.Module):
    def __init__(self, before, after, stride):
        super().__init__()
        self.c1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.b1 = nn.BatchNorm2d(after)
        self.c2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.b2 = nn.BatchNorm2d(after)
        self.d = None
        if stride != 1 or before != after:
            self.d = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x):
        y = self.b2(self.c2(functional.relu(self.b1(self.c1(x)))))
        return functional.relu(y + (x if self.d is None else self.d(x)))


class ResNet(nn.Module):
    """ResNet-20 for 32x32 images (He et al. 2016, 4.2) with 1x1 convolutions in the strided shortcuts."""

    def __init__(self, width=16, blocks=3):
        super().__init__()
        self.c = nn.Conv2d(3, width, 3, 1, 1, bias=False)
        self.b = nn.BatchNorm2d(width)
        widths = [width << stage for stage in range(3) for _ in range(blocks)]
        before = [width] + widths[:-1]
        self.l = nn.Sequential(*(Block(a, b, 1 if a == b else 2) for a, b in zip(before, widths)))
        self.f = nn.Linear(widths[-1], 10)

    def forward(self, x):
        x = self.l(functional.relu(self.b(self.c(x))))
        return self.f(functional.adaptive_avg_pool2d(x, 1).flatten(1))


class Chain(nn.Module):
    """A file without branches: convolutions, ReLU, max pooling, Flatten, linear layers, in the file's order."""

    def __init__(self, nodes, tensors):
        super().__init__()
        self.steps = []
        for node in nodes:
            numbers = {entry.name: list(entry.ints) for entry in node.attribute}
            if node.op_type in ("Conv", "Gemm"):
                weight = tensors[node.input[1]]
                if node.op_type == "Conv":
                    module = nn.Conv2d(
                        weight.shape[1], weight.shape[0], tuple(numbers["kernel_shape"]), tuple(numbers["strides"]),
                        tuple(numbers["pads"][:2]))
                else:
                    module = nn.Linear(weight.shape[1], weight.shape[0])
                self.add_module(node.input[1].removesuffix(".weight"), module)
            elif node.op_type == "MaxPool":
                module = nn.MaxPool2d(tuple(numbers["kernel_shape"]), tuple(numbers["strides"]))
            elif node.op_type in ("Relu", "Flatten"):
                module = nn.ReLU() if node.op_type == "Relu" else nn.Flatten()
            else:
                raise SystemExit(f"'{node.op_type}' is not an operator of resnet20, cnn or tinybert")
            self.steps.append(module)

    def forward(self, x):
        for step in self.steps:
            x = step(x)
        return x


class TransformerBlock(nn.Module):
    def __init__(self, width, hidden, heads):
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(width, width) for _ in range(4))
        self.f1, self.f2 = nn.Linear(width, hidden), nn.Linear(hidden, width)
        self.n1, self.n2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.heads = heads

    def forward(self, x):
        batch, length, width = x.shape

        def split(value):
            return value.view(batch, length, self.heads, width // self.heads).transpose(1, 2)

        q, k, v = split(self.q(x)), split(self.k(x)), split(self.v(x))
        attention = (q @ k.transpose(-1, -2) / math.sqrt(width // self.heads)).softmax(-1)
        x = self.n1(x + self.o((attention @ v).transpose(1, 2).reshape(batch, length, width)))
        return self.n2(x + self.f2(functional.gelu(self.f1(x))))


class TinyBert(nn.Module):
    def __init__(self, tensors, heads):
        super().__init__()
        vocabulary, width = tensors["tok.weight"].shape
        self.tok = nn.Embedding(vocabulary, width)
        self.pos = nn.Parameter(torch.zeros(tensors["pos"].shape))
        self.ln0 = nn.LayerNorm(width)
        count = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("blocks."))
        hidden = tensors["blocks.0.f1.weight"].shape[0]
        self.blocks = nn.ModuleList(TransformerBlock(width, hidden, heads) for _ in range(count))
        self.cls = nn.Linear(width, tensors["cls.weight"].shape[0])

    def forward(self, x):
        x = self.ln0(self.tok(x) + self.pos)
        for block in self.blocks:
            x = block(x)
        return self.cls(torch.tanh(x[:, 0]))


def load(path, heads=4):
    """(module with the file's weights, shape of one sample, whether inputs are token ids)."""
    import onnx
    from onnx import numpy_helper

    graph = onnx.load(path).graph
    tensors = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    # Equal-valued parameters stand once in the file; the others are aliases.
    for node in graph.node:
        if node.op_type == "Identity" and node.input[0] in tensors:
            tensors[node.output[0]] = tensors[node.input[0]]
    shape = tuple(extent.dim_value for extent in graph.input[0].type.tensor_type.shape.dim[1:])
    if "tok.weight" in tensors:
        module = TinyBert(tensors, heads)
    elif "l.0.c1.weight" in tensors:
        blocks = sum(name.endswith(".c1.weight") for name in tensors) // 3
        module = ResNet(tensors["c.weight"].shape[0], blocks)
    else:
        module = Chain(graph.node, tensors)
    state = module.state_dict()
    missing = [name for name in state if name not in tensors and not name.endswith("num_batches_tracked")]
    if missing:
        raise SystemExit(f"{os.path.basename(path)} has no tensor '{missing[0]}'")
    module.load_state_dict(
        {name: torch.tensor(numpy.array(tensors[name])) if name in tensors else value for name, value in state.items()})
    return module, shape, "tok.weight" in tensors
