"""Checks `pleach_update.py` and the golden vectors against each other: section "Golden vectors".

    python3 protocols/python/test_vectors.py [directory of vectors.json]

Every header field, value (to the bit), mask, Σx² and fold is compared; each file must be refused when cut short at any
byte, and must decode or be refused, nothing else, with any single bit flipped. Exit code 1 on any difference.
"""

from __future__ import annotations

import json
import sys
import warnings
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import numpy as np

from pleach_update import FORMATS, KINDS, MASK_CODINGS, PACKINGS, POSITIONS, RICE_FORMATS, ROTATED_FORMATS
from pleach_update import Update, UpdateError, fold, read_update

Entry = Dict[str, Any]


def load(path: Path) -> Any:
    """JSON, with "-0" kept as a negative zero (Python would make it the integer 0)."""
    return json.loads(path.read_text(), parse_int=lambda text: -0.0 if text == "-0" else int(text))


def same_bits(expected: List[Any], actual: np.ndarray) -> bool:
    """Whether decimals, taken as float32, are the array's bit patterns (so that −0 differs from 0)."""
    wanted = np.asarray(expected, dtype=np.float64).reshape(-1).astype(np.float32)
    return np.array_equal(wanted.view(np.uint32), actual.reshape(-1).view(np.uint32))


