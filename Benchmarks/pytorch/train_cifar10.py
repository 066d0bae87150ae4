#!/usr/bin/env python3
"""Trains ResNet-20 on CIFAR-10 with PyTorch: the accuracy that pleach's own recipe is compared with.

    Benchmarks/pytorch/train_cifar10.py --data FOLDER --model resnet20-cifar10.onnx [--epochs 8] [--seed 1] [--threads 1]

FOLDER holds `train/<class>/*.jpg` and `test/<class>/*.jpg` (classes in alphabetical order are labels 0 to 9). Weights start
as the ONNX file has them. The recipe:

  batch 128, every sample once an epoch in a fresh order, the last partial batch left out (390 steps an epoch)
  (value / 255 - mean) / std by channel, zero padding of 4 pixels, random 32x32 crop, random horizontal flip
  cross-entropy; SGD with Nesterov momentum 0.9; weight decay 5e-4 on convolutions and the dense weight only
  learning rate a step: cosine from --learning-rate / 25 up to it over the first 30 % of all steps, cosine down to
  --learning-rate / 250,000 over the rest (`OneCycleLR` without cycled momentum)

One JSON line an epoch: `epoch`, `loss`, `trainAccuracy` (augmented), `accuracy` (test, the whole set), `seconds`.
"""
import argparse
import glob
import json
import os
import time

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", required=True)
parser.add_argument("--model", required=True)
parser.add_argument("--epochs", type=int, default=8, help="length of the schedule")
parser.add_argument("--stop-after", type=int, help="epochs to train of it, for a trial")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--threads", type=int, default=1)
parser.add_argument("--batch", type=int, default=128)
parser.add_argument("--learning-rate", type=float, default=0.2)
parser.add_argument("--weight-decay", type=float, default=5e-4)
parser.add_argument("--cache", help="a .npz file that keeps the decoded images between runs")
arguments = parser.parse_args()
os.environ["OMP_NUM_THREADS"] = str(arguments.threads)

import numpy  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402

from models import load  # noqa: E402

MEAN = torch.tensor([0.4914, 0.4822, 0.4465]).view(1, 3, 1, 1)
DEVIATION = torch.tensor([0.2470, 0.2435, 0.2616]).view(1, 3, 1, 1)
PADDING = 4


def decode(split):
    """uint8 images [n, 3, 32, 32] and int64 labels [n]."""
    images, labels = [], []
    for label, name in enumerate(sorted(os.listdir(os.path.join(arguments.data, split)))):
        for path in sorted(glob.glob(os.path.join(arguments.data, split, name, "*.jpg"))):
            with Image.open(path) as image:
                images.append(numpy.asarray(image.convert("RGB")).transpose(2, 0, 1))
            labels.append(label)
    return numpy.stack(images), numpy.array(labels)


def read():
    if arguments.cache and os.path.exists(arguments.cache):
        with numpy.load(arguments.cache) as stored:
            return [torch.from_numpy(stored[key]) for key in ("x", "y", "test_x", "test_y")]
    arrays = [*decode("train"), *decode("test")]
    if arguments.cache:
        numpy.savez(arguments.cache, x=arrays[0], y=arrays[1], test_x=arrays[2], test_y=arrays[3])
    return [torch.from_numpy(array) for array in arrays]


def normalized(images):
    return (images.float() / 255 - MEAN) / DEVIATION


def augmented(images):
    """Normalized images, each shifted by up to 4 pixels and flipped by chance."""
    count, side = len(images), images.shape[-1]
    padded = torch.nn.functional.pad(normalized(images), (PADDING,) * 4)
    steps = torch.arange(side)
    rows = torch.randint(0, 2 * PADDING + 1, (count, 1)) + steps
    columns = torch.randint(0, 2 * PADDING + 1, (count, 1)) + steps
    columns = torch.where(torch.rand(count, 1) < 0.5, columns, columns.flip(1))
    return padded[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]].permute(
        0, 3, 1, 2).contiguous()


def accuracy(module, images, labels):
    module.eval()
    with torch.no_grad():
        correct = sum(
            (module(normalized(images[start : start + 500])).argmax(1) == labels[start : start + 500]).sum().item()
            for start in range(0, len(images), 500))
    return correct / len(images)


torch.set_num_threads(arguments.threads)
torch.manual_seed(arguments.seed)
module, _, _ = load(arguments.model)
x, y, test_x, test_y = read()
decayed = [value for value in module.parameters() if value.dim() > 1]
others = [value for value in module.parameters() if value.dim() == 1]
optimizer = torch.optim.SGD(
    [{"params": decayed, "weight_decay": arguments.weight_decay}, {"params": others, "weight_decay": 0.0}],
    lr=arguments.learning_rate, momentum=0.9, nesterov=True)
steps = len(x) // arguments.batch
schedule = torch.optim.lr_scheduler.OneCycleLR(
    optimizer, arguments.learning_rate, total_steps=arguments.epochs * steps, pct_start=0.3, anneal_strategy="cos",
    cycle_momentum=False, div_factor=25, final_div_factor=1e4)
for epoch in range(1, (arguments.stop_after or arguments.epochs) + 1):
    start, total, correct = time.time(), 0.0, 0
    module.train()
    order = torch.randperm(len(x))
    for step in range(steps):
        chosen = order[step * arguments.batch : (step + 1) * arguments.batch]
        logits = module(augmented(x[chosen]))
        loss = torch.nn.functional.cross_entropy(logits, y[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        total += loss.item()
        correct += (logits.argmax(1) == y[chosen]).sum().item()
    print(json.dumps({
        "epoch": epoch, "loss": round(total / steps, 4),
        "trainAccuracy": round(correct / (steps * arguments.batch), 4),
        "accuracy": accuracy(module, test_x, test_y), "seconds": round(time.time() - start, 1)}), flush=True)
