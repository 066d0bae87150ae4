#!/usr/bin/env python3
"""Low rank by the weights alone and by the data, before any fine-tuning: test accuracy of one factorized file.

    Benchmarks/lowrank/compare.py --pleach .build/release/pleach --model FILE --data SPEC

prints a Markdown table for several shares of the layers' parameters. Only Python's standard library.
"""
import argparse
import json
import pathlib
import subprocess

SHARES = [0.75, 0.5, 0.25]
METHODS = ["auto", "spatial", "tucker"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pleach", default=".build/release/pleach")
    parser.add_argument("--model", required=True, help="an ONNX file")
    parser.add_argument("--data", required=True, help="a data SPEC; moments are taken on its training split")
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument("--work", default="/tmp/pleach-lowrank", help="where the models are written")
    options = parser.parse_args()
    pathlib.Path(options.work).mkdir(parents=True, exist_ok=True)
    whole = evaluate(options, options.model)
    print(f"The whole model: {whole:.2f} %.\n")
    print("| layers' parameters left | method | by the weights | by the data |\n|---|---|---|---|")
    for share in SHARES:
        for method in METHODS:
            plain = accuracy(options, share, method, [])
            data = accuracy(options, share, method, ["--data", options.data, "--samples", str(options.samples)])
            print(f"| {share:.0%} | `{method}` | {plain} | {data} |", flush=True)


def accuracy(options, share, method, extra):
    out = f"{options.work}/{share}-{method}-{'data' if extra else 'plain'}.onnx"
    made = subprocess.run(
        [options.pleach, "model", "factorize", options.model, "--parameters", str(share), "--of", "layers", "--method",
         method, "--out", out] + extra, capture_output=True, text=True)
    if made.returncode != 0:
        return made.stderr.strip().splitlines()[-1].removeprefix("error: ")
    return f"{evaluate(options, out):.2f} %"


def evaluate(options, model):
    result = subprocess.run(
        [options.pleach, "model", "evaluate", model, "--data", options.data, "--json"], capture_output=True, text=True,
        check=True)
    return 100 * json.loads(result.stdout)["accuracy"]


if __name__ == "__main__":
    main()
