#!/usr/bin/env python3
"""Criteria and mask rules on shards that are unlike each other, several seeds each; prints a Markdown table.

    Benchmarks/pruning/compare.py --table rules
    Benchmarks/pruning/compare.py --table criteria --granularity weight

For each seed a cnn is trained by a fleet in which every worker has two classes. Then each variant decides a mask on that
same model at once, is evaluated, recovers for some rounds and is evaluated again. "own" is the mean over workers of models
that were each pruned by one worker's scores alone (`pleach model prune` on its shard). Only Python's standard library.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys

import runs

RULES = ["scores", "majority", "union", "intersection", "own"]
CRITERIA = ["l2", "taylor", "stability", "fisher", "gradientNorm", "movement", "l1", "lamp", "fpgm"]


def main():
    options = parse()
    rows = {}
    for seed in range(1, options.seeds + 1):
        base = train_base(options, seed)
        for variant in variants(options):
            masked, recovered, left = run_variant(options, seed, base, variant)
            rows.setdefault(variant, []).append((masked, recovered, left))
            print(f"seed {seed} {variant}: {masked:.2f} {recovered:.2f} {left:.3f}", file=sys.stderr, flush=True)
    print(table(options, rows))


def parse():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pleach", default=".build/release/pleach")
    parser.add_argument("--table", choices=["rules", "criteria"], required=True)
    parser.add_argument("--granularity", choices=["weight", "channel"], default="channel")
    parser.add_argument("--left", type=float, help="share of weights or multiply-accumulates that is left")
    parser.add_argument("--criterion", default="taylor", help="of the table of rules")
    parser.add_argument("--scope", choices=["local", "global", "isomorphic"], help="as plans have it by default")
    parser.add_argument("--data", default="../shared/data/mnist")
    parser.add_argument("--classes", type=int, default=2, help="classes of each worker")
    parser.add_argument("--workers", type=int, default=5)
    parser.add_argument("--limit", type=int, default=2000, help="training samples of a worker")
    parser.add_argument("--train", type=int, default=12, help="rounds before pruning")
    parser.add_argument("--recover", type=int, default=5, help="rounds after it")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--work", default=".build/pruning")
    parser.add_argument("--again", action="store_true", help="run what an earlier call has finished already too")
    options = parser.parse_args()
    if options.left is None:
        options.left = 0.05 if options.granularity == "weight" else 0.2
    if options.scope is None:
        options.scope = "global" if options.granularity == "weight" else "local"
    return options


def variants(options):
    if options.table == "rules":
        return RULES
    fitting = [c for c in CRITERIA if options.granularity == "channel" or c not in ("gradientNorm", "fpgm")]
    return [c for c in fitting if options.granularity == "weight" or c != "lamp"]


def spec(options, seed):
    data = os.path.abspath(options.data)
    return f"idx:{data}?partition=classes:{options.classes}&seed={seed}&limit={options.limit}"


def train_base(options, seed):
    """The dense model that all variants of a seed begin with."""
    stages = f"  - train: {{rounds: {options.train}, learningRate: 0.05, schedule: cosine}}\n"
    report = run(options, seed, "base", "{architecture: cnn}", stages)
    print(f"seed {seed} dense: {100 * report['accuracyAfter']:.2f}", file=sys.stderr, flush=True)
    return folder(options, seed, "base").absolute() / "state/out/compact.onnx"


def run_variant(options, seed, base, variant):
    """Percent right after the mask and after recovery, and the share that is left."""
    if variant == "own":
        results = [own(options, seed, base, worker) for worker in range(1, options.workers + 1)]
        return tuple(statistics.mean(values) for values in zip(*results))
    rule, criterion = (variant, options.criterion) if options.table == "rules" else ("scores", variant)
    amount = f"sparsity: {1 - options.left:.6g}" if options.granularity == "weight" else (
        f"budget: {{macs: {options.left}}}, multiple: 4")
    prune = (f"  - prune: {{granularity: {options.granularity}, criterion: {criterion}, rule: {rule}, {amount}, "
             f"scope: {options.scope}, "
             f"schedule: oneShot, roundsPerStep: 0, learningRate: 0.01{sampled(criterion)}}}\n")
    report = run(options, seed, variant, f"{{file: {base}}}", prune + recovery(options))
    stages = report["stages"]
    left = 1 - stages[0]["sparsity"] if options.granularity == "weight" else (
        stages[0]["macsAfter"] / stages[0]["macsBefore"])
    return 100 * stages[0]["accuracyAfter"], 100 * report["accuracyAfter"], left


def sampled(criterion):
    return "" if criterion in ("l1", "l2", "lamp", "fpgm", "bnScale") else ", scoreSamples: 1024"


def recovery(options):
    """Ends with small steps: with two classes a worker, each round's end is as far off as its learning rate is large."""
    return f"  - train: {{rounds: {options.recover}, learningRate: 0.02, schedule: cosine}}\n"


