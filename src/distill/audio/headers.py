"""What the header of an uncompressed sound file promises, against the bytes that are there.

A recorder that dies leaves the size of its last update; a size of 4 GiB or more wraps around; a program that streams does
not know it and writes 0 or as much as fits; a copy that broke off holds less than promised. All but the last are invisible to
libsndfile, so it is given the header that fits what is there. Only headers are read here, never sound.
"""

import os
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, NamedTuple

import numpy as np

from distill.audio.pieces import Piece, Span

STREAMED_FROM = 0x7FFF_0000
"""Data sizes from here up, where the file is shorter, are what programs write that stream and do not know the size."""
MAX_CHUNKS = 10_000
MAX_HEAD = 2**24
"""Bytes before the sound from which on a wrong size is left as it is."""
TAIL = 2**20
"""How far before the end of a file whose size is wrong chunks that follow the sound are looked for."""
STRAY = 1024
"""Bytes behind the sound up to which they are no sound: padding, a tag, what a file system left."""
MPEG_IN_WAV = (0x50, 0x55)
IEEE_FLOAT = 3
FLOATS_TRIED = 2**16
LOUDEST_FLOAT = 1e4
_TAGS = (b"ID3\x02", b"ID3\x03", b"ID3\x04", b"TAG", b"APETAGEX")
_TEXT = re.compile(rb"[\t\n\r -~]{16,}")
_RIFF_TAIL = (
    b"LIST", b"id3 ", b"ID3 ", b"bext", b"iXML", b"cue ", b"smpl", b"inst", b"acid", b"JUNK", b"junk", b"PAD ", b"FLLR", b"_PMX",
    b"fact", b"PEAK", b"plst", b"DISP", b"strc", b"axml", b"chna", b"cart", b"minf", b"elm1", b"regn", b"umid", b"afsp", b"SAUR",
    b"RIFF", b"RIFX", b"RF64", b"BW64",
)  # fmt: skip
_FORM_TAIL = (
    b"COMM", b"NAME", b"AUTH", b"ANNO", b"COMT", b"MARK", b"INST", b"MIDI", b"AESD", b"APPL", b"(c) ", b"ID3 ", b"id3 ", b"PEAK",
    b"FLLR", b"LIST", b"basc", b"trns", b"cate", b"FVER", b"CHAN", b"FORM",
)  # fmt: skip
_CAF_TAIL = (
    b"info", b"pakt", b"kuki", b"mark", b"regn", b"strg", b"peak", b"ovvw", b"uuid", b"umid", b"midi", b"inst", b"free", b"chan",
    b"edct",
)  # fmt: skip
_W64_GUID = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a"


class _Layout(NamedTuple):
    """How the chunks of a format lie in the file."""

    first: int
    """Where the first chunk begins."""
    name: int
    """Bytes of a chunk's name."""
    size: str
    """The struct format of its size."""
    counts_header: bool
    align: int
    data: bytes
    skip: int
    """Bytes in the data chunk before the sound."""
    tail: tuple[bytes, ...]
    """How the names of chunks begin that follow the sound."""


_RIFF = _Layout(12, 4, "<I", False, 2, b"data", 0, _RIFF_TAIL)
_RIFX = _RIFF._replace(size=">I")
_FORM = _Layout(12, 4, ">I", False, 2, b"SSND", 8, _FORM_TAIL)
_CAF = _Layout(8, 4, ">Q", False, 1, b"data", 4, _CAF_TAIL)
_W64 = _Layout(
    40, 16, "<Q", True, 8, b"data" + _W64_GUID, 0, (b"list", b"bext", b"junk", b"fact", b"levl", b"summ", b"mark")
)


@dataclass(frozen=True)
class DataChunk:
    """Where the samples of a WAV, AIFF, AU, CAF or W64 are."""

    layout: _Layout | None
    """None: AU, which has no chunks."""
    size_position: int
    """Offset in the file of the number that holds the size."""
    start: int
    """Where the sound begins."""
    promised: int | None
    """Bytes of sound that the header promises; None where it was streamed and does not say."""
    end: int
    """Where the sound really ends: what follows are chunks and tags, or nothing."""
    said_end: int
    """Where a decoder that believes the header would stop."""
    places: dict[bytes, int]
    """Where the bodies of the chunks before the sound begin, by name."""
    mpeg: bool = False
    """A WAV around MPEG frames."""

    @property
    def held(self) -> int:
        """Bytes of sound that are there."""
        return self.end - self.start

    @property
    def is_wrong(self) -> bool:
        """Whether a decoder that believes the header would stop too early or read on into what is no sound."""
        return self.end != self.said_end

    def following(self, stream: BinaryIO, file_size: int) -> Iterator[int]:
        """Where the chunks begin that follow the sound."""
        if self.layout is not None:
            position = self.end + -self.end % self.layout.align
            header = self.layout.name + struct.calcsize(self.layout.size)
            for _, body, _ in _chunks(stream, self.layout, position, file_size):
                yield body - header


