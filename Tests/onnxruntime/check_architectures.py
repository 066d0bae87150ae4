#!/usr/bin/env python3
"""Checks that each bundled architecture is valid ONNX and computes in ONNX Runtime what Pleach computes.

    pip install onnx onnxruntime numpy safetensors
    Tests/onnxruntime/check_architectures.py [.build/debug/pleach]

For each: the ONNX checker with full shape inference, the shapes of the outputs, and the largest difference between
`pleach model run` and ONNX Runtime relative to the largest output. Ends with 1 when one is above 1e-4.
"""
import os
import subprocess
import sys
import tempfile

import numpy
import onnx
import onnxruntime
import safetensors.numpy

CASES = [
    ["mlp"],
    ["cnn"],
    ["resnet20"],
    ["resnet18"],
    ["resnet18", "--input", "3,96,80", "--width", "16", "--classes", "7"],
    ["mobilenetv2"],
    ["mobilenetv2", "--input", "3,128,96", "--width", "16", "--classes", "100"],
    ["transformer"],
    ["transformer", "--input", "17", "--vocabulary", "99", "--width", "24", "--heads", "3", "--norm", "post"],
    ["transformer", "--depth", "3", "--pool", "cls", "--classes", "5"],
]


def check(pleach, arguments, folder):
    model, inputs, outputs = (os.path.join(folder, name) for name in ("m.onnx", "in.safetensors", "out.safetensors"))
    subprocess.run([pleach, "model", "new", *arguments, "--seed", "3", "--out", model], check=True, stdout=subprocess.DEVNULL)
    onnx.checker.check_model(model, full_check=True)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    declared = session.get_inputs()[0]
    shape = [extent if isinstance(extent, int) else 3 for extent in declared.shape]
    random = numpy.random.default_rng(1)
    if declared.type == "tensor(int64)":
        rows = next(i.dims[0] for i in onnx.load(model).graph.initializer if i.name == "embedding.tokens")
        x = random.integers(0, rows, shape)
    else:
        x = random.standard_normal(shape).astype(numpy.float32)
    safetensors.numpy.save_file({declared.name: x}, inputs)
    subprocess.run([pleach, "model", "run", model, "--inputs", inputs, "--out", outputs], check=True, stdout=subprocess.DEVNULL)
    found = safetensors.numpy.load_file(outputs)["logits"]
    expected = session.run(None, {declared.name: x})[0]
    if found.shape != expected.shape:
        return float("inf")
    return float(abs(found - expected).max() / max(abs(expected).max(), 1e-30))


def main():
    pleach = sys.argv[1] if len(sys.argv) > 1 else ".build/debug/pleach"
    worst = 0.0
    for arguments in CASES:
        with tempfile.TemporaryDirectory() as folder:
            difference = check(pleach, arguments, folder)
        print(f"{' '.join(arguments)}: {difference:.1e}")
        worst = max(worst, difference)
    if not worst <= 1e-4:
        sys.exit("outputs differ")


if __name__ == "__main__":
    main()
