#!/usr/bin/env python3
"""Exports torchvision models with random weights to ONNX, as training needs them (BatchNormalization stands).

    Tests/groups/export_torchvision.py FOLDER [NAME ...]

Writes FOLDER/NAME.onnx (TorchScript exporter, opset 17, open batch axis), or FOLDER/NAME.failed with the reason. What is
there already is left alone. Without names all are exported, in the order of their sizes.
"""
import contextlib
import io
import logging
import os
import sys
import warnings

import torch

from names import NAMES
from networks import WITH_BACKBONE, build, torchvision


def export(name, path):
    network, images = build(name)
    with torch.no_grad():
        outputs = network(*images.values())
    names = ["output"] if torch.is_tensor(outputs) else [f"output{index}" for index in range(len(outputs))]
    quiet = io.StringIO()
    unfinished = path + ".unfinished"
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        torch.onnx.export(
            network, tuple(images.values()), unfinished, dynamo=False, opset_version=17, verbose=False,
            training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False,
            input_names=list(images), output_names=names,
            dynamic_axes={value: {0: "rows"} for value in [*images, *names]})
    os.replace(unfinished, path)


def parameters(name):
    """How many parameters a model has; raft's and the detectors' are counted roughly."""
    with torch.device("meta"), contextlib.suppress(Exception):
        network = torchvision().models.get_model(name, weights=None, **(
            dict(weights_backbone=None) if name.startswith(WITH_BACKBONE) or "_fpn" in name else {}))
        return sum(parameter.numel() for parameter in network.parameters())
    return 50_000_000


def main(folder, names):
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        sys.exit(f"{unknown[0]} is not in Tests/groups/names.py")
    os.makedirs(folder, exist_ok=True)
    for name in names or sorted(NAMES, key=parameters):
        path = os.path.join(folder, name + ".onnx")
        if os.path.exists(path):
            continue
        try:
            export(name, path)
            print(name, os.path.getsize(path), "bytes", flush=True)
        except Exception as error:
            reason = f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"
            with open(os.path.join(folder, name + ".failed"), "w") as file:
                file.write(reason + "\n")
            print(name, "not exported:", reason, flush=True)


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__.strip())
    main(sys.argv[1], sys.argv[2:])