def data_chunk(stream: BinaryIO, start: int, file_size: int) -> DataChunk | None:
    """The data chunk of a WAV, RF64, BW64, RIFX, AIFF, AIFF-C, AU, CAF or W64; None for others or without such a chunk.

    Args:
        start: where the file begins in the stream (behind a tag), and
        file_size: where it ends.
    """
    stream.seek(start)
    form = stream.read(16)
    if form[:4] == b".snd" and len(form) >= 12:
        offset, size = struct.unpack(">II", form[4:12])
        begin = start + offset
        promised = None if size >= STREAMED_FROM and begin + size > file_size else size
        end = _sound_end(stream, None, begin, promised, file_size, 2)
        said = file_size if promised is None else min(begin + promised, file_size)
        return DataChunk(None, start + 8, begin, promised, end, said, {})
    layout = _layout(form)
    return None if layout is None else _find_data(stream, layout, start, file_size, form)


def _layout(form: bytes) -> _Layout | None:
    if form[8:12] == b"WAVE":
        return {b"RIFF": _RIFF, b"RF64": _RIFF, b"BW64": _RIFF, b"RIFX": _RIFX}.get(form[:4])
    if form[:4] == b"FORM" and form[8:12] in (b"AIFF", b"AIFC"):
        return _FORM
    if form[:4] == b"caff":
        return _CAF
    return _W64 if form[:4] == b"riff" else None


