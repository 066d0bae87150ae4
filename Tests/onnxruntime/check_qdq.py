"""Checks a quantized model against its float original in ONNX Runtime.

usage: check_qdq.py FLOAT.onnx QDQ.onnx [--x X.npy] [--tolerance 0.1]      (needs: pip install onnx onnxruntime numpy)

Passes when both files are valid ONNX, every Conv and Gemm of the original runs as an integer kernel, and the relative
error of the outputs (root of summed squares) is at most the tolerance. Prints one line; exits 1 with the reason if not.
"""
import argparse
import collections
import os
import sys
import tempfile

import numpy
import onnx
import onnxruntime


def session(path, optimized=None):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    if optimized:
        options.optimized_model_filepath = optimized
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("float_model")
    parser.add_argument("qdq_model")
    parser.add_argument("--x", help="inputs as .npy; random normal numbers otherwise")
    parser.add_argument("--tolerance", type=float, default=0.1)
    arguments = parser.parse_args()

    for path in (arguments.float_model, arguments.qdq_model):
        onnx.checker.check_model(path, full_check=True)
    reference = session(arguments.float_model)
    with tempfile.TemporaryDirectory() as folder:
        optimized = os.path.join(folder, "optimized.onnx")
        quantized = session(arguments.qdq_model, optimized)
        kernels = collections.Counter(node.op_type for node in onnx.load(optimized).graph.node)

    declared = reference.get_inputs()[0]
    if arguments.x:
        x = numpy.load(arguments.x)
    else:
        shape = [extent if isinstance(extent, int) else 16 for extent in declared.shape]
        x = numpy.random.default_rng(0).standard_normal(shape).astype(numpy.float32)
    expected = reference.run(None, {declared.name: x})[0]
    found = quantized.run(None, {quantized.get_inputs()[0].name: x})[0]
    error = float(numpy.sqrt(((found - expected) ** 2).sum() / max((expected**2).sum(), 1e-30)))

    original = collections.Counter(node.op_type for node in onnx.load(arguments.float_model).graph.node)
    problems = []
    for operator, kernel in (("Conv", "QLinearConv"), ("Gemm", "QGemm")):
        if kernels[kernel] < original[operator]:
            problems.append(f"{original[operator]} {operator} became {kernels[kernel]} {kernel}")
    if not error <= arguments.tolerance:
        problems.append(f"relative error {error:.4f} exceeds {arguments.tolerance}")
    agreement = float((found.argmax(-1) == expected.argmax(-1)).mean())
    print(f"relative error {error:.4f}, same class {agreement:.3f}, kernels {dict(sorted(kernels.items()))}")
    if problems:
        sys.exit("; ".join(problems))


if __name__ == "__main__":
    main()
