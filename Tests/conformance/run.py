#!/usr/bin/env python3
"""Runs the node tests of the onnx package through Pleach's engine and prints a table of operators.

usage: run.py --runner .build/release/pleach-conformance [--work FOLDER] [--update] [--only TEXT]

In scope are the tests whose operators are all in operators.txt or run by the engine and whose types are float16, 32, 64,
int8, 32, 64, uint8 or bool. Exits with 1 when fewer than 98 % of them pass, or when a result is worse than the one
in expected.txt; --update writes that list anew and keeps its reasons.
"""
import argparse
import collections
import os
import shutil
import subprocess
import sys
import threading

import cases

HERE = os.path.dirname(os.path.abspath(__file__))
EXPECTED = os.path.join(HERE, "expected.txt")
REQUIRED_SHARE = 0.98
CASE_SECONDS = 60
# From best to worst.
RESULTS = ["passed", "refused", "failed"]


def promised(runner):
    with open(os.path.join(HERE, "operators.txt")) as file:
        names = {word for line in file if not line.startswith("#") for word in line.split()}
    lines = subprocess.check_output([runner, "--operators"], text=True).splitlines()
    return names | {line.split()[0] for line in lines}


def execute(runner, folder, names):
    """Runs cases in one process after another: a new one whenever one dies. Gives (result, reason) by name."""
    results = {}
    waiting = list(names)
    while waiting:
        process = subprocess.Popen(
            [runner, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        # The list is longer than a pipe holds, so it is written beside the reading.
        writer = threading.Thread(target=feed, args=(process.stdin, list(waiting)))
        writer.start()
        running, timer = None, None
        for line in process.stdout:
            word, name, *reason = line.rstrip("\n").split(" ", 2)
            if timer:
                timer.cancel()
            if word == "begin":
                running = name
                timer = threading.Timer(CASE_SECONDS, process.kill)
                timer.start()
                continue
            results[name] = (word, reason[0] if reason else "")
            running = None
        if timer:
            timer.cancel()
        status = process.wait()
        writer.join()
        if running:
            results[running] = ("failed", f"the process died with status {status}")
        elif status != 0 or not results:
            sys.exit(f"{runner} ended with status {status} outside of any case")
        waiting = [name for name in waiting if name not in results]
    return results


def feed(pipe, names):
    try:
        pipe.write("".join(name + "\n" for name in names))
        pipe.close()
    except BrokenPipeError:
        pass  # The process died; the rest goes to the next one.


def judge(case, folder, outcome):
    word, reason = outcome
    if word != "ran":
        return word, reason.replace(folder + os.sep, "")
    wrong = cases.difference(case, os.path.join(folder, case.name))
    return ("failed", wrong) if wrong else ("passed", "")


def read_expected():
    expected = {}
    if os.path.exists(EXPECTED):
        with open(EXPECTED) as file:
            for line in file:
                if line.startswith("#") or not line.strip():
                    continue
                name, result, *reason = line.rstrip("\n").split(" ", 2)
                expected[name] = (result, reason[0] if reason else "")
    return expected


def write_expected(verdicts, expected):
    with open(EXPECTED, "w") as file:
        file.write("# The result of every ONNX node test in scope (run.py --update), and why where it does not pass.\n")
        for name, (result, reason) in sorted(verdicts.items()):
            if expected.get(name, ("", ""))[0] == result:
                reason = expected[name][1]
            file.write(" ".join(filter(None, [name, result, reason])) + "\n")


def regressions(verdicts, expected):
    for name, (result, reason) in sorted(verdicts.items()):
        before = expected.get(name, ("passed", ""))[0]
        if RESULTS.index(result) > RESULTS.index(before):
            yield f"{name}: {result}, expected {before}: {reason}"
    for name in sorted(expected.keys() - verdicts.keys()):
        yield f"{name}: no longer in scope"


def print_table(collected, verdicts, known):
    rows = collections.defaultdict(collections.Counter)
    for case in collected:
        result = verdicts[case.name][0] if case.name in verdicts else "out of scope"
        for operator in case.operators:
            rows[operator][result] += 1
    columns = RESULTS + ["out of scope"]
    print(f"{'operator':<24}" + "".join(f"{column:>14}" for column in columns))
    for operator in sorted(known & rows.keys()):
        print(f"{operator:<24}" + "".join(f"{rows[operator][column]:>14}" for column in columns))
    others = sum(1 for case in collected if not set(case.operators) <= known)
    counts = collections.Counter(result for result, _ in verdicts.values())
    print(f"{'all cases':<24}" + "".join(f"{counts[column]:>14}" for column in RESULTS)
          + f"{len(collected) - len(verdicts):>14}")
    print(f"A case counts for each of its operators. {others} of the {len(collected)} use operators not on the list.")
    return counts["passed"] / max(1, len(verdicts))


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--runner", required=True)
    parser.add_argument("--work", default=".build/conformance/work")
    parser.add_argument("--update", action="store_true")
    parser.add_argument("--only", help="run the cases whose name holds this text; compares with no list")
    arguments = parser.parse_args()

    known = promised(arguments.runner)
    collected = cases.collect(known)
    chosen = [case for case in collected if not case.out_of_scope and (arguments.only or "") in case.name]
    folder = os.path.abspath(arguments.work)
    shutil.rmtree(folder, ignore_errors=True)
    for case in chosen:
        cases.write(case, os.path.join(folder, case.name))
    outcomes = execute(arguments.runner, folder, [case.name for case in chosen])
    verdicts = {case.name: judge(case, folder, outcomes[case.name]) for case in chosen}
    shutil.rmtree(folder, ignore_errors=True)

    for name, (result, reason) in sorted(verdicts.items()):
        if result != "passed":
            print(f"{result:<8} {name}: {reason}")
    if arguments.only:
        return
    share = print_table(collected, verdicts, known)
    passed = sum(result == "passed" for result, _ in verdicts.values())
    print(f"{passed} of {len(verdicts)} in scope pass: {100 * share:.1f} %")
    expected = read_expected()
    if arguments.update:
        write_expected(verdicts, expected)
        return
    worse = list(regressions(verdicts, expected))
    for line in worse:
        print(f"WORSE {line}")
    better = [name for name, (result, _) in expected.items() if name in verdicts and result != "passed"
              and verdicts[name][0] == "passed"]
    if better:
        print(f"{len(better)} pass that expected.txt does not expect to: write it anew with --update")
    if share < REQUIRED_SHARE:
        print(f"fewer than {100 * REQUIRED_SHARE:.0f} % pass")
    sys.exit(1 if worse or share < REQUIRED_SHARE else 0)


if __name__ == "__main__":
    main()
