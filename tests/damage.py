"""Ways in which a model file is damaged: by a disk, by a transfer, by a hand that meant well, by one that did not."""

import io
import pickle
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

Rng = np.random.Generator
Damage = Callable[[bytes, Rng], bytes]


def bits_flipped(whole: bytes, rng: Rng) -> bytes:
    content = bytearray(whole)
    for _ in range(int(rng.integers(1, 4))):
        content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
    return bytes(content)


def end_flipped(whole: bytes, rng: Rng) -> bytes:
    """In the archive's directory, which is at the end."""
    content = bytearray(whole)
    reach = min(len(content), 12_000)
    for _ in range(int(rng.integers(1, 6))):
        content[len(content) - 1 - int(rng.integers(reach))] ^= 1 << int(rng.integers(8))
    return bytes(content)


def values_flipped(whole: bytes, rng: Rng) -> bytes:
    """In what is pickled, the checksum made right again."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        content = bytearray(archive.read(name))
    for _ in range(int(rng.integers(1, 3))):
        content[int(rng.integers(len(content)))] = int(rng.integers(256))
    return with_part(whole, name, bytes(content))


def range_zeroed(whole: bytes, rng: Rng) -> bytes:
    start = int(rng.integers(len(whole)))
    size = int(rng.integers(1, 70_000))
    return whole[:start] + bytes(len(whole[start : start + size])) + whole[start + size :]


def cut(whole: bytes, rng: Rng) -> bytes:
    return whole[: int(rng.integers(len(whole)))]


def beginning_lost(whole: bytes, rng: Rng) -> bytes:
    return whole[int(rng.integers(1, len(whole))) :]


def blocks_swapped(whole: bytes, rng: Rng) -> bytes:
    size = int(rng.choice([16, 512, 4096, 65_536]))
    one, other = (int(place) * size for place in rng.integers(len(whole) // size, size=2))
    content = bytearray(whole)
    content[one : one + size], content[other : other + size] = whole[other : other + size], whole[one : one + size]
    return bytes(content[: len(whole)])


def part_renamed(whole: bytes, rng: Rng) -> bytes:
    """One or all: to a stranger's name, one that is not text, one that is there, one that leads elsewhere."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        names = archive.namelist()
    old = names[int(rng.integers(len(names)))]
    new = str(rng.choice(["x", "data.pkl", "../" + old, old.upper(), names[0], old + "\xff", "a" * 300, "/etc/passwd"]))
    return rebuilt(whole, lambda name: new if name == old else name)


def part_enlarged(whole: bytes, rng: Rng) -> bytes:
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        names = archive.namelist()
        name = names[int(rng.integers(len(names)))]
        content = archive.read(name)
    size = int(rng.integers(1, 5000))
    changed = content + bytes(size) if rng.random() < 0.5 else content[: max(0, len(content) - size)]
    return with_part(whole, name, changed)


def size_claimed(whole: bytes, rng: Rng) -> bytes:
    """A directory that promises other sizes, offsets, methods or flags than there are."""
    content = bytearray(whole)
    entries = []
    place = content.find(b"PK\x01\x02")
    while place >= 0:
        entries.append(place)
        place = content.find(b"PK\x01\x02", place + 4)
    if not entries:
        return bytes(content)
    at = entries[int(rng.integers(len(entries)))] + int(rng.choice([6, 8, 10, 16, 20, 24, 28, 30, 32, 42]))
    content[at : at + 4] = int(rng.choice([0, 1, 9, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF])).to_bytes(4, "little")
    return bytes(content)


def value_replaced(whole: bytes, rng: Rng) -> bytes:
    """One value by another that no distill writes, in a file that is whole."""
    contents = torch.load(io.BytesIO(whole), weights_only=True)
    place: Any = contents
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = keys[int(rng.integers(len(keys)))]
        inner = place[key]
        if isinstance(inner, dict | list) and inner and rng.random() < 0.85:
            place = inner
            continue
        break
    strange: list[Any] = [
        None, True, -1, 0, 10**40, 1e308, float("nan"), float("-inf"), "", "\ud800", "../../x", "x" * 5000, [], {}, [[]],
        {1: 2}, b"bytes", torch.zeros(0), torch.zeros(1).expand(2**20, 2**20), torch.zeros(3, dtype=torch.int8), 2**62,
    ]  # fmt: skip
    place[key] = strange[int(rng.integers(len(strange)))]
    stream = io.BytesIO()
    torch.save(contents, stream)
    return stream.getvalue()


def nested(whole: bytes, rng: Rng) -> bytes:
    """Lists in lists in lists, deeper than any reader's stack."""
    depth = int(rng.choice([40, 900, 20_000]))
    pickled = b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b"."
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
    return with_part(whole, name, pickled)


def foreign(whole: bytes, rng: Rng) -> bytes:
    """Something else altogether."""
    kind = int(rng.integers(4))
    if kind == 0:
        return rng.bytes(int(rng.integers(1, 5000)))
    if kind == 1:
        return pickle.dumps({"format": "distill_model"})
    if kind == 2:
        return rebuilt(whole, lambda name: name.replace("data", "date"))
    return rebuilt(whole, lambda name: name, zipfile.ZIP_DEFLATED)


KINDS: list[Damage] = [
    bits_flipped, end_flipped, values_flipped, range_zeroed, cut, beginning_lost, blocks_swapped, part_renamed,
    part_enlarged, size_claimed, value_replaced, nested, foreign,
]  # fmt: skip


def with_part(whole: bytes, name: str, content: bytes) -> bytes:
    return rebuilt(whole, lambda each: each, contents={name: content})


def rebuilt(
    whole: bytes,
    named: Callable[[str], str],
    method: int = zipfile.ZIP_STORED,
    contents: dict[str, bytes] | None = None,
) -> bytes:
    """The same archive written anew, with right checksums."""
    stream = io.BytesIO()
    with (
        warnings.catch_warnings(action="ignore"),  # of names that are there twice
        zipfile.ZipFile(io.BytesIO(whole)) as source,
        zipfile.ZipFile(stream, "w", method) as target,
    ):
        for entry in source.infolist():
            target.writestr(named(entry.filename), (contents or {}).get(entry.filename, source.read(entry)))
    return stream.getvalue()
