"""Runs of a plan for the comparisons beside this file."""
import json
import subprocess
import sys


def report(pleach, place, plan_text, again=True):
    """Runs a plan in a folder and returns its report; without `again`, that of an earlier run of the same text."""
    place.mkdir(parents=True, exist_ok=True)
    plan, log, found = place / "plan.yaml", place / "run.log", place / "state/out/report.json"
    if not again and found.exists() and plan.exists() and plan.read_text() == plan_text:
        return json.loads(found.read_text())
    plan.write_text(plan_text)
    with log.open("w") as output:
        code = subprocess.run(
            [pleach, "run", str(plan), "--fresh", "--state", str(place / "state")], stdout=output,
            stderr=output).returncode
    if code != 0:
        sys.exit(f"{place} ended with {code}: see {log}")
    return json.loads(found.read_text())
