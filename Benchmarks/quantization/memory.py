"""Measures what calibrating adds to a worker's memory, whatever the number of samples.

usage: memory.py --pleach PLEACH --model FILE.onnx --data SPEC [--samples N] [--out FOLDER]

Runs a federation of one worker that evaluates the float model and then calibrates it on N samples (50,000 by default), and reads
the worker's peaks of resident memory after each task from the run's ledger: a process's peak only rises, so the difference is
what calibrating needed more than evaluating. Prints one line a task; exits 1 where calibrating adds more than 50 MB.
"""
import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile

PLAN = """name: calibration-memory
seed: 1
model: {{file: "{model}"}}
data: "{data}"
fleet: {{workers: 1, deadline: 2h, wait: 10m}}
stages:
  - evaluate
  - quantize: {{samples: {samples}, correctBiases: false, comparedSamples: 0}}
export: {{target: x86, measure: false}}
"""


def peaks(state):
    """(task, samples, peak bytes) of each round, in order."""
    ledger = sqlite3.connect(f"file:{state}/ledger.sqlite?mode=ro", uri=True)
    tasks = {}
    for kind, body in ledger.execute("SELECT kind, body FROM records ORDER BY id"):
        record = json.loads(body)
        if kind == "roundOpened":
            tasks[record[kind]["round"]] = record[kind]["task"]
        if kind == "contributionAccepted":
            metrics = record[kind]["_0"]["submission"]["metrics"]
            yield tasks[record[kind]["_0"]["round"]], metrics["samples"], metrics["peakBytes"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pleach", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--out", default=None)
    options = parser.parse_args()
    folder = options.out or tempfile.mkdtemp(prefix="pleach-memory-")
    os.makedirs(folder, exist_ok=True)
    plan = os.path.join(folder, "plan.yaml")
    with open(plan, "w") as file:
        file.write(PLAN.format(model=os.path.abspath(options.model), data=options.data, samples=options.samples))
    state = os.path.join(folder, "state")
    subprocess.run(
        [os.path.abspath(options.pleach), "run", plan, "--workers", "1", "--state", state, "--fresh"],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    found = list(peaks(state))
    for task, samples, peak in found:
        print(f"{task:10} {samples:>8,} samples  peak {peak / 1e6:8.1f} MB")
    before = next(peak for task, _, peak in found if task == "evaluate")
    after = next(peak for task, _, peak in found if task == "calibrate")
    print(f"calibrating adds {(after - before) / 1e6:.1f} MB")
    sys.exit(1 if after - before > 50e6 else 0)


if __name__ == "__main__":
    main()
