"""Exit codes and options, as our files use them: usage.py exit-codes|options PROGRAM."""
import glob
import re
import subprocess

import yaml

from common import documents, fault, read, run, walk


COMMAND = re.compile(
    r"(?:\bpleach|\$PLEACH\") (run|coordinator|worker|status|logs|doctor|compare|(?:keys|plan|model|data|update|bench) [a-z]+)\b([^|;`]*)")


def table(path, columns):
    """Rows of the exit codes' table: code to its last `columns` cells."""
    rows = re.findall(r"^\| (\d+) \|(.*)\|$", read(path), re.M)
    return {int(code): [cell.strip() for cell in cells.split("|")][-columns:] for code, cells in rows}


def exit_codes():
    source = {int(code) for code in re.findall(r"^    case \w+ = (\d+)$", read("Sources/pleach/ExitCodes.swift"), re.M)} | {64}
    page = table("docs/exit-codes.md", 2)
    for path, codes in (("docs/exit-codes.md", set(page)), ("README.md", set(table("README.md", 1)))):
        if codes != source:
            fault(f"{path} has the codes {sorted(codes)}, the source has {sorted(source)}")
    never = [{code for code, cells in page.items() if cells[column].startswith("no")} for column in (0, 1)]
    for unit, wanted in (("pleach-coordinator.service", never[0]), ("pleach-worker@.service", never[1])):
        found = re.search(r"^RestartPreventExitStatus=(.*)$", read(f"cluster/systemd/{unit}"), re.M)
        if {int(code) for code in found[1].split()} != wanted:
            fault(f"{unit} never restarts after {found[1]}, docs/exit-codes.md says {sorted(wanted)}")
    rules = documents("cluster/kubernetes/worker-job/job.yaml")[0]["spec"]["podFailurePolicy"]["rules"]
    found = {code for rule in rules if "onExitCodes" in rule for code in rule["onExitCodes"]["values"]}
    if found != never[1]:
        fault(f"job.yaml treats {sorted(found)} apart, docs/exit-codes.md {sorted(never[1])}")


def help_of(command):
    output = subprocess.run(command, capture_output=True, text=True)
    return set(re.findall(r"--[a-z][a-z-]+", output.stdout + output.stderr))


def commands():
    """(place, command, its words) of every `pleach COMMAND` in our files."""
    for name, service in yaml.safe_load(read("docker-compose.yml"))["services"].items():
        if name in ("coordinator", "worker"):
            yield f"docker-compose.yml, {name}", name, service["command"]
    for path in glob.glob("cluster/kubernetes/**/*.yaml", recursive=True):
        for container in (container for found in walk(documents(path), "containers") for container in found):
            if container["name"] in ("coordinator", "worker"):
                yield path, container["name"], container["args"]
    paths = ["docs/laptop-to-fleet.md", "cluster/README.md", "README.md", "cluster/make-keys", "cluster/try-parts"]
    paths += ["cluster/compose/worker-slot", "cluster/slurm/pleach.sbatch"] + glob.glob("cluster/systemd/*.service")
    for path in paths:
        for line in read(path).replace("\\\n", " ").splitlines():
            if path.endswith(".md") and line.startswith("|"):
                continue
            for found in re.finditer(COMMAND, line):
                yield path, found[1], found[2].split()


def options(program):
    """Every option in them is one that the program's help has."""
    known = {}
    count = 0
    for place, command, words in commands():
        for word in words:
            option = re.match(r"--[a-z][a-z-]+", str(word))
            if not option:
                continue
            count += 1
            if command not in known:
                known[command] = help_of([program, *command.split(), "--help"])
            if option[0] not in known[command]:
                fault(f"{place}: pleach {command} knows no {option[0]}")
    if count < 50:
        fault(f"only {count} options found: the files are written otherwise than this check reads them")


run(exit_codes, options)
