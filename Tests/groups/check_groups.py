#!/usr/bin/env python3
"""Prunes half of the channels of exported torchvision models and compares sliced with masked outputs.

usage: check_groups.py --pleach .build/release/pleach --models FOLDER [--update] [--only NAME ...] [--results FILE]
                       [--delete]

FOLDER is what export_torchvision.py wrote. Prints a table of verdicts; exits with 1 when one is worse than in
expected.txt, or when fewer than 77 of Torch-Pruning's 85 names pass. --update writes expected.txt anew.
"""
import argparse
import json
import os
import subprocess
import sys
import time

import numpy
import onnx
import onnx.numpy_helper
import onnxruntime

from names import NAMES, TORCH_PRUNING

HERE = os.path.dirname(os.path.abspath(__file__))
EXPECTED = os.path.join(HERE, "expected.txt")
# Largest difference over largest output that is still rounding: float32 in up to two hundred layers, added up in another order.
TOLERANCE = 1e-4
REQUIRED = 77
RUN_SECONDS = 1800
# From best to worst.
VERDICTS = ["passed", "refused", "failed"]


class Refusal(Exception):
    """What pleach does not take, with its one line why."""


class Failure(Exception):
    """What it took and did wrong."""


def prune(arguments, model, *options):
    """Runs `pleach model prune` with its check; gives its report and the sliced file."""
    sliced = os.path.join(arguments.models, "sliced.onnx")
    command = [arguments.pleach, "model", "prune", model, "--check", "--json", "--out", sliced, *options]
    if os.path.exists(sliced):
        os.remove(sliced)
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS)
    except subprocess.TimeoutExpired:
        raise Failure(f"no result within {RUN_SECONDS} s") from None
    if result.returncode in (3, 64):
        reason = result.stderr.strip().splitlines()[-1].removeprefix("error: ").replace(arguments.models + "/", "")
        raise Refusal(reason.split("; supported are ")[0])
    if result.returncode != 0:
        line = (result.stderr.strip().splitlines() or ["nothing on stderr"])[-1]
        raise Failure(f"pleach ended with status {result.returncode}: {line}")
    return json.loads(result.stdout), sliced


