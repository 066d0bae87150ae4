#!/usr/bin/env python3
"""Writes NAME.onnx and NAME.safetensors: a model, and what PyTorch computes of it in training and evaluation.

    Tests/parity/make_fixture.py NAME|all FOLDER [--exporter torchscript|dynamo] [--opset N] [--seed N] [--threads N]

The safetensors file holds the inputs by name (`x`), `labels`, `eval.logits`, `train.logits`, `train.loss`, `grad.P` for
every parameter P, and `sgd3.P` and `adamw3.P`: parameters and running statistics after three steps on the same batch
(SGD: lr 0.05, momentum 0.9, weight decay 5e-4; AdamW: lr 1e-3, weight decay 0.01). P is the tensor's name in the
ONNX file. `undetermined.KEY` and `bound.KEY` are explained in reference.py.

`all` makes those of DEFAULT by the TorchScript exporter (opset 17) and those of DYNAMO, as NAME-dynamo, by the
torch.export-based one (opset 18, not optimized).
"""
import argparse
import os
import sys

import torch
from safetensors.torch import save_file

from architectures import ARCHITECTURES, build
from exporting import export, parameter_names
from reference import ADAMW, SGD, reference

DEFAULT = (
    "mobilenet_v2", "mobilenet_v3_small", "convnext_tiny", "vit_tiny", "lstm", "gru", "lstm_last", "gru_last", "unet",
    "unet_bilinear", "unet_nearest", "bert", "distilbert")
DYNAMO = ("mobilenet_v3_small", "vit_tiny", "lstm", "gru", "unet_bilinear", "distilbert")
# More than this share of gradients undetermined means that the batch is a bad choice: another seed, or another size.
MOST_UNDETERMINED_GRADIENTS = 0.02


def make(name, folder, exporter="torchscript", opset=None, seed=0, suffix=""):
    sample = build(name, seed)
    path = os.path.join(folder, name + suffix)
    # Whoever lists the folder meanwhile finds whole pairs only.
    model, values = path + ".onnx.part", path + ".safetensors.part"
    export(sample, model, exporter, opset or (17 if exporter == "torchscript" else 18))
    nameless = set(dict(sample.module.named_parameters())) - parameter_names(model)
    if nameless:
        sys.exit(f"{name}: the file has no tensor for {sorted(nameless)[:3]}: export it with another exporter")
    tensors, groups = reference(sample)
    gradients = groups["grad"]
    if gradients["undetermined"] > MOST_UNDETERMINED_GRADIENTS * gradients["elements"]:
        sys.exit(f"{name}: PyTorch's float32 does not determine its own gradients on this batch: choose another --seed")
    tensors |= {"labels": sample.labels, **sample.inputs}
    metadata = {"model": name, "exporter": exporter, "torch": torch.__version__, "seed": str(seed)}
    metadata |= {"sgd": str(SGD), "adamw": str(ADAMW)}
    save_file({key: value.contiguous() for key, value in tensors.items()}, values, metadata)
    os.replace(values, path + ".safetensors")
    os.replace(model, path + ".onnx")
    for group, facts in groups.items():
        share = facts["undetermined"] / facts["elements"]
        print(
            f"{name + suffix:24} {group:8} rounding of PyTorch {facts['worst']:.1e}, undetermined {share:.3%} in "
            f"{len(facts['names'])} of {facts['tensors']} tensors", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=[*ARCHITECTURES, "all"])
    parser.add_argument("folder")
    parser.add_argument("--exporter", choices=("torchscript", "dynamo"), default="torchscript")
    parser.add_argument("--opset", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    os.makedirs(arguments.folder, exist_ok=True)
    if arguments.name != "all":
        return make(arguments.name, arguments.folder, arguments.exporter, arguments.opset, arguments.seed)
    for name in DEFAULT:
        make(name, arguments.folder, seed=arguments.seed)
    for name in DYNAMO:
        make(name, arguments.folder, "dynamo", seed=arguments.seed, suffix="-dynamo")


if __name__ == "__main__":
    main()
