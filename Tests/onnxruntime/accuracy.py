#!/usr/bin/env python3
"""Test accuracy of an ONNX classifier in ONNX Runtime on an MNIST-like folder of IDX files.

    pip install onnxruntime numpy
    Tests/onnxruntime/accuracy.py pleach-state/out/compact.onnx ../shared/data/mnist

Compare with `pleach model evaluate MODEL --data idx:FOLDER`.
"""
import gzip
import os
import sys

import numpy
import onnxruntime


def read(folder, name, header):
    path = os.path.join(folder, name)
    data = open(path, "rb").read() if os.path.exists(path) else gzip.open(path + ".gz").read()
    return numpy.frombuffer(data[header:], dtype=numpy.uint8)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    model, folder = sys.argv[1:]
    labels = read(folder, "t10k-labels-idx1-ubyte", 8)
    images = read(folder, "t10k-images-idx3-ubyte", 16).reshape(len(labels), 1, 28, 28).astype(numpy.float32) / 255
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    correct = 0
    for start in range(0, len(labels), 500):
        logits = session.run(None, {name: images[start : start + 500]})[0]
        correct += int((logits.argmax(1) == labels[start : start + 500]).sum())
    print(f"accuracy {correct / len(labels):.4f} over {len(labels)} samples (ONNX Runtime {onnxruntime.__version__})")


if __name__ == "__main__":
    main()