def _chunks(stream: BinaryIO, layout: _Layout, position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, where the body begins and its size, of the chunks from `position` on while they fit before `end`."""
    header = layout.name + struct.calcsize(layout.size)
    for _ in range(MAX_CHUNKS):
        if position + header > end:
            return
        stream.seek(position)
        head = stream.read(header)
        if len(head) < header:
            return
        size = struct.unpack(layout.size, head[layout.name :])[0]
        size -= header if layout.counts_header else 0
        if size < 0:
            return
        yield head[: layout.name], position + header, size
        position += header + size
        position += -position % layout.align


def chunk_bodies(stream: BinaryIO, names: Sequence[bytes], most_bytes: int) -> dict[bytes, bytes]:
    """The first chunk of each of these names in a WAV, AIFF, CAF or W64, those left out that are larger than `most_bytes`."""
    stream.seek(0)
    layout = _layout(stream.read(12))
    bodies: dict[bytes, bytes] = {}
    if layout is not None:
        for name, body, size in _chunks(stream, layout, layout.first, stream.seek(0, os.SEEK_END)):
            if name in names and name not in bodies and size <= most_bytes:
                stream.seek(body)
                bodies[name] = stream.read(size)
    return bodies


def _find_data(stream: BinaryIO, layout: _Layout, start: int, file_size: int, form: bytes) -> DataChunk | None:
    places: dict[bytes, int] = {}
    body = size = -1
    for name, place, length in _chunks(stream, layout, start + layout.first, file_size):
        if name == layout.data:
            body, size = place, length
            break
        places[name[:4]] = place
    if body < 0:
        return None
    begin = body + layout.skip
    promised: int | None = size - layout.skip if size < 2**63 else None
    if b"ds64" in places and size >= STREAMED_FROM:
        stream.seek(places[b"ds64"] + 8)
        promised = int.from_bytes(stream.read(8), "little")
        promised = promised if 0 < promised < 2**63 else None
    elif promised is not None and size >= STREAMED_FROM and begin + promised > file_size and size < 2**32:
        promised = None
    said = file_size if promised is None else min(begin + max(promised, 0), file_size)
    block, tag, channels = 1, 0, 1
    if b"fmt " in places:
        stream.seek(places[b"fmt "])
        order = ">" if form[:4] == b"RIFX" else "<"
        tag, channels, _, _, block = struct.unpack(order + "HHIIH", stream.read(14).ljust(14, b"\0"))
    elif b"COMM" in places:
        stream.seek(places[b"COMM"])
        channels, _, bits = struct.unpack(">HIH", stream.read(8).ljust(8, b"\0"))
        block = channels * -(-bits // 8)
    end = _sound_end(stream, layout, begin, promised, file_size, max(block, 1))
    if end > said and tag == IEEE_FLOAT and not _floats(stream, said, end, block // max(channels, 1)):
        end = said
    if promised is not None and promised <= 0:
        promised = None
    size_position = body - struct.calcsize(layout.size)
    return DataChunk(layout, size_position, begin, promised, end, said, places, tag in MPEG_IN_WAV)


def _sound_end(
    stream: BinaryIO, layout: _Layout | None, start: int, promised: int | None, file_size: int, block: int
) -> int:
    """Where the sound really ends, whatever its size is said to be.

    Where what follows the promised bytes is no chunk and no tag, it is sound; zeros at the end and a few stray bytes are not.
    """
    said = start + max(promised or 0, 0)
    if promised is not None and said >= file_size:
        return file_size
    if promised is not None and _follows(stream, layout, said, file_size):
        return said
    end = file_size
    if layout is not None:
        first = max(said, file_size - TAIL)
        stream.seek(first)
        names = b"|".join(re.escape(name) for name in layout.tail)
        for match in re.finditer(names, stream.read(TAIL)):
            if _only_chunks(stream, layout, first + match.start(), file_size):
                end = first + match.start()
                break
    sounding = _last_byte(stream, said, end)
    sounding += (start - sounding) % block
    if sounding - said <= STRAY and promised:
        return said
    return min(sounding, end) if promised is not None else end


def _follows(stream: BinaryIO, layout: _Layout | None, position: int, end: int) -> bool:
    """Whether what begins at `position` is what may follow the sound: chunks, a tag, a text, nothing."""
    align = 1 if layout is None else layout.align
    for place in {position, position + -position % align}:
        stream.seek(place)
        head = stream.read(64)
        if len(head) < 8 or head.startswith(_TAGS) or _TEXT.fullmatch(head):
            return True
        if layout is not None and (head.startswith(layout.tail) or _only_chunks(stream, layout, place, end)):
            return True
    return False


def _only_chunks(stream: BinaryIO, layout: _Layout, position: int, end: int) -> bool:
    """Whether well-formed chunks, and nothing else but a few stray bytes, fill the file from `position` to `end`."""
    for name, body, size in _chunks(stream, layout, position, end):
        if not name[:4].isascii() or not name[:4].decode("ascii").isprintable() or body + size > end + 1:
            return False
        position = body + size
        position += -position % layout.align
    return position >= end - 7


def _floats(stream: BinaryIO, start: int, end: int, width: int) -> bool:
    """Whether the bytes can be samples in floating point: other bytes are soon a number that no sound has."""
    stream.seek(start)
    data = stream.read(min(end - start, FLOATS_TRIED))
    samples = np.frombuffer(data[: len(data) // 8 * 8], "<f8" if width == 8 else "<f4")
    with np.errstate(invalid="ignore"):
        return bool((np.abs(samples) < LOUDEST_FLOAT).all())


def _last_byte(stream: BinaryIO, start: int, end: int) -> int:
    """Where the zeros begin that fill the file up to `end`; not before `start`."""
    while end > start:
        first = max(start, end - 2**16)
        stream.seek(first)
        sounding = len(stream.read(end - first).rstrip(b"\0"))
        if sounding:
            return first + sounding
        end = first
    return start


def corrected(stream: BinaryIO, chunk: DataChunk, start: int) -> list[Piece]:
    """The file with a header that fits what is there: the head, mended, and the sound. The file itself is not changed."""
    if chunk.start - start > MAX_HEAD:
        return [Span(start, chunk.end)]
    stream.seek(start)
    head = bytearray(stream.read(chunk.start - start))
    held, layout = chunk.held, chunk.layout

    def put(position: int, form: str, value: int) -> None:
        value = min(value, 2 ** (8 * struct.calcsize(form)) - 1)
        head[position - start : position - start + struct.calcsize(form)] = struct.pack(form, value)

    if layout is None:
        put(chunk.size_position, ">I", held)
    elif b"ds64" in chunk.places:
        put(chunk.places[b"ds64"] + 8, "<Q", held)
        put(chunk.size_position, "<I", 2**32 - 1)
    elif layout is _RIFF and len(head) + held >= 2**32:
        long = struct.pack("<4sIQQQI", b"ds64", 28, len(head) + 36 + held, held, 0, 0)
        head = bytearray(b"RF64\xff\xff\xff\xffWAVE" + long + head[12:])
        head[-4:] = b"\xff" * 4
    else:
        header = layout.name + struct.calcsize(layout.size)
        put(chunk.size_position, layout.size, held + layout.skip + (header if layout.counts_header else 0))
        if layout.first == 12:
            put(start + 4, layout.size, len(head) + held - 8)
        if b"COMM" in chunk.places:
            comm = chunk.places[b"COMM"]
            channels, _, bits = struct.unpack(">HIH", head[comm - start : comm - start + 8])
            put(comm + 2, ">I", held // max(channels * -(-bits // 8), 1))
    return [bytes(head), Span(chunk.start, chunk.end)]
