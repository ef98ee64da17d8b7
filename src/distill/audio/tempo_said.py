"""What a sound file says of its tempo: in its tags, or in its name. No torch.

Of tags our own go first, then those of makers of loops (`acid`), of music programs (iXML's tempo, ID3's TBPM, BPM and TEMPO in
Vorbis comments). What they say is a stranger's: it is a number within bounds, or it is not heard.
"""

import io
import math
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from distill.audio.decoders import UnusableSound
from distill.audio.formats import FLAC, MP3, OGG
from distill.audio.headers import chunk_bodies
from distill.audio.soundfiles import kind_of
from distill.audio.tag_blocks import MOST_BYTES, comments_of_flac, comments_of_ogg, id3_of
from distill.audio.tagging import read_tags
from distill.errors import DistillError

SLOWEST, FASTEST = 20.0, 400.0
MOST_BEATS_PER_BAR = 32
ROUNDED = 0.5
"""Tempi are often written as whole numbers: by so many beats a minute they may be off."""
ONE_SHOT, ACID = 1, struct.Struct("<IHHfIHHf")
NUMBER = r"(\d{2,3}(?:[.,]\d{1,3})?)"
IN_NAME = re.compile(rf"(?<![\d.,]){NUMBER}[ _-]?bpm(?![a-z])|(?<![a-z])bpm[ _-]?{NUMBER}(?!\d)", re.IGNORECASE)
IN_IXML = re.compile(rb"<tempo>\s*([0-9.]{1,12})\s*</tempo>", re.IGNORECASE)


class SaidTempo(NamedTuple):
    """A tempo that somebody has written down."""

    bpm: float
    off: float
    """By how much it may be rounded."""
    place: str
    """"tags" or "name"."""
    beats_per_bar: int | None = None


def said_tempo(path: Path) -> SaidTempo | None:
    """What the tags of a sound file say of its tempo, else what its name says; None: nothing."""
    return _own(path) or _of_others(path) or _of_name(path.stem)


def _own(path: Path) -> SaidTempo | None:
    try:
        tags = read_tags(path)
    except DistillError:
        return None
    per_bar = tags.beats_per_bar if tags.beats_per_bar and tags.beats_per_bar <= MOST_BEATS_PER_BAR else None
    return None if tags.bpm is None else _within(tags.bpm, 0.0, "tags", per_bar)


def _of_others(path: Path) -> SaidTempo | None:
    try:
        kind = kind_of(path).name
        with path.open("rb") as stream:
            if kind == FLAC.name:
                return _first(_of_comments(comments_of_flac(stream)))
            if kind == OGG.name:
                return _first(_of_comments(comments_of_ogg(stream)))
            if kind == MP3.name:
                return _first(_of_id3(stream))
            return _of_chunks(chunk_bodies(stream, (b"acid", b"iXML", b"ID3 ", b"id3 "), MOST_BYTES))
    except (UnusableSound, OSError):  # said when the sound itself is read
        return None
    except Exception:  # readers of foreign bytes fail in more ways than can be listed: then nothing is said
        return None


def _of_chunks(chunks: dict[bytes, bytes]) -> SaidTempo | None:
    acid = chunks.get(b"acid", b"")
    if len(acid) >= ACID.size:
        flags, _, _, _, _, _, per_bar, bpm = ACID.unpack_from(acid)
        found = _within(bpm, 0.01, "tags", per_bar if 1 <= per_bar <= MOST_BEATS_PER_BAR else None)
        if found is not None and not flags & ONE_SHOT:
            return found
    match = IN_IXML.search(chunks.get(b"iXML", b""))
    found = None if match is None else _number(match[1].decode("ascii"), "tags")
    return found or _first(_of_id3(io.BytesIO(chunks.get(b"ID3 ") or chunks.get(b"id3 ") or b"")))


def _of_id3(stream: BinaryIO) -> Iterator[SaidTempo | None]:
    found = id3_of(stream, "TBPM")
    for frame in [] if found is None else found.getall("TBPM"):
        yield from (_number(str(text), "tags") for text in frame.text)


def _of_comments(comments: Iterator[Any]) -> Iterator[SaidTempo | None]:
    for each in comments:
        for name in ("BPM", "TEMPO"):
            yield from (_number(text, "tags") for text in each.get(name, []))


def _of_name(stem: str) -> SaidTempo | None:
    match = IN_NAME.search(stem)
    return None if match is None else _number((match[1] or match[2]).replace(",", "."), "name")


def _number(text: str, place: str) -> SaidTempo | None:
    try:
        bpm = float(text)
    except ValueError:
        return None
    decimals = len(text.strip().partition(".")[2])
    return _within(bpm, ROUNDED / 10.0**decimals, place)


def _within(bpm: float, off: float, place: str, beats_per_bar: int | None = None) -> SaidTempo | None:
    if not math.isfinite(bpm) or not SLOWEST <= bpm <= FASTEST:
        return None
    return SaidTempo(bpm, off, place, beats_per_bar)


def _first(found: Iterator[SaidTempo | None]) -> SaidTempo | None:
    return next((each for each in found if each is not None), None)
