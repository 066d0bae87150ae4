#!/usr/bin/env python3
"""Makes a small set for text classification out of this repository's own documents: from which of them do 64 bytes come?

    Examples/text/make_windows.py FOLDER

writes FOLDER/x.npy (token ids, int64 [n, 64]), FOLDER/y.npy and the same under FOLDER/test. Only the standard library.
"""
import array
import pathlib
import random
import struct
import sys

LENGTH = 64
STRIDE = 16
ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCUMENTS = [
    "README.md", "ARCHITECTURE.md", "protocols/plan.md", "protocols/transport.md", "protocols/update-format.md",
    "protocols/session.md", "protocols/log-events.md", "protocols/data.md",
]


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__.strip())
    generator = random.Random(7)
    splits = {"": [], "test": []}
    for label, name in enumerate(DOCUMENTS):
        text = (ROOT / name).read_bytes()
        # Every eighth kilobyte is for testing, so that no window lies in both.
        for start in range(0, len(text) - LENGTH, STRIDE):
            block, offset = divmod(start, 1024)
            if offset + LENGTH <= 1024:
                splits["test" if block % 8 == 7 else ""].append((text[start:start + LENGTH], label))
    for folder, windows in splits.items():
        generator.shuffle(windows)
        place = pathlib.Path(sys.argv[1]) / folder
        place.mkdir(parents=True, exist_ok=True)
        write(place / "x.npy", [byte for window, _ in windows for byte in window], (len(windows), LENGTH))
        write(place / "y.npy", [label for _, label in windows], (len(windows),))
        print(f"{place}: {len(windows)} windows of {LENGTH} bytes from {len(DOCUMENTS)} documents")


def write(path, values, shape):
    """An .npy file, version 1.0, of little-endian int64."""
    extents = "".join(f"{extent}, " for extent in shape)
    header = f"{{'descr': '<i8', 'fortran_order': False, 'shape': ({extents}), }}"
    header += " " * (63 - (10 + len(header)) % 64) + "\n"
    numbers = array.array("q", values)
    if sys.byteorder == "big":
        numbers.byteswap()
    path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + numbers.tobytes())


if __name__ == "__main__":
    main()
