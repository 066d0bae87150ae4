#!/usr/bin/env python3
"""Exports models in many ways, with inputs and ONNX Runtime's outputs, for differential tests.

    Tests/parity/export_models.py FOLDER [NAME ...]

Each MODEL-EXPORTER-OPSET: `.onnx`, `.inputs.safetensors` (by input name) and `.outputs.safetensors` (by output name,
ONNX Runtime's). FOLDER/OPERATORS.md lists the operators of each file.
"""
import glob
import os
import sys

import numpy
import onnxruntime
import torch
from safetensors.numpy import save_file

from architectures import ARCHITECTURES, build
from exporting import export, operator_counts

# Suffix, and the arguments of `export`. "folded" files are what the exporter's defaults give for inference.
VARIANTS = {
    "torchscript-13": dict(exporter="torchscript", opset=13),
    "torchscript-17": dict(exporter="torchscript", opset=17),
    "torchscript-17-folded": dict(exporter="torchscript", opset=17, trainable=False),
    "dynamo-18": dict(exporter="dynamo", opset=18),
    "dynamo-18-optimized": dict(exporter="dynamo", opset=18, optimize=True),
    "dynamo-20-optimized": dict(exporter="dynamo", opset=20, optimize=True),
}
# Before opset 14 the exporter has no scaled dot-product attention.
OLDEST = {"vit_tiny": 14, "bert_sdpa": 14}
MODELS = tuple(name for name in ARCHITECTURES if name not in ("lstm_last", "gru_last"))


def run(path, inputs):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs)))


def variants(name):
    """Arguments of `export` by suffix."""
    oldest = OLDEST.get(name, 13)
    return {
        suffix.replace("-13", f"-{oldest}"): {**options, "opset": max(options["opset"], oldest)}
        for suffix, options in VARIANTS.items()
    }


def make(name, variant, options, folder):
    path = os.path.join(folder, f"{name}-{variant}")
    sample = build(name)
    export(sample, path + ".onnx", **options)
    inputs = {key: value.numpy() for key, value in sample.inputs.items()}
    outputs = run(path + ".onnx", inputs)
    with torch.no_grad():
        expected = sample.module(*sample.inputs.values()).numpy()
    found = next(iter(outputs.values()))
    error = numpy.abs(found - expected).max() / numpy.abs(expected).max()
    if not error < 1e-4:
        raise ValueError(f"ONNX Runtime differs from PyTorch by {error:.1e}")
    # The batch of the export is not the only one a user has: a second, smaller one must fit the same file.
    fewer = {key: value[:2] for key, value in inputs.items()}
    save_file(inputs | {f"fewer.{key}": value.copy() for key, value in fewer.items()}, path + ".inputs.safetensors")
    outputs |= {f"fewer.{key}": value for key, value in run(path + ".onnx", fewer).items()}
    save_file({key: numpy.ascontiguousarray(value) for key, value in outputs.items()}, path + ".outputs.safetensors")


def table(folder):
    lines = ["# Operators of each export", "", "| file | opset | operators |", "|---|---|---|"]
    everything = {}
    for path in sorted(glob.glob(os.path.join(folder, "*.onnx"))):
        counts, opset, functions = operator_counts(path)
        for operator in counts:
            everything.setdefault(operator, []).append(os.path.basename(path)[:-5])
        listed = ", ".join(f"{operator} {counts[operator]}" for operator in sorted(counts))
        listed += f"; functions: {', '.join(functions)}" if functions else ""
        lines.append(f"| {os.path.basename(path)} | {opset} | {listed} |")
    lines += ["", "# Files by operator", "", "| operator | files | for example |", "|---|---|---|"]
    for operator in sorted(everything):
        lines.append(f"| {operator} | {len(everything[operator])} | {', '.join(everything[operator][:3])} |")
    with open(os.path.join(folder, "OPERATORS.md"), "w") as file:
        file.write("\n".join(lines) + "\n")


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    folder, names = sys.argv[1], sys.argv[2:] or MODELS
    torch.set_num_threads(1)
    os.makedirs(folder, exist_ok=True)
    failed = 0
    for name in names:
        for variant, options in variants(name).items():
            try:
                make(name, variant, options, folder)
            except Exception as error:  # an exporter's failure is a line of the report, the others go on
                failed += 1
                stray = os.path.join(folder, f"{name}-{variant}.onnx")
                if os.path.exists(stray):
                    os.remove(stray)
                print(f"{name}-{variant}: not exported: {' '.join(str(error).split())[:300]}", flush=True)
            else:
                print(f"{name}-{variant}", flush=True)
    table(folder)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
