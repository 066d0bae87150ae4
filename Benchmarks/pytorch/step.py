#!/usr/bin/env python3
"""Milliseconds of PyTorch's eager training step of an ONNX file's model: what `pleach bench step` is compared with.

    Benchmarks/pytorch/step.py --model FILE [--batch N] [--threads N] [--steps N] [--channels-last]

Prints JSON: `model`, `batch`, `threads`, `millisecondsPerStep` (median), `peakBytes` (of the whole process), and
`peakBytesOverImports` (the same less what was resident once Python and torch were imported). The step is the same as
pleach's: random batch, cross-entropy, SGD with lr 1e-4 and momentum 0.9, loss read each step; three steps warm up.
"""
import argparse
import json
import os
import resource
import statistics
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--model", required=True)
parser.add_argument("--batch", type=int, default=64)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--steps", type=int, default=20)
parser.add_argument("--heads", type=int, default=4, help="attention heads of a transformer; the file does not say")
parser.add_argument("--channels-last", action="store_true")
arguments = parser.parse_args()
# The libraries under torch read this once, when they are loaded.
os.environ["OMP_NUM_THREADS"] = str(arguments.threads)

import torch  # noqa: E402

from models import load  # noqa: E402


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


torch.set_num_threads(arguments.threads)
torch.manual_seed(1)
imported = resident()
module, shape, tokens = load(arguments.model, arguments.heads)
module.train()
size = (arguments.batch, *shape)
x = torch.randint(0, 2, size) if tokens else torch.rand(size)
if arguments.channels_last and x.dim() == 4:
    module, x = module.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
with torch.no_grad():
    classes = module.eval()(x[:1]).shape[1]
module.train()
labels = torch.randint(0, classes, (arguments.batch,))
optimizer = torch.optim.SGD(module.parameters(), lr=1e-4, momentum=0.9)
times = []
for step in range(arguments.steps + 3):
    start = time.perf_counter()
    optimizer.zero_grad()
    loss = torch.nn.functional.cross_entropy(module(x), labels)
    loss.backward()
    optimizer.step()
    loss.item()
    if step >= 3:
        times.append((time.perf_counter() - start) * 1000)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
print(json.dumps({
    "model": os.path.basename(arguments.model).removesuffix(".onnx"), "batch": arguments.batch,
    "threads": arguments.threads, "millisecondsPerStep": round(statistics.median(times), 4), "peakBytes": peak,
    "peakBytesOverImports": max(0, peak - imported)}))
