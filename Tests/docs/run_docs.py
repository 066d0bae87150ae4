#!/usr/bin/env python3
"""Runs the commands that README and docs print, word for word: Tests/docs/run_docs.py [--list] [FILE...].

Each file is followed from its top to its end in a fresh copy of the repository's files, with the built program where the
README says it is; blocks with `on=MACHINE` in the folder of that machine (machines share one network namespace, in which
their names resolve; `scp` is a stand-in that copies between folders). How blocks are marked: printed_commands.py. Without
FILE: every Markdown file of the repository. --list only says what would be run, and what not and why; it needs no program.

PLEACH names the program (.build/release/pleach), PLEACH_DATA the folder with mnist/ (../shared/data). Exit codes: 0 all
commands worked, 1 one did not or a block is not marked as it must be, 77 not possible here.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

from printed_commands import Failure, Place, blocks

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DOMAIN = ".example.org"
# Of one block. The longest runs MNIST.
SECONDS = int(os.environ.get("PLEACH_DOCS_SECONDS", "1800"))
SCP = """#!/bin/bash
# scp FROM TO between the folders of machines that play on this one.
set -eu
place() { case $1 in *.example.org:*) echo "$MACHINES/${1%%.*}/${1#*:}" ;; *) echo "$1" ;; esac; }
cp "$(place "$1")" "$(place "$2")"
"""


def repository_files(*patterns):
    """Tracked files and new ones, as they are now."""
    listed = subprocess.check_output(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns], text=True)
    return [path for path in sorted(set(listed.split("\0"))) if path and os.path.isfile(os.path.join(ROOT, path))]


def program():
    path = shutil.which(os.environ.get("PLEACH") or os.path.join(ROOT, ".build/release/pleach"))
    if path is None:
        print("not run: no program; make release, or set PLEACH")
        sys.exit(77)
    return os.path.realpath(path)


def data_folder():
    path = os.environ.get("PLEACH_DATA") or os.path.join(ROOT, "../shared/data")
    return os.path.realpath(path) if os.path.isdir(path) else None


def isolate():
    """Starts this program again where ports and /etc/hosts are its own."""
    command = ["unshare", "--mount", "--net"] + ([] if os.geteuid() == 0 else ["--map-root-user"])
    if subprocess.run(command + ["true"], capture_output=True).returncode != 0:
        print("not run: unshare gives no namespaces here")
        sys.exit(77)
    os.execvpe(command[0], command + [sys.executable] + sys.argv, dict(os.environ, PLEACH_DOCS_ISOLATED="yes"))


def prepare(folder, path, machines):
    """The folders and environments of a document's machines; "here" is a copy of the repository."""
    hosts = os.path.join(folder, "hosts")
    with open(hosts, "w") as file:
        file.write("127.0.0.1 localhost " + " ".join(machine + DOMAIN for machine in machines) + "\n")
    subprocess.run(["mount", "--bind", hosts, "/etc/hosts"], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    tools, home = os.path.join(folder, "tools"), os.path.join(folder, "home")
    for made in [tools, home] + [os.path.join(folder, machine) for machine in machines]:
        os.makedirs(made, exist_ok=True)
    with open(os.path.join(tools, "scp"), "w") as file:
        file.write(SCP)
    os.chmod(os.path.join(tools, "scp"), 0o755)
    if "here" in machines:
        for name in repository_files():
            target = os.path.join(folder, "here", name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copy2(os.path.join(ROOT, name), target)
        if data_folder():
            os.makedirs(os.path.join(folder, "shared"))
            os.symlink(data_folder(), os.path.join(folder, "shared/data"))
    built = os.path.join(folder, "here/.build/release")
    os.makedirs(built)
    os.symlink(program(), os.path.join(built, "pleach"))
    kept = {key: value for key, value in os.environ.items() if not key.startswith("PLEACH")}
    common = dict(kept, HOME=home, MACHINES=folder, PATH=tools + ":" + os.environ["PATH"])
    # The README says how the program gets onto the path; the others begin where it ended.
    return {"here": common if path == "README.md" else dict(common, PATH=built + ":" + common["PATH"])}


def wait_for_page(command, process, seconds=120):
    """Until a daemon's page answers, where it has one; else for a moment in which it must not end badly."""
    address = re.search(r"--http[ =]\S*?:(\d+)", command)
    for _ in range(seconds * 4 if address else 8):
        asked = address and subprocess.run(
            [os.path.join(ROOT, "cluster/probe"), "/healthz", "127.0.0.1:" + address[1]], capture_output=True)
        if asked and asked.returncode == 0:
            return
        if process.poll() not in (None, 0):
            raise Failure(f"it ended at once with exit code {process.returncode}")
        time.sleep(0.25)
    if address:
        raise Failure("no page after two minutes")


def reason_not_to_run(block):
    if block.reason:
        return block.reason
    needed = block.flags.get("needs")
    if needed and not os.path.isdir(os.path.join(data_folder() or "/nowhere", needed)):
        return f"no {needed} in PLEACH_DATA"
    return None


def follow(path, found):
    """Runs a document's blocks; returns what failed, as file:line: reason."""
    chosen = [block for block in found if reason_not_to_run(block) is None]
    if not chosen:
        return []
    machines = sorted({machine for block in chosen for machine in block.machines})
    with tempfile.TemporaryDirectory(prefix="pleach-docs-", ignore_cleanup_errors=True) as folder:
        place = Place(folder, prepare(folder, path, machines), SECONDS, wait_for_page)
        try:
            for block in chosen:
                for machine in block.machines:
                    print(f"== {path}:{block.line} {'' if machine == 'here' else f'({machine}) '}{block.title}", flush=True)
                    try:
                        place.run(block, machine)
                    except Failure as fault:
                        return [f"{path}:{block.line + fault.line}: {fault}"]
            return [f"{path}: {fault}" for fault in place.interrupt()]
        finally:
            place.interrupt()
            subprocess.run(["umount", "/etc/hosts"], check=False)


def main():
    arguments = sys.argv[1:]
    is_list = "--list" in arguments
    named = [argument for argument in arguments if not argument.startswith("-")]
    if len(named) + is_list != len(arguments):
        raise SystemExit(__doc__)
    paths = [os.path.relpath(os.path.abspath(path), ROOT) for path in named] or repository_files("*.md")
    if not is_list:
        program()
        if not os.environ.get("PLEACH_DOCS_ISOLATED"):
            isolate()
    documents, faults, ran, left = [], [], 0, []
    for path in paths:
        with open(os.path.join(ROOT, path)) as file:
            marks = []
            found = blocks(file.read(), marks)
        documents.append((path, found))
        faults += [f"{path}:{line}: {what}" for line, what in marks]
    for path, found in documents:
        if not is_list and not faults:
            faults += follow(path, found)
        for block in found:
            reason = reason_not_to_run(block)
            if reason:
                left.append(f"not run: {path}:{block.line}: {reason}")
            else:
                ran += 1
                if is_list:
                    print(f"run: {path}:{block.line}: {block.title}")
    print("\n".join(left))
    for fault in faults:
        print("FAILED " + fault)
    print(f"{ran} blocks {'to run' if is_list else 'run'}, {len(left)} not run, {len(faults)} failed")
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