def mask_of(tensor: Entry, key: str) -> Optional[np.ndarray]:
    """A hexadecimal bit field, flat; None where absent: wholly alive."""
    if tensor.get(key) is None:
        return None
    count = int(np.prod(tensor["shape"], dtype=np.int64))
    data = bytes.fromhex(tensor[key])
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    if len(data) != -(-count // 8) or bits[count:].any():
        raise ValueError(f"{key} of {tensor['name']} is no bit field of {count} bits")
    return bits[:count].astype(np.bool_)


class Vector:
    """An entry of vectors.json and its file."""

    def __init__(self, directory: Path, entry: Entry) -> None:
        self.entry = entry
        self.data = (directory / entry["file"]).read_bytes()
        self.layout: List[Tuple[str, Tuple[int, ...]]] = [(t["name"], tuple(t["shape"])) for t in entry["tensors"]]
        befores = {t["name"]: mask_of(t, "maskBefore") for t in entry["tensors"]}
        self.masks = {name: mask for name, mask in befores.items() if mask is not None}

    def read(self, data: Optional[bytes] = None) -> Update:
        return read_update(self.data if data is None else data, self.layout, self.masks, self.entry["maskEpochBefore"])

    def differences(self, update: Update) -> List[str]:
        """What differs from the expected header, values, masks and Σx²."""
        entry = self.entry
        found = []
        if entry["kind"] not in (update.kind, {name: code for code, name in KINDS.items()}[update.kind]):
            found.append(f"kind is {update.kind}")
        if bytes.fromhex(entry["base"]) != update.base:
            found.append(f"base is {update.base.hex()}")
        if entry["maskEpoch"] != update.mask_epoch:
            found.append(f"mask epoch is {update.mask_epoch}")
        if not abs(entry["squaredNorm"] - update.squared_norm) <= 1e-12 * abs(entry["squaredNorm"]):
            found.append(f"squared norm is {update.squared_norm!r}")
        for tensor in entry["tensors"]:
            name = tensor["name"]
            if not same_bits(tensor["values"], update.tensors[name]):
                found.append(f"values of {name} differ")
            wanted, after = mask_of(tensor, "maskAfter"), update.masks.get(name)
            alive = np.ones(update.tensors[name].size, np.bool_)
            if not np.array_equal(alive if wanted is None else wanted, alive if after is None else after.reshape(-1)):
                found.append(f"mask of {name} differs")
        return found

    def outcome(self, data: bytes) -> str:
        """"decoded", "refused", or the name of an exception that must not be."""
        try:
            self.read(data)
        except UpdateError:
            return "refused"
        except Exception as error:  # what is looked for here
            return f"{type(error).__name__}: {error}"
        return "decoded"

    def damage(self) -> Tuple[List[str], int, int]:
        """Cuts at every byte and flips of every bit: what went wrong; how many flips decoded, and of how many."""
        found = []
        for length in range(len(self.data)):
            outcome = self.outcome(self.data[:length])
            if outcome != "refused":
                found.append(f"cut to {length} bytes: {outcome}")
        decoded = 0
        for bit in range(8 * len(self.data)):
            flipped = bytearray(self.data)
            flipped[bit // 8] ^= 1 << (bit % 8)
            outcome = self.outcome(bytes(flipped))
            decoded += outcome == "decoded"
            if outcome not in ("decoded", "refused"):
                found.append(f"bit {bit} flipped: {outcome}")
        return found, decoded, 8 * len(self.data)


def describe(update: Update) -> str:
    """A container in a few words."""
    records = [
        f"{r.positions} {r.format}{' rice' if r.coding == 'rice' else ''}{' rotated' if r.rotated else ''}"
        for r in update.records
    ]
    masks = [f"mask {coding}" for coding in update.mask_changes.values()]
    return f"{update.kind}, {update.packing}; " + (", ".join(dict.fromkeys(masks + records)) or "nothing")


def uncovered(updates: List[Update]) -> List[str]:
    """Section "Golden vectors" promises every scheme, format, coding, packing, kind and mask form: what is missing."""
    records = [r for u in updates for r in u.records]
    codings = {c for u in updates for c in u.mask_changes.values()}
    forms = [c for c in MASK_CODINGS.values()] + [f"relative {c}" for k, c in MASK_CODINGS.items() if k]
    groups = [
        ("kind", KINDS.values(), {u.kind for u in updates}),
        ("packing", PACKINGS.values(), {u.packing for u in updates}),
        ("positions", POSITIONS.values(), {r.positions for r in records}),
        ("format", [f.name for f in FORMATS.values()], {r.format for r in records}),
        ("rice", [FORMATS[c].name for c in RICE_FORMATS], {r.format for r in records if r.coding == "rice"}),
        ("rotated", [FORMATS[c].name for c in ROTATED_FORMATS], {r.format for r in records if r.rotated}),
        ("mask", forms, codings),
    ]
    return [f"{group} {item}" for group, wanted, seen in groups for item in wanted if item not in seen]


def check_fold(entry: Entry, vectors: Dict[str, Vector]) -> List[str]:
    """Section "Folding": the mean to the bit, in the given order and in the reverse one."""
    contributions = [(vectors[file].read(), int(weight)) for file, weight in zip(entry["files"], entry["weights"])]
    found = []
    for order, items in (("given", contributions), ("reverse", contributions[::-1])):
        means = list(fold(items).values())
        if len(means) != len(entry["mean"]):
            found.append("wrong number of tensors")
        for number, (wanted, mean) in enumerate(zip(entry["mean"], means)):
            if not same_bits(wanted, mean):
                found.append(f"tensor {number} differs ({order} order)")
    return found


def report(name: str, text: str, found: List[str]) -> bool:
    print(f"{'FAIL' if found else 'ok  '} {name}: {text}" + "".join(f"\n     {line}" for line in found[:10]))
    return not found


def check_vector(vector: Vector) -> Tuple[bool, Optional[Update]]:
    """One vector, with its line of output."""
    name = vector.entry["file"]
    try:
        update = vector.read()
    except UpdateError as error:
        return report(name, f"refused, {error}", ["must decode"]), None
    found, decoded, flips = vector.damage()
    text = f"{len(vector.data)} bytes, {describe(update)}; {decoded} of {flips} bit flips decode"
    return report(name, text, vector.differences(update) + found), update


def main() -> int:
    warnings.simplefilter("error")  # a numpy warning counts as a wrong exception
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent / "vectors"
    content = load(directory / "vectors.json")
    vectors = {entry["file"]: Vector(directory, entry) for entry in content["vectors"]}
    results: List[bool] = []
    updates: List[Update] = []
    for vector in vectors.values():
        good, update = check_vector(vector)
        results.append(good)
        updates += [update] if update else []
    for number, entry in enumerate(content["folds"]):
        try:
            found = check_fold(entry, vectors)
        except UpdateError as error:
            found = [f"refused, {error}"]
        results.append(report(f"fold {number}", " + ".join(entry["files"]), found))
    unlisted = sorted({path.name for path in directory.glob("*.bin")} - vectors.keys())
    if unlisted:
        results.append(report("vectors.json", "does not list all files", unlisted))
    missing = uncovered(updates)
    print(f"{sum(results)} of {len(results)} right; not covered: {', '.join(missing) or 'nothing'}")
    return 0 if all(results) and vectors else 1


if __name__ == "__main__":
    sys.exit(main())