def without_shifts(source, target):
    """A copy whose BatchNormalizations have no shift: removed channels then emit nothing that a padded border could cut."""
    model = onnx.load(source)
    initializers = {tensor.name: tensor for tensor in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "BatchNormalization":
            tensor = initializers[node.input[2]]
            tensor.CopyFrom(onnx.numpy_helper.from_array(
                numpy.zeros_like(onnx.numpy_helper.to_array(tensor)), tensor.name))
    onnx.save(model, target)


def shapes_and_values(path):
    """The outputs of ONNX Runtime for the same random images."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    random = numpy.random.default_rng(0)
    inputs = {
        value.name: random.normal(size=[extent if isinstance(extent, int) else 2 for extent in value.shape])
        .astype(numpy.float32) for value in session.get_inputs()
    }
    return session.run(None, inputs)


def run_in_onnxruntime(original, sliced):
    before, after = shapes_and_values(original), shapes_and_values(sliced)
    for first, second in zip(before, after, strict=True):
        if first.shape != second.shape:
            raise Failure(f"ONNX Runtime gives {list(second.shape)} where the given model gives {list(first.shape)}")
        if not numpy.isfinite(second).all():
            raise Failure("ONNX Runtime gives numbers that are not finite")


def judge(arguments, name):
    """One row of the table; its last two columns are verdict and reason."""
    model = os.path.join(arguments.models, name + ".onnx")
    row = {"name": name}
    reason = ""
    try:
        if not os.path.exists(model):
            with open(os.path.join(arguments.models, name + ".failed")) as file:
                raise Refusal("not exported: " + file.read().strip())
        plain = os.path.join(arguments.models, "plain.onnx")
        without_shifts(model, plain)
        half, sliced = prune(arguments, plain, "--channels", "0.5", "--multiple", "1")
        run_in_onnxruntime(plain, sliced)
        row |= figures(half)
        compare(half, "half of the channels")
        shifted, _ = prune(arguments, model, "--channels", "0.5", "--multiple", "1", "--borders", "keep")
        row["shifted"] = shifted["check"]["relativeDifference"]
        compare(shifted, "with shifts")
        listed = json.loads(subprocess.check_output(
            [arguments.pleach, "model", "inspect", model, "--groups", "--json"], text=True))["groups"]
        if any(group["kind"] == "heads" for group in listed):
            heads, sliced = prune(arguments, model, "--heads", "0.5")
            run_in_onnxruntime(model, sliced)
            row["heads"] = heads["check"]["relativeDifference"]
            compare(heads, "half of the heads")
        if any(group["normalizedOver"] and group["kind"] == "channels" for group in listed):
            row["all"], reason = prune_everything(arguments, model)
        row |= {"verdict": "passed", "reason": reason}
    except Refusal as error:
        row |= {"verdict": "refused", "reason": str(error)}
    except Failure as error:
        row |= {"verdict": "failed", "reason": str(error)}
    except Exception as error:  # ONNX Runtime's and onnx's own errors
        row |= {"verdict": "failed", "reason": str(error).strip().splitlines()[0][:200]}
    return row


def prune_everything(arguments, model):
    """Channels that a normalisation takes statistics over too, where masked and sliced differ by nature: whether it runs.
    Gives the share of the parameters that is left, or why there is none."""
    try:
        report, sliced = prune(arguments, model, "--channels", "0.5", "--multiple", "1", "--normalized")
    except Refusal as error:
        return None, f"--normalized: {error}"
    run_in_onnxruntime(model, sliced)
    return report["after"]["parameters"] / report["before"]["parameters"], ""


def figures(report):
    before, after = report["before"], report["after"]
    return {
        "groups": len(report["groups"]),
        "channels": sum(group["channels"] for group in report["groups"]),
        "kept": sum(group["kept"] for group in report["groups"]),
        "parameters": before["parameters"],
        "parametersLeft": after["parameters"] / before["parameters"],
        "macs": before["macs"],
        "macsLeft": after["macs"] / before["macs"] if before["macs"] else None,
        "difference": report["check"]["relativeDifference"],
    }


def compare(report, what):
    """Refuses a sliced model that is not the masked one."""
    difference, notes = report["check"]["relativeDifference"], report["notes"]
    if difference > TOLERANCE:
        note = f"; not exact at {notes[0]['node']} ({notes[0]['reason']})" if notes else ""
        raise Failure(f"{what}: masked and sliced differ by {difference:.1e} of the largest output{note}")


COLUMNS = [
    ("name", 38, "{}"), ("groups", 7, "{}"), ("channels", 9, "{}"), ("kept", 7, "{}"), ("parameters", 12, "{}"),
    ("parametersLeft", 7, "{:.1%}"), ("macs", 14, "{}"), ("macsLeft", 7, "{:.1%}"), ("difference", 11, "{:.1e}"),
    ("shifted", 9, "{:.1e}"), ("heads", 9, "{:.1e}"), ("all", 7, "{:.1%}"), ("verdict", 8, "{}"),
]


def line(row):
    cells = []
    for key, width, form in COLUMNS:
        text = form.format(row[key]) if row.get(key) is not None else ""
        cells.append(text.ljust(width) if key in ("name", "verdict") else text.rjust(width))
    return " ".join(cells) + (" " + row["reason"] if row["reason"] else "")


def heading():
    titles = dict(parametersLeft="left", macs="MACs", macsLeft="left", all="all")
    return " ".join(
        titles.get(key, key).ljust(width) if key in ("name", "verdict") else titles.get(key, key).rjust(width)
        for key, width, _ in COLUMNS)


def read_expected():
    expected = {}
    if os.path.exists(EXPECTED):
        with open(EXPECTED) as file:
            for text in file:
                if not text.startswith("#") and text.strip():
                    name, verdict, *reason = text.rstrip("\n").split(" ", 2)
                    expected[name] = (verdict, reason[0] if reason else "")
    return expected


def write_expected(rows, expected):
    with open(EXPECTED, "w") as file:
        file.write("# The verdict on every model (check_groups.py --update), and why where it does not pass.\n")
        for row in rows:
            reason = row["reason"]
            # A reason written by hand explains more; it stays as long as the verdict does.
            if expected.get(row["name"], ("", ""))[0] == row["verdict"]:
                reason = expected[row["name"]][1]
            file.write(" ".join(filter(None, [row["name"], row["verdict"], reason])) + "\n")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--pleach", required=True)
    parser.add_argument("--models", required=True)
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--only", nargs="+", help="these names; compares with no list")
    parser.add_argument("--results", help="also write the rows as JSON lines into this file")
    parser.add_argument("--delete", action="store_true", help="delete each export after its check")
    arguments = parser.parse_args()
    arguments.pleach = os.path.abspath(arguments.pleach)
    unknown = [name for name in arguments.only or [] if name not in NAMES]
    if unknown:
        sys.exit(f"{unknown[0]} is not in names.py")
    rows = []
    print(heading(), flush=True)
    for name in arguments.only or NAMES:
        start = time.monotonic()
        row = judge(arguments, name)
        row["seconds"] = round(time.monotonic() - start, 1)
        rows.append(row)
        print(line(row), flush=True)
        if arguments.results:
            with open(arguments.results, "a") as file:
                file.write(json.dumps(row) + "\n")
        for leftover in ["sliced.onnx", "plain.onnx"] + ([name + ".onnx"] if arguments.delete else []):
            if os.path.exists(os.path.join(arguments.models, leftover)):
                os.remove(os.path.join(arguments.models, leftover))
    if arguments.only:
        return
    passed = sum(row["verdict"] == "passed" for row in rows if row["name"] in TORCH_PRUNING)
    others = sum(row["verdict"] == "passed" for row in rows if row["name"] not in TORCH_PRUNING)
    print(f"{passed} of Torch-Pruning's {len(TORCH_PRUNING)} pass (it prunes 77), and {others} of "
          f"{len(rows) - len(TORCH_PRUNING)} others")
    expected = read_expected()
    if arguments.update:
        write_expected(rows, expected)
        return
    worse = False
    for row in rows:
        before = expected.get(row["name"], ("passed", ""))[0]
        if VERDICTS.index(row["verdict"]) > VERDICTS.index(before):
            worse = True
            print(f"WORSE {row['name']}: {row['verdict']}, expected {before}: {row['reason']}")
    sys.exit(1 if worse or passed < REQUIRED else 0)


if __name__ == "__main__":
    main()