def own(options, seed, base, worker):
    """A model pruned by one worker's scores, then trained by all."""
    place = folder(options, seed, f"own-{worker}")
    place.mkdir(parents=True, exist_ok=True)
    pruned = place / "pruned.onnx"
    amount = ["--sparsity", f"{1 - options.left:.6g}"] if options.granularity == "weight" else [
        "--macs", str(options.left), "--multiple", "4"]
    subprocess.run(
        [options.pleach, "model", "prune", str(base), "--criterion", options.criterion, "--data",
         f"{spec(options, seed)}&shard={worker}/{options.workers}", "--samples", "1024", "--scope", options.scope, "--out",
         str(pruned), *amount],
        check=True, stdout=subprocess.DEVNULL)
    # A mask is not in the file: zeros stay masked by pruning what is zero already.
    hold = ""
    if options.granularity == "weight":
        hold = (f"  - prune: {{criterion: l1, sparsity: {1 - options.left:.6g}, schedule: oneShot, roundsPerStep: 0}}\n")
    report = run(options, seed, f"own-{worker}", f"{{file: {pruned}}}", "  - evaluate\n" + hold + recovery(options))
    macs = macs_of(options, pruned) / macs_of(options, base)
    left = options.left if options.granularity == "weight" else macs
    return 100 * report["stages"][0]["accuracyAfter"], 100 * report["accuracyAfter"], left


def macs_of(options, model):
    output = subprocess.run([options.pleach, "model", "inspect", str(model), "--json"], check=True, capture_output=True)
    return json.loads(output.stdout)["macs"]


def folder(options, seed, name):
    place = pathlib.Path(options.work)
    return place / f"{name}-{seed}" if name == "base" else (
        place / f"{options.table}-{options.granularity}" / f"{name}-{seed}")


def run(options, seed, name, model, stages):
    place = folder(options, seed, name).absolute()
    text = (
        f"name: {name}\nseed: {seed}\nmodel: {model}\ndata: \"{spec(options, seed)}\"\n"
        f"fleet: {{workers: {options.workers}, deadline: 10m, wait: 10m}}\n"
        "wire: {up: {values: int8}, down: {values: int8}}\n"
        f"stages:\n{stages}export: {{target: float32, measure: false}}\n")
    return runs.report(options.pleach, place, text, again=options.again)


def table(options, rows):
    what = "weights" if options.granularity == "weight" else "MACs"
    lines = [f"| {options.table[:-1] if options.table == 'rules' else 'criterion'} | after the mask | "
             f"after {options.recover} rounds | {what} left |", "|---|---|---|---|"]
    for variant, values in rows.items():
        cells = [f"{statistics.mean(v):.2f} ({min(v):.2f} to {max(v):.2f})" for v in list(zip(*values))[:2]]
        left = statistics.mean(value[2] for value in values)
        lines.append(f"| {variant} | {cells[0]} | {cells[1]} | {100 * left:.1f} % |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
