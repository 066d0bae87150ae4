"""Checks a fusion audit against what ONNX Runtime makes of the file.

usage: check_targets.py FILE.onnx AUDIT.json [FILE.onnx AUDIT.json ...] [--same A.onnx B.onnx]
                                                            (needs: pip install onnx onnxruntime numpy)

AUDIT.json is `graph.fusionAudit(for:)` as JSON. The runtime loads each file with all optimizations and writes the graph that
it runs; every node of the audit must be there as predicted. With --same two files must also give the same bits: a packed
file and its unpacked twin, for instance. Prints one line a file and one a disagreement; exits 1 if there is any.
"""
import argparse
import json
import os
import re
import sys
import tempfile

import numpy
import onnx
import onnxruntime

INTEGER = re.compile(r"^(QLinear\w+|QGemm|MatMulInteger\w*|ConvInteger|DynamicQuantizeMatMul)$")
# What only moves numbers may be moved, merged or dropped by optimizations of its own.
MOVING = {
    "MaxPool", "Flatten", "Reshape", "Transpose", "Squeeze", "Unsqueeze", "Slice", "Gather", "Expand", "Tile",
    "DepthToSpace", "Split", "Resize", "Concat",
}  # fmt: skip
# The runtime's own suffixes of names.
SUFFIX = re.compile(r"(_token_\d+|_nchwc|/MatMul(Add|Scale)Fusion/?)+$")


def session(path, optimized=None, target=None):
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    if target == "arm":
        # On x86 the runtime would turn int8 activations into uint8, where it can, and leave the rest float.
        options.add_session_config_entry("session.qdqisint8allowed", "1")
    if optimized:
        options.optimized_model_filepath = optimized
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def optimized_graph(path, target):
    with tempfile.TemporaryDirectory() as folder:
        optimized = os.path.join(folder, "optimized.onnx")
        return session(path, optimized, target), onnx.load(optimized).graph


def outputs(running):
    feeds = {}
    generator = numpy.random.default_rng(0)
    for declared in running.get_inputs():
        shape = [extent if isinstance(extent, int) else 2 for extent in declared.shape]
        if "int" in declared.type:
            feeds[declared.name] = generator.integers(0, 2, shape).astype("int64" if "64" in declared.type else "int32")
        else:
            feeds[declared.name] = generator.standard_normal(shape).astype(numpy.float32)
    return running.run(None, feeds)


def disagreements(graph, audit):
    nodes = {SUFFIX.sub("", node.name): node for node in graph.node}
    producers = {output: node for node in graph.node for output in node.output}
    for entry in audit["entries"]:
        node, kernel = nodes.get(entry["name"]), entry["kernel"]
        found = node.op_type if node is not None else "gone"
        is_integer = node is not None and bool(INTEGER.match(node.op_type))
        source = producers.get(node.input[0]) if node is not None and node.input else None
        dequantized = source is not None and source.op_type == "DequantizeLinear"
        if kernel == "integer":
            agrees = is_integer or (found == "ArgMax" and not dequantized)
        elif kernel == "moved":
            agrees = node is None or not dequantized
        elif kernel == "fused":
            agrees = node is None
        elif kernel == "integerWeights":
            agrees = found == "MatMulNBits"
        else:
            agrees = not is_integer or entry["operator"] in MOVING
        if not agrees:
            yield f"{entry['operator']} '{entry['name']}': predicted {kernel} ({entry.get('reason') or '-'}), is {found}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="*", help="FILE.onnx AUDIT.json, alternating")
    parser.add_argument("--same", nargs=2, action="append", default=[], metavar=("A", "B"))
    arguments = parser.parse_args()
    if len(arguments.files) % 2:
        sys.exit("files come in pairs: FILE.onnx AUDIT.json")

    failed = 0
    for path, audit_path in zip(arguments.files[::2], arguments.files[1::2]):
        try:
            onnx.checker.check_model(path, full_check=True)
            with open(audit_path) as file:
                audit = json.load(file)
            running, graph = optimized_graph(path, audit["target"])
            outputs(running)
            wrong = list(disagreements(graph, audit))
        except Exception as error:  # The runtime's own words say what is wrong with the file.
            wrong, audit = [str(error).splitlines()[0]], {"entries": []}
        kernels = [entry["kernel"] for entry in audit["entries"]]
        counts = ", ".join(f"{kernels.count(kind)} {kind}" for kind in sorted(set(kernels)))
        print(f"{os.path.basename(path)}: {counts}; {len(wrong)} disagreements")
        for line in wrong:
            print(f"  {line}")
        failed += len(wrong)
    for first, second in arguments.same:
        same = all(numpy.array_equal(a, b) for a, b in zip(outputs(session(first)), outputs(session(second))))
        print(f"{os.path.basename(first)} and {os.path.basename(second)}: {'same bits' if same else 'OUTPUTS DIFFER'}")
        failed += not same
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
