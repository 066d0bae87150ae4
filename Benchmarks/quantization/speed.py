"""Times bundled networks in ONNX Runtime: float32, Pleach's x86 file, and ONNX Runtime's own quantize_static with its defaults.

usage: speed.py --pleach PLEACH [--out FOLDER] [--seconds S] [MODEL ...]     (needs: pip install onnx onnxruntime numpy sympy)

MODEL is resnet18 or mobilenetv2 (both by default): random weights, 3 x 224 x 224, 1,000 classes. One thread, batch 1, the
files in turn, so that whatever slows the machine slows all of them; the figure is the median. Of each file the
graph that the runtime makes of it is written beside it, and its convolutions are counted. Calibration is noise, 128 samples or a few more, for both.
Prints a Markdown table; exits 1 where a convolution of Pleach's file stays float.
"""
import argparse
import collections
import os
import statistics
import subprocess
import sys
import tempfile
import time

import numpy
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

SHAPE = (3, 224, 224)


class Noise(CalibrationDataReader):
    """The calibration samples, one at a time."""

    def __init__(self, name, samples):
        self.batches = iter([{name: sample[None]} for sample in samples])

    def get_next(self):
        return next(self.batches, None)


def session(path, optimized=None):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    if optimized:
        options.optimized_model_filepath = optimized
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def convolutions(path):
    """(integer, float) convolutions of the graph that the runtime runs, which it leaves beside the file."""
    optimized = path.replace(".onnx", ".optimized.onnx")
    session(path, optimized)
    kinds = collections.Counter(node.op_type for node in onnx.load(optimized).graph.node)
    return kinds["QLinearConv"], kinds["Conv"] + kinds["FusedConv"]


def milliseconds(paths, seconds):
    """Medians of the files' runs, which take turns."""
    sessions = [session(path) for path in paths]
    sample = numpy.random.default_rng(1).standard_normal((1, *SHAPE)).astype(numpy.float32)
    feeds = [{running.get_inputs()[0].name: sample} for running in sessions]
    times = [[] for _ in paths]
    for running, feed in zip(sessions, feeds):
        for _ in range(3):
            running.run(None, feed)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        for running, feed, found in zip(sessions, feeds, times):
            start = time.perf_counter()
            running.run(None, feed)
            found.append(1000 * (time.perf_counter() - start))
    return [statistics.median(found) for found in times]


def compare(pleach, model, folder, seconds):
    samples = numpy.random.default_rng(0).standard_normal((160, *SHAPE)).astype(numpy.float32)
    data = os.path.join(folder, "noise")
    os.makedirs(data, exist_ok=True)
    numpy.save(os.path.join(data, "x.npy"), samples)
    numpy.save(os.path.join(data, "y.npy"), numpy.zeros(len(samples), numpy.int64))
    trained, ours = os.path.join(folder, model + ".onnx"), os.path.join(folder, model + "-pleach.onnx")
    subprocess.run([pleach, "model", "new", model, "--input", "3,224,224", "--classes", "1000", "--out", trained], check=True, stdout=subprocess.DEVNULL)
    quantize = [pleach, "model", "quantize", trained, "--data", "npy:" + data, "--samples", "128", "--compared-samples", "8"]
    subprocess.run(quantize + ["--target", "x86", "--out", ours], check=True, stdout=subprocess.DEVNULL)
    plain = os.path.join(folder, model + "-float32.onnx")
    subprocess.run(
        [pleach, "model", "quantize", trained, "--target", "float32", "--out", plain], check=True, stdout=subprocess.DEVNULL
    )
    prepared, theirs = os.path.join(folder, model + "-prepared.onnx"), os.path.join(folder, model + "-static.onnx")
    quant_pre_process(plain, prepared)
    name = onnx.load(prepared).graph.input[0].name
    quantize_static(prepared, theirs, Noise(name, samples))
    paths = [plain, ours, theirs]
    times = milliseconds(paths, seconds)
    failed = False
    for title, path, found in zip(["float32", "Pleach x86", "quantize_static"], paths, times):
        integer, kept = convolutions(path)
        failed |= path == ours and kept > 0
        print(f"| {model} | {title} | {found:.2f} | {times[0] / found:.2f}x | {integer} | {kept} | {os.path.getsize(path):,} |")
    sys.stdout.flush()
    return failed


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", default=["resnet18", "mobilenetv2"])
    parser.add_argument("--pleach", required=True)
    parser.add_argument("--out")
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args()
    folder = options.out or tempfile.mkdtemp(prefix="pleach-speed-")
    os.makedirs(folder, exist_ok=True)
    print(f"ONNX Runtime {onnxruntime.__version__}, one thread, batch 1, medians; files in {folder}\n")
    print("| network | file | ms | faster | integer convolutions | float convolutions | bytes |")
    print("|---|---|---|---|---|---|---|")
    failed = [compare(options.pleach, model, folder, options.seconds) for model in options.models]
    sys.exit(1 if any(failed) else 0)


if __name__ == "__main__":
    main()
