#!/usr/bin/env python3
"""Holds log files against protocols/log-events.schema.json with the PyPI package jsonschema.

    Tests/log-events/check.py pleach-state/logs/*.jsonl

Ends with 1 and the first faults when a line does not fit, with 2 when a file cannot be read."""

import json
import pathlib
import sys

from jsonschema import Draft202012Validator

SCHEMA = pathlib.Path(__file__).resolve().parents[2] / "protocols" / "log-events.schema.json"


def main(paths):
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    # One validator an event: that of the whole file tries every condition for each line.
    names = schema["properties"]["event"]["enum"]
    validators = {n: Draft202012Validator({"$defs": schema["$defs"], "$ref": f"#/$defs/{n}"}) for n in names}
    faults, lines = 0, 0
    for path in paths:
        try:
            text = pathlib.Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            return 2
        for number, line in enumerate(text.splitlines(), 1):
            lines += 1
            fault = complaint(line, validators)
            if fault is None:
                continue
            faults += 1
            if faults <= 20:
                print(f"{path}:{number}: {fault}: {line[:300]}")
    print(f"{lines} lines, {faults} faults, {len(names)} events known")
    return 1 if faults else 0


def complaint(line, validators):
    try:
        event = json.loads(line)
    except ValueError as error:
        return str(error)
    if not isinstance(event, dict) or event.get("event") not in validators:
        return "no event of the schema"
    error = next(validators[event["event"]].iter_errors(event), None)
    return error and f"{'/'.join(map(str, error.absolute_path)) or 'the line'}: {error.message[:300]}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
