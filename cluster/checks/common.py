"""What the checks of cluster/validate share: reading files, and faults, which go to standard output with exit code 1."""
import re
import sys

import yaml

FAULTS = []


def read(path):
    with open(path) as file:
        return file.read()


def fault(text):
    FAULTS.append(text)


def documents(path):
    return [document for document in yaml.safe_load_all(read(path)) if document]


def walk(value, key):
    """Every value under `key`, at any depth."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == key:
                yield inner
            yield from walk(inner, key)
    elif isinstance(value, list):
        for inner in value:
            yield from walk(inner, key)


def check_version(image, where):
    tag = image.rsplit("/", 1)[-1].partition(":")[2]
    if not tag or "latest" in tag or not re.search(r"\d", tag):
        fault(f"{where}: image '{image}' has no version")


def run(*checks):
    """Runs the one that the command line names, with the words behind it."""
    name, *arguments = sys.argv[1:]
    {check.__name__.replace("_", "-"): check for check in checks}[name](*arguments)
    for text in FAULTS:
        print(text)
    sys.exit(1 if FAULTS else 0)
