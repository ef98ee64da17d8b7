"""Where in a file each recording begins and ends: one after the other, joined MP3s, chained OGGs and their like hold several.

A decoder stops at the end of the first, or takes what lies between for sound; so each is decoded as a file of its own.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

from distill.audio import mpeg, ogg
from distill.audio.formats import AAC, FLAC, MATROSKA, MP3, MP4, OGG, Kind, tag_size
from distill.audio.headers import DataChunk, corrected, data_chunk
from distill.audio.pieces import Piece, Span, occurrences

MPEG_HEAD = 4096
MPEG_TAIL = 2**14
MAX_BOXES = 100_000


@dataclass(frozen=True)
class Recording:
    """One recording in a file."""

    kind: Kind
    pieces: tuple[Piece, ...]
    """What a decoder is to read."""
    whole_file: bool
    """Whether that is the file as it is."""
    chunk: DataChunk | None = None
    """Where the samples are, in formats that say so."""
    delay: int = 0
    """Samples before the sound that no decoder takes off."""
    promised_seconds: float | None = None
    """What a Xing/Info header says."""
    is_cut: bool = False
    """Whether the last frame is not whole, or the last page not marked as the last."""
    damaged: bool = False
    """Whether the file shows that something is left out, though a decoder may not say so."""


def recordings(stream: BinaryIO, kind: Kind, start: int, file_size: int) -> list[Recording]:
    """The recordings in a file, in their order; at least one.

    Args:
        start: where the first begins, behind a tag.
    """
    if kind is MP3:
        return _mpeg(stream, start, file_size)
    if kind is AAC:
        cut = mpeg.is_cut(_at(stream, max(start, file_size - MPEG_TAIL), MPEG_TAIL))
        span = Span(start, file_size)
        return [Recording(kind, (span,), whole_file=False, delay=mpeg.AAC_DELAY, is_cut=cut)]
    if (chunk := data_chunk(stream, start, file_size)) is not None:
        return list(_chunked(stream, kind, start, file_size, chunk))
    if kind is OGG:
        links = ogg.links(stream, start, file_size)
        return [
            Recording(kind, (link.span,), link.span == (0, file_size), is_cut=link.is_cut, damaged=link.damaged)
            for link in links
        ]
    starts = {FLAC: _flacs, MATROSKA: _matroskas, MP4: _mp4s}.get(kind, _one)(stream, start, file_size)
    bounds = [start, *(bound for bound in starts if bound > start), file_size]
    spans = [Span(first, stop) for first, stop in pairwise(bounds)]
    return [Recording(kind, (span,), span == (0, file_size)) for span in spans]


def _chunked(stream: BinaryIO, kind: Kind, start: int, file_size: int, chunk: DataChunk) -> Iterator[Recording]:
    """A WAV or its like, and those that follow it as if they were chunks of it."""
    while True:
        following = _next_form(stream, chunk, file_size)
        end = following if following is not None else file_size
        whole = start == 0 and end == file_size and not chunk.is_wrong
        pieces = tuple(corrected(stream, chunk, start)) if chunk.is_wrong else (Span(start, end),)
        yield Recording(kind, pieces, whole, chunk)
        if following is None:
            return
        start = following
        found = data_chunk(stream, start, file_size)
        if found is None:
            return
        chunk = found


def _next_form(stream: BinaryIO, chunk: DataChunk, file_size: int) -> int | None:
    """Where another file of the same kind begins among the chunks that follow the sound."""
    if chunk.layout is None or chunk.end >= file_size:
        return None
    for position in chunk.following(stream, file_size):
        stream.seek(position)
        form = stream.read(12)
        if form[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and form[8:] == b"WAVE":
            return position
        if form[:4] == b"FORM" and form[8:] in (b"AIFF", b"AIFC"):
            return position
    return None


def _one(_stream: BinaryIO, _start: int, _file_size: int) -> Iterable[int]:
    return ()


def _at(stream: BinaryIO, position: int, size: int) -> bytes:
    stream.seek(position)
    return stream.read(size)


def _flacs(stream: BinaryIO, start: int, file_size: int) -> Iterator[int]:
    for position in occurrences(stream, b"fLaC", start + 4, file_size):
        if _at(stream, position + 4, 4) in (b"\0\0\0\x22", b"\x80\0\0\x22"):  # its first block, as long as ever
            yield position


def _matroskas(stream: BinaryIO, start: int, file_size: int) -> Iterator[int]:
    for position in occurrences(stream, b"\x1a\x45\xdf\xa3", start + 4, file_size):
        head = _at(stream, position, 64)
        if b"\x42\x82" in head and (b"webm" in head or b"matroska" in head):
            yield position


def _mp4s(stream: BinaryIO, start: int, file_size: int) -> Iterator[int]:
    """Where a second `ftyp` lies among the outermost boxes."""
    position, begun = start, False
    for _ in range(MAX_BOXES):
        head = _at(stream, position, 16)
        if len(head) < 8 or position >= file_size:
            return
        size, name = int.from_bytes(head[:4], "big"), head[4:8]
        if size == 1:
            size = int.from_bytes(head[8:], "big")
        if size < 8:
            return
        if name == b"ftyp" and begun:
            yield position
        begun = begun or name in (b"moov", b"mdat")
        position += size


def _mpeg(stream: BinaryIO, start: int, file_size: int) -> list[Recording]:
    """An MP3: it begins anew behind a tag and at a Xing/Info frame."""
    if file_size - start > 128 and _at(stream, file_size - 128, 3) == b"TAG":
        file_size -= 128
    tags = sorted(_tags(stream, start, file_size))
    bounds = sorted({start, *(tag.stop for tag in tags), *_info_frames(stream, start, file_size)})
    found = []
    for first, stop in zip(bounds, [*bounds[1:], file_size], strict=True):
        stop = min([stop, *(tag.start for tag in tags if tag.start >= first)])
        head = _at(stream, first, MPEG_HEAD)
        if stop <= first or (first > start and mpeg.first_frame(head) is None):
            continue
        said, delay, frame = mpeg.gapless(head), mpeg.encoder_delay(head), mpeg.frame(head[:7])
        promised = None
        if said is not None and said.samples is not None and frame is not None:
            promised = max(said.samples - delay, 0) / frame.rate
        cut = mpeg.is_cut(_at(stream, max(first, stop - MPEG_TAIL), min(MPEG_TAIL, stop - first)))
        found.append(Recording(MP3, (Span(first, stop),), False, None, delay, promised, cut))
    return found or [Recording(MP3, (Span(start, file_size),), whole_file=False)]


def _tags(stream: BinaryIO, start: int, file_size: int) -> Iterator[Span]:
    """The tags behind `start`: an ID3v2 tag counts where a frame, a tag or the end follows."""
    for position in occurrences(stream, b"ID3", start, file_size):
        size = tag_size(_at(stream, position, 32))
        after = _at(stream, position + size, 8)
        if size and (not after or mpeg.frame(after) is not None or after[:3] in (b"ID3", b"APE")):
            yield Span(position, min(position + size, file_size))
    for position in occurrences(stream, b"APETAGEX", start, file_size):
        head = _at(stream, position, 32)
        size = tag_size(head)
        if len(head) < 32 or head[8:12] not in (b"\xd0\x07\0\0", b"\xe8\x03\0\0"):
            continue
        if size > 32:
            yield Span(position, min(position + size, file_size))
        else:  # a footer, which says how much lies before it
            yield Span(max(start, position + 32 - int.from_bytes(head[12:16], "little")), position + 32)


def _info_frames(stream: BinaryIO, start: int, file_size: int) -> Iterator[int]:
    for mark, places in ((b"Xing", (36, 21, 13)), (b"Info", (36, 21, 13)), (b"VBRI", (36,))):
        for position in occurrences(stream, mark, start, file_size):
            for place in places:
                first = mpeg.frame(_at(stream, position - place, 7)) if position - place >= start else None
                if first is not None and (first.info_at == place or mark == b"VBRI") and first.layer == 3:
                    yield position - place
