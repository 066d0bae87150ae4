"""A reader of the update format, written from `protocols/update-format.md` (version 2) alone.

It shares no code with the product and favours clarity over speed. Section names in the docstrings are those of the
specification. Needs Python 3.9 or newer, numpy and lz4.

    update = read_update(data, layout=[("w", (2, 3))], masks=None)
    update.tensors["w"]                     # float32, zeros where nothing was sent

Whatever breaks a rule of the format raises `UpdateError`; bytes never raise anything else.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Dict, Iterator, List, Mapping, Optional, Sequence, Tuple

import lz4.block
import numpy as np

Layout = Sequence[Tuple[str, Tuple[int, ...]]]


class UpdateError(Exception):
    """The bytes break a rule of the format, or a contribution one of section "Folding"."""


def require(condition: object, message: str) -> None:
    """Refuse the container unless `condition` holds."""
    if not condition:
        raise UpdateError(message)


@dataclass(frozen=True)
class Limits:
    """Section "Limits"."""

    container: int = 8 << 30
    body: int = 8 << 30
    tensors: int = 1 << 20
    elements: int = (1 << 31) - 1
    block: int = 1 << 24


@dataclass(frozen=True)
class Record:
    """What one record said, besides its values (section "Record")."""

    index: int
    name: str
    positions: str
    format: str
    coding: str  # "plain" or "rice"
    rotated: bool
    kept: int
    alive: int
    block_size: Optional[int] = None  # of the scales, where the format has them


@dataclass(frozen=True)
class Update:
    """A decoded container."""

    kind: str
    base: bytes
    mask_epoch: int
    tensors: Dict[str, np.ndarray]
    masks: Dict[str, np.ndarray]  # after the change; a tensor without an entry is wholly alive
    records: List[Record]
    mask_changes: Dict[str, str] = field(default_factory=dict)  # name -> coding, "relative " in front where it is
    old_mask_epoch: Optional[int] = None  # None without a mask section
    packing: str = "stored"

    @property
    def squared_norm(self) -> float:
        """The sum of the squares of all values, in binary64."""
        return math.fsum(
            float(np.sum(np.square(piece, dtype=np.float64)))
            for tensor in self.tensors.values()
            for piece in _pieces(tensor.reshape(-1), 1 << 16)
        )


# --------------------------------------------------------------------------------------------------- Notation: cursor


class Cursor:
    """Reads forward through bytes; never behind `end`, and never allocates for bytes that are not there."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.at = 0
        self.end = len(data)

    @property
    def left(self) -> int:
        return self.end - self.at

    def take(self, count: int) -> memoryview:
        require(count <= self.left, "the bytes end early")
        self.at += count
        return self.data[self.at - count : self.at]

    def integer(self, size: int, signed: bool = False) -> int:
        """Section "Notation": u8, u32, u64 and i8."""
        return int.from_bytes(self.take(size), "little", signed=signed)

    def varint(self) -> int:
        """Section "Notation": unsigned LEB128 in its shortest form, at most 9 bytes."""
        value = 0
        for place in range(9):
            byte = self.integer(1)
            value |= (byte & 0x7F) << (7 * place)
            if byte < 0x80:
                require(byte != 0 or place == 0, "a varint is not in its shortest form")
                return value
        raise UpdateError("a varint has more than 9 bytes")

    def floats(self, count: int, dtype: str) -> np.ndarray:
        """`count` little-endian numbers of `dtype`."""
        return np.frombuffer(self.take(count * np.dtype(dtype).itemsize), dtype=dtype)

    def bits(self, count: int) -> np.ndarray:
        """Section "Notation": a bit field of `count` bits, as booleans."""
        return unpack_bits(self.take(-(-count // 8)), count)

    def numbers(self, count: int, width: int) -> np.ndarray:
        """Section "Notation": a field of `count` numbers of `width` bits each, as int32 (width ≤ 30)."""
        field_bytes = self.take(-(-count * width // 8))
        result = np.zeros(count, np.int32)
        if width == 0:
            return result
        if width == 8:
            result[:] = np.frombuffer(field_bytes, np.uint8)
            return result
        step = 1 << 16  # numbers at once; a multiple of 8, so every piece begins at a whole byte
        powers = np.left_shift(np.int32(1), np.arange(width, dtype=np.int32))
        for start in range(0, count, step):
            size = min(step, count - start)
            first = start * width // 8
            piece = unpack_bits(field_bytes[first : first + -(-size * width // 8)], size * width)
            result[start : start + size] = piece.reshape(size, width) @ powers
        return result

    def bounded(self, limit: int) -> "Cursor":
        """A cursor over the next bytes, `limit` of them at most. Give it back to `advance`."""
        return Cursor(self.data[self.at : self.at + min(limit, self.left)])

    def advance(self, used: "Cursor") -> None:
        self.at += used.at


def unpack_bits(data: memoryview, count: int) -> np.ndarray:
    """Section "Notation": bits are numbered from the least significant of the first byte on; spare bits are 0."""
    bits = np.unpackbits(np.frombuffer(data, np.uint8), bitorder="little")
    require(not bits[count:].any(), "spare bits of a bit field are not 0")
    return bits[:count].view(np.bool_)


def _pieces(array: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """The array in slices of `size`, the last one shorter."""
    for start in range(0, len(array), size):
        yield array[start : start + size]


# --------------------------------------------------------------------------------------- Notation: Rice streams, gaps

RICE_SEGMENT = 4096


def read_rice(cursor: Cursor, count: int, max_k: int, max_bytes: int) -> Iterator[np.ndarray]:
    """Section "Notation", Rice stream: yields the numbers, a segment at a time, as int64.

    The whole stream may take `max_bytes`; nothing is read or allocated beyond that.
    """
    require(count <= 8 * max_bytes, "a Rice stream has more numbers than its bytes can hold")  # a bit each, at least
    stream = cursor.bounded(max_bytes)
    for start in range(0, count, RICE_SEGMENT):
        yield read_rice_segment(stream, min(RICE_SEGMENT, count - start), max_k)
    cursor.advance(stream)


def read_rice_segment(stream: Cursor, size: int, max_k: int) -> np.ndarray:
    """One segment: parameter, length of the quotients, remainders, quotients."""
    k = stream.integer(1)
    require(k <= max_k, f"a Rice parameter is above {max_k}")
    length = stream.varint()
    remainders = stream.numbers(size, k).astype(np.int64)
    quotient_bytes = stream.take(length)
    require(length > 0 and quotient_bytes[-1] != 0, "a field of quotients does not end with its last byte")
    bits = unpack_bits(quotient_bytes, 8 * length)
    require(np.count_nonzero(bits) == size, "a field of quotients has a wrong number of ones")
    quotients = np.diff(np.flatnonzero(bits), prepend=-1) - 1
    return (quotients.astype(np.int64) << k) | remainders


def read_gaps(cursor: Cursor, count: int, domain: int) -> np.ndarray:
    """`count` ascending indices below `domain`: Rice stream (k ≤ 30, at most ⌈domain/8⌉ bytes) of their gaps.

    Sections "Positions" and "Mask section". Returned as booleans over the domain.
    """
    result = np.zeros(domain, np.bool_)
    previous = -1
    for gaps in read_rice(cursor, count, max_k=30, max_bytes=-(-domain // 8)):
        # A segment's gaps add up to less than 2^30 · (bits of its quotients) < 2^62: no overflow.
        indices = previous + np.cumsum(gaps + 1)
        previous = int(indices[-1])
        require(previous < domain, "a gap leads behind the last index")
        result[indices] = True
    return result


# ---------------------------------------------------------------------------------------------------------- Container

MAGIC = b"PLUP"
VERSION = 2
HEADER_SIZE = 52
KINDS = {1: "update", 2: "delta", 3: "scores", 4: "logits"}
PACKINGS = {0: "stored", 1: "packed"}
PIECE_SIZE = 1 << 20


@dataclass(frozen=True)
class Header:
    """Section "Container"."""

    kind: str
    packing: str
    has_mask_section: bool
    base: bytes
    mask_epoch: int
    body_size: int


def read_header(cursor: Cursor) -> Header:
    """Section "Container", the table."""
    require(cursor.left >= HEADER_SIZE, "the container is shorter than its header")
    require(bytes(cursor.take(4)) == MAGIC, "not an update container")
    require(cursor.integer(1) == VERSION, "unknown version")
    kind = cursor.integer(1)
    require(kind in KINDS, "unknown kind")
    packing = cursor.integer(1)
    require(packing in PACKINGS, "unknown packing")
    flags = cursor.integer(1)
    require(flags <= 1, "unknown flags")
    base = bytes(cursor.take(32))
    mask_epoch = cursor.integer(4)
    return Header(KINDS[kind], PACKINGS[packing], flags == 1, base, mask_epoch, cursor.integer(8))


def read_body(cursor: Cursor, header: Header, counts: Sequence[int], limits: Limits) -> memoryview:
    """Section "Container": the bounds of `body size`, then the body itself, unpacked."""
    size = header.body_size
    require(size <= limits.body, "the body is above the limit")
    require(size <= 64 + sum(6 * elements + 1024 for elements in counts), "the body is too big for the layout")
    require(size // 255 <= cursor.left, "the body is bigger than LZ4 could make it")
    if header.packing == "stored":
        require(cursor.left == size, "the file is not as long as its body")
        return cursor.take(size)
    return unpack_pieces(cursor, size)


def unpack_pieces(cursor: Cursor, size: int) -> memoryview:
    """Section "Container", packed body."""
    body = bytearray()
    while len(body) < size:
        piece_size = min(PIECE_SIZE, size - len(body))
        length = cursor.integer(4)
        require(length <= piece_size, "a packed piece is longer than the piece")
        piece = cursor.take(length)
        body += piece if length == piece_size else unpack_lz4(piece, piece_size)
    require(cursor.left == 0, "there are bytes behind the last piece")
    return memoryview(body)


def unpack_lz4(block: memoryview, size: int) -> bytes:
    """An LZ4 block on its own that unpacks to exactly `size` bytes."""
    require(0 < len(block) and size // 255 <= len(block), "an LZ4 block is too short for its content")
    check_lz4_offsets(block)
    try:
        result: bytes = lz4.block.decompress(block, uncompressed_size=size)
    except (lz4.block.LZ4BlockError, ValueError) as error:
        raise UpdateError("an LZ4 block is damaged") from error
    require(len(result) == size, "an LZ4 block has a wrong size")
    return result


def check_lz4_offsets(block: memoryview) -> None:
    """Refuse match offset 0: the LZ4 block format calls it invalid, but the library takes it for a run of zeros."""

    def extended(nibble: int, at: int) -> Tuple[int, int]:
        """A length of 15 or more goes on in further bytes, up to and with the first one below 255."""
        length = nibble
        while nibble == 15:
            require(at < len(block), "an LZ4 block ends early")
            length += block[at]
            at += 1
            if block[at - 1] < 255:
                break
        return length, at

    at = 0
    while at < len(block):
        token = block[at]
        literals, at = extended(token >> 4, at + 1)
        at += literals
        if at >= len(block):  # the last sequence has no match; the library checks that it ends here exactly
            return
        require(at + 2 <= len(block), "an LZ4 block ends early")
        require(block[at] or block[at + 1], "an LZ4 block has an offset of 0")
        _, at = extended(token & 15, at + 2)


# ------------------------------------------------------------------------------------------------------- Mask section

MASK_CODINGS = {0: "removed", 1: "bitmap", 2: "gaps", 3: "gaps of dead", 4: "lz4"}


class Masks:
    """The masks of a layout, flat, by tensor index; None is "no mask": wholly alive."""

    def __init__(self, layout: Layout, counts: Sequence[int], masks: Optional[Mapping[str, np.ndarray]]) -> None:
        self.counts = counts
        self.flat: List[Optional[np.ndarray]] = []
        for (name, _), elements in zip(layout, counts):
            mask = None if masks is None else masks.get(name)
            if mask is not None:
                mask = np.asarray(mask, np.bool_).reshape(-1)
                if mask.size != elements:
                    raise ValueError(f"the mask of {name} has a wrong size")  # the caller's mistake, not the file's
            self.flat.append(mask)

    def alive(self, index: int) -> int:
        mask = self.flat[index]
        return self.counts[index] if mask is None else int(np.count_nonzero(mask))


def read_index(cursor: Cursor, previous: int, names: Sequence[str]) -> int:
    """Section "Record", index: the distance from the record before, so that indices rise."""
    index = previous + 1 + cursor.varint()
    require(index < len(names), "a tensor index is outside of the layout")
    return index


def read_mask_section(
    cursor: Cursor, header: Header, masks: Masks, names: Sequence[str], mask_epoch: int
) -> Dict[str, str]:
    """Section "Mask section": changes `masks` and says which coding each change had."""
    require(cursor.integer(4) == mask_epoch, "the mask change is for other masks than those at hand")
    require(cursor.integer(4) == header.mask_epoch, "the mask change leads to another epoch than the container's")
    changes = cursor.varint()
    require(changes <= len(names), "more mask changes than tensors")
    codings = {}
    index = -1
    for _ in range(changes):
        index = read_index(cursor, index, names)
        codings[names[index]] = read_mask_change(cursor, masks, index)
    return codings


def read_mask_change(cursor: Cursor, masks: Masks, index: int) -> str:
    """Section "Mask section", one change behind its index."""
    elements = masks.counts[index]
    require(cursor.varint() == elements, "a mask has another number of elements than the layout")
    form = cursor.integer(1)
    coding, relative = form & 7, bool(form & 8)
    require(form < 16 and coding in MASK_CODINGS, "unknown form of a mask")
    if MASK_CODINGS[coding] == "removed":
        require(not relative, "a removed mask cannot be relative")
        masks.flat[index] = None
        return MASK_CODINGS[coding]
    domain = cursor.varint()
    require(domain == (masks.alive(index) if relative else elements), "a mask has a wrong domain")
    bits = read_mask_bits(cursor, MASK_CODINGS[coding], domain)
    before = masks.flat[index]
    if relative and before is not None:
        after = np.zeros(elements, np.bool_)
        after[before] = bits
        bits = after
    masks.flat[index] = bits
    return ("relative " if relative else "") + MASK_CODINGS[coding]


def read_mask_bits(cursor: Cursor, coding: str, domain: int) -> np.ndarray:
    """Section "Mask section", the table of codings: `domain` booleans, True = alive."""
    if coding == "bitmap":
        return cursor.bits(domain)
    if coding == "lz4":
        length = cursor.varint()
        size = -(-domain // 8)
        require(length <= size, "an LZ4 mask is longer than its bit field")
        return unpack_bits(memoryview(unpack_lz4(cursor.take(length), size)), domain)
    count = cursor.varint()
    require(count <= domain, "a mask has more gaps than bits")
    marked = read_gaps(cursor, count, domain)
    return marked if coding == "gaps" else ~marked


# --------------------------------------------------------------------------------------------------- Record: positions

POSITIONS = {0: "dense", 1: "bitmap", 2: "gaps", 3: "gaps of left-out", 4: "blocks"}
POSITION_BLOCK = 4096


def read_kept(cursor: Cursor, positions: str, alive: int) -> Tuple[int, int]:
    """Section "Record", `kept` and `per block`: how many values follow, and for blocks the number per block, else 0."""
    if positions == "dense":
        require(alive >= 1, "a dense record has no values")
        return alive, 0
    if positions != "blocks":
        kept = cursor.varint()
        require(1 <= kept < alive, "the number of values is not between 1 and the alive elements")
        return kept, 0
    per_block = cursor.varint()
    require(1 <= per_block < POSITION_BLOCK, "the number of values per block is not in 1 to 4,095")
    whole, rest = divmod(alive, POSITION_BLOCK)
    kept = whole * per_block + -(-per_block * rest // POSITION_BLOCK)
    require(kept < alive, "blocks must leave something out")
    return kept, per_block


def read_positions(cursor: Cursor, positions: str, alive: int, kept: int, per_block: int) -> np.ndarray:
    """Section "Positions": booleans over the alive elements' ranks, True = has a value."""
    if positions == "dense":
        return np.ones(alive, np.bool_)
    if positions == "bitmap":
        selected = cursor.bits(alive)
        require(np.count_nonzero(selected) == kept, "a bitmap has a wrong number of ones")
        return selected
    if positions == "gaps":
        return read_gaps(cursor, kept, alive)
    if positions == "gaps of left-out":
        return ~read_gaps(cursor, alive - kept, alive)
    return read_blocks(cursor, alive, kept, per_block)


def read_blocks(cursor: Cursor, alive: int, kept: int, per_block: int) -> np.ndarray:
    """Section "Positions", blocks: places within blocks of 4,096 ranks, 12 bits each, rising within a block."""
    places = cursor.numbers(kept, 12)
    block = np.arange(kept, dtype=np.int64) // per_block  # only the last block may have fewer
    rising = (np.diff(places) > 0) | (np.diff(block) > 0)
    require(rising.all(), "places within a block do not rise")
    ranks = block * POSITION_BLOCK + places
    require(ranks[-1] < alive, "a place is outside of its block")  # the ranks rise, so the last one is the largest
    selected = np.zeros(alive, np.bool_)
    selected[ranks] = True
    return selected


# ------------------------------------------------------------------------------------------------------ Record: values


@dataclass(frozen=True)
class Format:
    """A row of the table of formats in section "Values"."""

    name: str
    bits: int
    lowest: int = 0  # of the integer codes
    highest: int = 0
    levels: int = 0  # at most so many

    @property
    def is_integer(self) -> bool:
        return self.highest > 0 or self.lowest < 0


FORMATS = {
    0: Format("float32", 32),
    1: Format("float16", 16),
    2: Format("bfloat16", 16),
    3: Format("int8", 8, -127, 127),
    4: Format("int6", 6, -31, 31),
    5: Format("int4", 4, -7, 7),
    6: Format("int3", 3, -3, 3),
    7: Format("int2", 2, -2, 1),
    8: Format("ternary", 1),
    9: Format("sign", 1),
    10: Format("codebook16", 4, levels=16),
    11: Format("codebook256", 8, levels=256),
}
RICE_FORMATS = range(3, 7)
ROTATED_FORMATS = range(5, 11)
SCALED_FORMATS = range(3, 12)


def read_values(
    cursor: Cursor, code: int, kept: int, rice: bool, rotated: bool, limits: Limits
) -> Tuple[np.ndarray, Optional[int]]:
    """Section "Values": the record's values in order, float32, and the block size."""
    seed = cursor.integer(8) if rotated else 0
    block_size = None
    # An overflow is no accident here: infinity and NaN are looked for once, below.
    with np.errstate(all="ignore"):
        if code in SCALED_FORMATS:
            values, block_size = read_scaled(cursor, FORMATS[code], kept, rice, limits)
        else:
            values = read_plain_floats(cursor, FORMATS[code].name, kept)
        require(np.isfinite(values).all(), "a value is not finite")
        if rotated:
            values = unrotate(values, seed)
            require(np.isfinite(values).all(), "a value is not finite after rotation")
    return values, block_size


def read_exponent(cursor: Cursor) -> np.float32:
    """Section "Values", 2: 2^exponent, which is exact in float32."""
    exponent = cursor.integer(1, signed=True)
    require(-125 <= exponent <= 112, "an exponent is outside of -125 to 112")
    return np.float32(math.ldexp(1.0, exponent))


def read_plain_floats(cursor: Cursor, name: str, kept: int) -> np.ndarray:
    """Section "Values", formats 0 to 2."""
    if name == "float32":
        return cursor.floats(kept, "<f4").astype(np.float32)
    if name == "bfloat16":
        return (cursor.floats(kept, "<u2").astype(np.uint32) << np.uint32(16)).view(np.float32)
    power = read_exponent(cursor)
    return cursor.floats(kept, "<f2").astype(np.float32) * power


def read_scaled(cursor: Cursor, fmt: Format, kept: int, rice: bool, limits: Limits) -> Tuple[np.ndarray, int]:
    """Section "Values", formats 3 to 11: exponent, scales, levels, codes."""
    power = read_exponent(cursor)
    block_size = cursor.varint()
    require(1 <= block_size <= limits.block, "a block size is not within 1 and the limit")
    halves = cursor.floats(-(-kept // block_size), "<f2")
    require(np.isfinite(halves).all() and not np.signbit(halves).any(), "a scale is negative or not finite")
    scales = halves.astype(np.float32) * power
    levels = read_levels(cursor, fmt) if fmt.levels else None
    codes = read_rice_codes(cursor, fmt, kept) if rice else cursor.numbers(kept, fmt.bits)
    if not rice and fmt.is_integer:
        codes = signed(codes, fmt.bits)
        require((codes >= fmt.lowest).all() and (codes <= fmt.highest).all(), "a code is outside of its range")
    # Value j has scale ⌊j / block size⌋; a block bigger than the record does not make the array bigger.
    return multipliers(fmt, codes, levels) * np.repeat(scales, min(block_size, kept))[:kept], block_size


def signed(codes: np.ndarray, bits: int) -> np.ndarray:
    """Two's complement numbers of `bits` bits."""
    return np.where(codes >= 1 << (bits - 1), codes - (1 << bits), codes)


def read_levels(cursor: Cursor, fmt: Format) -> np.ndarray:
    """Section "Values", 4."""
    count = 1 + cursor.integer(1)
    require(count <= fmt.levels, "a codebook has too many levels")
    levels = cursor.floats(count, "<f2")
    require(np.isfinite(levels).all(), "a level is not finite")
    return levels.astype(np.float32)


def multipliers(fmt: Format, codes: np.ndarray, levels: Optional[np.ndarray]) -> np.ndarray:
    """Section "Values", the table: what each scale is multiplied by, exact in float32."""
    if levels is not None:
        require((codes < len(levels)).all(), "a code has no level")
        return levels[codes]
    if fmt.name == "int2":
        return codes.astype(np.float32) + np.float32(0.5)
    if fmt.is_integer:
        return codes.astype(np.float32)
    return np.where(codes == 1, np.float32(-1), np.float32(1))  # ternary, sign


def read_rice_codes(cursor: Cursor, fmt: Format, kept: int) -> np.ndarray:
    """Section "Values", form bit 3: `floor` and a Rice stream (k ≤ 7), not longer than plain codes would be."""
    floor = cursor.integer(1)
    require(floor <= fmt.highest, "a floor is above the largest code")
    codes = np.zeros(kept, np.int32)
    start = 0
    for numbers in read_rice(cursor, kept, max_k=7, max_bytes=-(-kept * fmt.bits // 8) - 1):
        half, odd = numbers >> 1, (numbers & 1).astype(np.bool_)
        # floor 0: 2q and −2q − 1; else 2(q − floor) and 2(−q − floor) + 1
        segment = np.where(odd, -half - 1, half) if floor == 0 else np.where(odd, -half - floor, half + floor)
        require((np.abs(segment) <= fmt.highest).all(), "a code is outside of its range")
        codes[start : start + len(segment)] = segment
        start += len(segment)
    return codes


# ---------------------------------------------------------------------------------------------------- Record: rotation

ROTATION_CHUNK = 4096


def unrotate(rotated: np.ndarray, seed: int) -> np.ndarray:
    """Section "Values", rotated: x from y, float32 throughout."""
    values = rotated.copy()
    whole = len(values) // ROTATION_CHUNK * ROTATION_CHUNK
    transform(values[:whole].reshape(-1, ROTATION_CHUNK))
    start = whole
    while start < len(values):
        size = 1 << ((len(values) - start).bit_length() - 1)  # the largest power of two that is left
        transform(values[start : start + size].reshape(1, size))
        start += size
    return np.where(sign_bits(seed, len(values)), -values, values)


def transform(chunks: np.ndarray) -> None:
    """The butterflies of each row, in place, then the factor 2^(−m)."""
    size = chunks.shape[1]
    h = 1
    while h < size:
        pairs = chunks.reshape(-1, size // (2 * h), 2, h)
        a, b = pairs[:, :, 0, :].copy(), pairs[:, :, 1, :].copy()
        pairs[:, :, 0, :] = a + b
        pairs[:, :, 1, :] = a - b
        h *= 2
    chunks *= np.float32(1 / size)


def sign_bits(seed: int, count: int) -> np.ndarray:
    """The bits that make d[j] −1: bit (j mod 64) of SplitMix64's number ⌊j/64⌋."""
    n = np.arange(-(-count // 64), dtype=np.uint64)
    z = np.uint64(seed) + (n + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return np.unpackbits(z.astype("<u8").view(np.uint8), bitorder="little")[:count].view(np.bool_)


# ------------------------------------------------------------------------------------------------------- Record, Body


def read_record(
    cursor: Cursor, index: int, name: str, masks: Masks, limits: Limits
) -> Tuple[Record, np.ndarray]:
    """Section "Record", behind the index: what it says, and the tensor's values, flat and dense."""
    elements = masks.counts[index]
    alive = masks.alive(index)
    require(cursor.varint() == elements, "a record has another number of elements than the layout")
    require(cursor.varint() == elements - alive, "a record has another number of dead elements than the mask")
    form = cursor.integer(1)
    require(form < 32 and form & 7 in POSITIONS, "unknown form of a record")
    positions, rice, rotated = POSITIONS[form & 7], bool(form & 8), bool(form & 16)
    code = cursor.integer(1)
    require(code in FORMATS, "unknown format")
    require(not rice or code in RICE_FORMATS, "this format cannot be Rice-coded")
    require(not rotated or code in ROTATED_FORMATS, "this format cannot be rotated")

    kept, per_block = read_kept(cursor, positions, alive)
    selected = read_positions(cursor, positions, alive, kept, per_block)
    values, block_size = read_values(cursor, code, kept, rice, rotated, limits)
    flat = np.zeros(elements, np.float32)
    mask = masks.flat[index]
    flat[np.flatnonzero(selected) if mask is None else np.flatnonzero(mask)[selected]] = values
    coding = "rice" if rice else "plain"
    return Record(index, name, positions, FORMATS[code].name, coding, rotated, kept, alive, block_size), flat


def check_layout(layout: Layout, limits: Limits) -> List[int]:
    """Section "Limits": the layout's own sizes. Returns each tensor's number of elements."""
    require(len(layout) <= limits.tensors, "the layout has too many tensors")
    counts = [math.prod(shape) for _, shape in layout]
    require(all(count <= limits.elements for count in counts), "a tensor of the layout has too many elements")
    return counts


def read_update(
    data: bytes,
    layout: Layout,
    masks: Optional[Mapping[str, np.ndarray]] = None,
    mask_epoch: int = 0,
    limits: Limits = Limits(),
) -> Update:
    """Read a container. `layout`, `masks` and `mask_epoch` are the snapshot's (names must be distinct).

    A tensor without an entry in `masks` has no mask. Raises `UpdateError` for everything the format forbids.
    """
    counts = check_layout(layout, limits)
    names = [name for name, _ in layout]
    state = Masks(layout, counts, masks)
    require(len(data) <= limits.container, "the container is above the limit")
    container = Cursor(memoryview(data).cast("B"))
    header = read_header(container)
    body = Cursor(read_body(container, header, counts, limits))

    require(body.varint() == len(layout), "the layout has another number of tensors")
    require(body.varint() == sum(counts), "the layout has another number of elements")
    changes: Dict[str, str] = {}
    if header.has_mask_section:
        changes = read_mask_section(body, header, state, names, mask_epoch)
    else:
        require(header.mask_epoch == mask_epoch, "the values are aligned to other masks than those at hand")

    record_count = body.varint()
    require(record_count <= len(layout), "more records than tensors")
    records: List[Record] = []
    sent: Dict[int, np.ndarray] = {}
    index = -1
    for _ in range(record_count):
        index = read_index(body, index, names)
        record, sent[index] = read_record(body, index, names[index], state, limits)
        records.append(record)
    require(body.left == 0, "there are bytes behind the last record")

    tensors = {
        name: (sent[i] if i in sent else np.zeros(counts[i], np.float32)).reshape(shape)
        for i, (name, shape) in enumerate(layout)
    }
    after = {name: m.reshape(shape) for (name, shape), m in zip(layout, state.flat) if m is not None}
    return Update(
        header.kind, header.base, header.mask_epoch, tensors, after, records, changes,
        mask_epoch if header.has_mask_section else None, header.packing,
    )


# ------------------------------------------------------------------------------------------------------------ Folding

FIXED_POINT = 2.0**30
LARGEST_VALUE = 256.0
LARGEST_WEIGHT = 1 << 24


def fold(updates_and_weights: Sequence[Tuple[Update, int]]) -> Dict[str, np.ndarray]:
    """Section "Folding": the weighted mean of contributions, the same bits in any order."""
    require(len(updates_and_weights) > 0, "nothing to fold")
    total_weight = 0
    sums: Dict[str, np.ndarray] = {}
    for update, weight in updates_and_weights:
        require(weight > 0, "a weight is 0")
        require(total_weight + weight <= LARGEST_WEIGHT, "the weights add up to more than 2^24")
        require(not sums or sums.keys() == update.tensors.keys(), "contributions have different layouts")
        for name, tensor in update.tensors.items():
            require(name not in sums or sums[name].shape == tensor.shape, "contributions have different layouts")
            require((np.abs(tensor) <= LARGEST_VALUE).all(), "a value is above 256")
        total_weight += weight
        for name, tensor in update.tensors.items():
            # x · 2^30 is exact in binary64; rint rounds to nearest, ties to even.
            fixed = np.rint(tensor.astype(np.float64) * FIXED_POINT).astype(np.int64) * np.int64(weight)
            sums[name] = sums[name] + fixed if name in sums else fixed
    divisor = float(total_weight) * FIXED_POINT  # at most 2^54 and a multiple of 2^30: exact
    return {name: (total.astype(np.float64) / divisor).astype(np.float32) for name, total in sums.items()}
