#!/usr/bin/env python3
"""What a round moves as masks grow and channels leave; prints a Markdown table.

    Benchmarks/pruning/wire.py

A cnn on drawn digits, two workers, int8 both ways without sparsification, so that nothing but the mask decides. Bytes are
those of the training rounds that a run's report tells. Only Python's standard library.
"""
import argparse
import pathlib

import runs

MASKS = [0.5, 0.75, 0.9, 0.95]
BUDGETS = [0.5, 0.5, 0.5]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pleach", default=".build/release/pleach")
    parser.add_argument("--work", default=".build/pruning/wire")
    options = parser.parse_args()
    masks = [f"  - prune: {{sparsity: {share}, schedule: oneShot, roundsPerStep: 2}}" for share in MASKS]
    budgets = [
        f"  - prune: {{granularity: channel, criterion: l2, multiple: 1, budget: {{weights: {share}}}, "
        "schedule: oneShot, roundsPerStep: 2}" for share in BUDGETS
    ]
    print("| model | alive parameters | up a round | of the whole | down a round | of the whole |")
    print("|---|---|---|---|---|---|")
    for name, stages in [("masks", masks), ("channels", budgets)]:
        rows(name, run(options, name, stages))


def run(options, name, stages):
    return runs.report(
        options.pleach, pathlib.Path(options.work) / name,
        f"name: wire-{name}\nseed: 7\nmodel: {{architecture: cnn}}\n"
        "data: \"synthetic:digits?samples=600&partition=iid&seed=7\"\nfleet: {workers: 2}\n"
        "wire: {up: {values: int8}, down: {values: int8}}\nstages:\n  - train: {rounds: 3}\n"
        + "\n".join(stages) + "\nexport: {target: float32, measure: false}\n")


def rows(name, report):
    """The last training round of each stage, which nothing of a change of structure travels in any more."""
    last = {}
    for detail in report["roundDetails"]:
        if detail["task"] == "train":
            last[detail["stage"]] = detail
    whole = None
    for stage, detail in sorted(last.items()):
        # What is masked is a share of the prunable weights; biases stay.
        parameters, sparsity = detail["parameters"], detail["sparsity"]
        alive = parameters * (1 - sparsity)
        up, down = detail["wireBytesUp"], detail["wireBytesDown"]
        whole = whole or (alive, up, down)
        what = "whole" if stage == min(last) else f"{sparsity:.0%} masked" if name == "masks" else (
            f"{parameters:,} parameters left")
        print(f"| {what} | {alive:,.0f} ({alive / whole[0]:.1%}) | {up:,} B | {up / whole[1]:.1%} | {down:,} B | "
              f"{down / whole[2]:.1%} |")


if __name__ == "__main__":
    main()
