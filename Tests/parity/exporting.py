"""One way to call PyTorch's two ONNX exporters."""
import contextlib
import io
import logging
import os

import onnx
import torch


def export(sample, path, exporter="torchscript", opset=17, optimize=False, trainable=True, output="logits"):
    """Writes `sample.module` in evaluation mode.

    `trainable` keeps what training needs: BatchNormalization stands, parameters keep their names (no folding). Without
    it the TorchScript exporter folds batch norm and constants, as its defaults do.
    """
    arguments = tuple(sample.inputs.values())
    names = list(sample.inputs)
    shared = dict(input_names=names, output_names=[output], opset_version=opset, verbose=False)
    quiet = io.StringIO()
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        if exporter == "torchscript":
            mode = torch.onnx.TrainingMode.PRESERVE if trainable else torch.onnx.TrainingMode.EVAL
            axes = {**sample.dynamic, output: {0: "rows"}}
            torch.onnx.export(
                sample.module, arguments, path, dynamo=False, training=mode, do_constant_folding=not trainable,
                dynamic_axes=axes, **shared)
        else:
            axes = {
                name: {axis: torch.export.Dim(label, min=2, max=4096) for axis, label in sample.dynamic[name].items()}
                for name in names
            }
            torch.onnx.export(
                sample.module, arguments, path, dynamo=True, optimize=optimize, external_data=False,
                dynamic_shapes=tuple(axes[name] for name in names), **shared)
    # Larger files than protobuf's 2 GB do not occur; data beside the file would be lost on the way to the tests.
    stray = path + ".data"
    if os.path.exists(stray):
        model = onnx.load(path)
        onnx.save_model(model, path, save_as_external_data=False)
        os.remove(stray)
    onnx.checker.check_model(path)


def parameter_names(path):
    """Names of tensors in the file that stand for parameters: initializers, and Identities of initializers."""
    graph = onnx.load(path).graph
    names = {tensor.name for tensor in graph.initializer}
    names |= {node.output[0] for node in graph.node if node.op_type == "Identity" and node.input[0] in names}
    return names


def operator_counts(path):
    """By operator type, and the opset of the file."""
    model = onnx.load(path, load_external_data=False)
    counts = {}

    def visit(graph):
        for node in graph.node:
            kind = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            counts[kind] = counts.get(kind, 0) + 1
            for attribute in node.attribute:
                if attribute.type == onnx.AttributeProto.GRAPH:
                    visit(attribute.g)

    visit(model.graph)
    functions = [function.name for function in model.functions]
    opset = next(entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    return counts, opset, functions
