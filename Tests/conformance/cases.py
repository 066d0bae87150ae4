"""The node tests of the onnx package, and which of them are in scope."""
import dataclasses
import os
import warnings

import numpy
import onnx
import onnx.numpy_helper
from onnx import TensorProto

# The opsets that the engine loads.
FIRST_OPSET, LAST_OPSET = 13, 25
TYPES = {
    getattr(TensorProto, name)
    for name in ("FLOAT16", "FLOAT", "DOUBLE", "INT8", "INT32", "INT64", "UINT8", "BOOL")
}
# Attributes whose value is a TensorProto data type; 0 leaves the type to the operator.
TYPE_ATTRIBUTES = {"to", "dtype", "output_dtype"}


@dataclasses.dataclass
class Case:
    """One model with its inputs and the outputs it must give. `out_of_scope` says why it does not count, if it does not."""

    name: str
    model: onnx.ModelProto
    inputs: dict
    outputs: dict
    rtol: float
    atol: float
    out_of_scope: str | None

    @property
    def operators(self):
        return sorted({node.op_type for node in self.model.graph.node})


def collect(known):
    """All node tests, in the order of their names. `known` are the operators that count."""
    with warnings.catch_warnings():
        # The tests themselves divide by zero and overflow on purpose.
        warnings.simplefilter("ignore")
        from onnx.backend.test.case.node import collect_testcases

        cases = collect_testcases(None)
    return [_case(case, known) for case in sorted(cases, key=lambda case: case.name)]


def _case(case, known):
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    inputs, outputs = case.data_sets[0]
    reason = _out_of_scope(model, known) or _raise_opset(model)
    if not reason and len(case.data_sets) != 1:
        reason = "several data sets"
    return Case(
        case.name, model, _named(model.graph.input, inputs), _named(model.graph.output, outputs), case.rtol,
        case.atol, reason,
    )


def _named(infos, values):
    """Values by name; some tests give theirs as TensorProto."""
    read = lambda value: onnx.numpy_helper.to_array(value) if isinstance(value, TensorProto) else value
    return {info.name: read(value) for info, value in zip(infos, values)}


def _out_of_scope(model, known):
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx"):
            return f"operator {node.domain}::{node.op_type}"
        if node.op_type not in known:
            return f"operator {node.op_type}"
    for info in [*model.graph.input, *model.graph.output]:
        kind = info.type.WhichOneof("value")
        if kind != "tensor_type":
            return f"a {kind.removesuffix('_type')} value"
        if info.type.tensor_type.elem_type not in TYPES:
            return f"type {_type_name(info.type.tensor_type.elem_type)}"
    tensors = list(model.graph.initializer)
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                tensors.append(attribute.t)
            if attribute.type in (onnx.AttributeProto.STRINGS,) and node.op_type == "Constant":
                return "type STRING"
            if attribute.name in TYPE_ATTRIBUTES and attribute.i != 0 and attribute.i not in TYPES:
                return f"type {_type_name(attribute.i)}"
    for tensor in tensors:
        if tensor.data_type not in TYPES:
            return f"type {_type_name(tensor.data_type)}"
    return None


def _type_name(code):
    return TensorProto.DataType.Name(code)


def _raise_opset(model):
    """Declares opset 13 where a test declares less and each operator is defined as before: a test declares the opset of
    its operator's last change. Returns why that cannot be."""
    declared = next(entry for entry in model.opset_import if entry.domain in ("", "ai.onnx"))
    if declared.version > LAST_OPSET:
        return f"opset {declared.version}"
    if declared.version >= FIRST_OPSET:
        return None
    for node in model.graph.node:
        old, new = (
            onnx.defs.get_schema(node.op_type, opset, "") for opset in (declared.version, FIRST_OPSET)
        )
        if old.since_version != new.since_version:
            return f"{node.op_type} as before opset {FIRST_OPSET}"
    declared.version = FIRST_OPSET
    return None


def write(case, folder):
    """The files from which pleach-conformance runs a case."""
    import safetensors.numpy

    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "model.onnx"), "wb") as file:
        file.write(case.model.SerializeToString())
    # A copy in row-major order; `ascontiguousarray` would make a vector of a scalar.
    arrays = {name: numpy.array(value, order="C") for name, value in case.inputs.items()}
    safetensors.numpy.save_file(arrays, os.path.join(folder, "in.safetensors"))


def difference(case, folder):
    """What differs between the outputs in a case's folder and the expected ones; None when nothing does."""
    import safetensors.numpy

    found = safetensors.numpy.load_file(os.path.join(folder, "out.safetensors"))
    for name, value in case.outputs.items():
        expected = numpy.asarray(value)
        if name not in found:
            return f"output '{name}' is missing"
        result = found[name]
        if result.dtype != expected.dtype:
            return f"output '{name}' is {result.dtype}, not {expected.dtype}"
        if result.shape != expected.shape:
            return f"output '{name}' has shape {result.shape}, not {expected.shape}"
        if expected.dtype.kind != "f":
            wrong = result != expected
        else:
            wrong = ~numpy.isclose(result, expected, rtol=case.rtol, atol=case.atol, equal_nan=True)
        if wrong.any():
            place = tuple(int(i) for i in numpy.argwhere(wrong)[0])
            return (
                f"output '{name}' differs in {int(wrong.sum())} of {expected.size} elements, at {list(place)}: "
                f"{result[place]}, not {expected[place]}"
            )
    return None
