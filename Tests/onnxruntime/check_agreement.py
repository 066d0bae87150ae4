#!/usr/bin/env python3
"""Whether our engine and ONNX Runtime say the same of real images, for a quantized file above all.

usage: check_agreement.py MODEL.onnx FOLDER [--pleach .build/release/pleach] [--mean 0,0,0] [--std 1,1,1] [--limit N]
                                                            (needs: pip install onnxruntime numpy pillow)

FOLDER holds CLASS/*.jpg or *.png of the model's size, as the test split of an image folder does. Both get the same numbers. Prints
the share of images of which both say the same class; exits 1 below 99.9 %.
"""
import argparse
import json
import pathlib
import struct
import subprocess
import sys
import tempfile

import numpy
import onnxruntime
import PIL.Image


def numbers(text):
    return numpy.array([float(part) for part in text.split(",")], dtype=numpy.float32)[None, :, None, None]


def write_tensors(path, name, array):
    header = {name: {"dtype": "F32", "shape": list(array.shape), "data_offsets": [0, array.nbytes]}}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + array.tobytes())


def read_tensor(path):
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    entry = next(value for key, value in json.loads(data[8 : 8 + length]).items() if key != "__metadata__")
    first, last = entry["data_offsets"]
    return numpy.frombuffer(data[8 + length + first : 8 + length + last], dtype="<f4").reshape(entry["shape"])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("folder")
    parser.add_argument("--pleach", default=".build/release/pleach")
    parser.add_argument("--mean", default="0,0,0", type=numbers)
    parser.add_argument("--std", default="1,1,1", type=numbers)
    parser.add_argument("--limit", type=int, default=10_000)
    options = parser.parse_args()

    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(options.model, settings, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    files = sorted(path for path in pathlib.Path(options.folder).glob("*/*") if path.suffix in (".jpg", ".jpeg", ".png"))
    if not files:
        parser.error(f"{options.folder} holds no images in folders of classes: give a split, such as cifar10/test")
    # Spread over the classes, which the files' order is by.
    files = files[:: max(1, len(files) // options.limit)][: options.limit]
    same = 0
    with tempfile.TemporaryDirectory() as folder:
        given, found = pathlib.Path(folder, "in.safetensors"), pathlib.Path(folder, "out.safetensors")
        for start in range(0, len(files), 500):
            images = numpy.stack(
                [numpy.asarray(PIL.Image.open(path).convert("RGB")).transpose(2, 0, 1) for path in files[start : start + 500]])
            batch = numpy.ascontiguousarray((images.astype(numpy.float32) / 255 - options.mean) / options.std)
            expected = session.run(None, {name: batch})[0]
            write_tensors(given, name, batch)
            subprocess.run(
                [options.pleach, "model", "run", options.model, "--inputs", given, "--out", found], check=True,
                stdout=subprocess.DEVNULL)
            same += int((read_tensor(found).argmax(1) == expected.argmax(1)).sum())
    share = same / len(files)
    print(f"{options.model}: {share:.4%} of {len(files)} images get the same class (ONNX Runtime {onnxruntime.__version__})")
    sys.exit(0 if share >= 0.999 else 1)


if __name__ == "__main__":
    main()
