"""A sound file, whatever it is called: what it is, its recordings as the decoders give them, and what was wrong with it."""

import os
import stat
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from distill.audio.decoders import Block, Broken, CannotOpen, FFmpeg, Libsndfile, UnusableSound
from distill.audio.formats import OGG, Kind, Recognised, recognise
from distill.audio.recordings import Recording, recordings

ZEROS_BLOCK = 2**20
NOT_A_SOUND = "not a sound"
NOT_HERE = "not downloaded yet"
EXACT_SECONDS = 0.01
"""How far the length may be from what a header of samples promises without a note."""
MPEG_SECONDS = 0.1
"""The same where a header counts frames: it may count the encoder's padding."""
OGG_SECONDS = 0.05
CONTAINER_SECONDS = 0.15
RECALL_ON_OPEN, RECALL_ON_DATA_ACCESS = 0x4_0000, 0x40_0000
SF_DATALESS = 0x4000_0000


def kind_of(path: Path) -> Kind:
    """What kind of sound a file holds, by its first bytes: nothing is decoded.

    Raises:
        UnusableSound: it is empty, no sound, not on this machine, or of a kind that cannot be read; the reason is its text.
    """
    try:
        _check_here(path)
        with path.open("rb") as stream:
            return _recognised(stream)[0]
    except OSError as error:
        raise UnusableSound(f"cannot be read: {(error.strerror or str(error)).lower()}") from error


def _check_here(path: Path) -> None:
    """Raise where only a placeholder is on this machine: opening it would wait for a download, or fail."""
    status = path.stat()
    dataless = getattr(status, "st_flags", 0) & SF_DATALESS  # macOS
    recalled = getattr(status, "st_file_attributes", 0) & (  # Windows
        stat.FILE_ATTRIBUTE_OFFLINE | RECALL_ON_OPEN | RECALL_ON_DATA_ACCESS
    )
    if dataless or recalled:
        raise UnusableSound(f"{NOT_HERE}: have its cloud keep it on this machine")


def _recognised(stream: BinaryIO) -> tuple[Kind, Recognised]:
    """The kind of a file, and what else was found out with it."""
    file_size = os.fstat(stream.fileno()).st_size
    if file_size == 0:
        raise UnusableSound("empty: the file has 0 bytes")
    what = recognise(stream, file_size)
    if what.unreadable:
        raise UnusableSound(f"a kind of sound that cannot be read ({what.unreadable}): convert it to WAV or FLAC")
    if what.kind is None:
        if _only_zeros(stream):
            raise UnusableSound(f"{NOT_HERE}, or lost: it holds nothing but zeros")
        raise UnusableSound(NOT_A_SOUND)
    return what.kind, what


def _only_zeros(stream: BinaryIO) -> bool:
    stream.seek(0)
    while block := stream.read(ZEROS_BLOCK):
        if block.count(0) != len(block):
            return False
    return True


@dataclass
class Report:
    """What one pass over a file has found out."""

    held: float = 0.0
    """Seconds."""
    promised: float = 0.0
    """Seconds; where a recording promises nothing, what it holds."""
    inexact: float = 0.0
    """Seconds by which the promise may be off without a note."""
    silence: float = 1.0
    """The peak below which the sound is silent."""
    damage: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    refusals: list[UnusableSound] = field(default_factory=list)
    """Why a recording cannot be used at all."""


class SoundFile:
    """A sound file, which can be decoded more than once."""

    def __init__(self, path: Path) -> None:
        """Find out what it is and where its recordings are.

        Raises:
            UnusableSound: it is empty, no sound, not on this machine, or of a kind that cannot be read.
            OSError: it cannot be opened.
        """
        self.path = path
        _check_here(path)
        with path.open("rb") as stream:
            self.kind, what = _recognised(stream)
            self.recordings = recordings(stream, self.kind, what.start, os.fstat(stream.fileno()).st_size)
        self.is_cut = any(recording.is_cut for recording in self.recordings)
        self.damaged = what.after_junk or any(recording.damaged for recording in self.recordings)

    def blocks(self, report: Report) -> Iterator[Block]:
        """All recordings, one after the other. One that cannot be used does not keep the others from it."""
        for recording in self.recordings:
            try:
                yield from _decoded(self.path, recording, report)
            except UnusableSound as reason:
                report.refusals.append(reason)

    def passages(self, count: int) -> Iterator[Block]:
        """Half seconds from all over the file, or all of it where the decoder cannot go to them."""
        if len(self.recordings) == 1 and asks_libsndfile(self.recordings[0]):
            try:
                with Libsndfile(self.path, self.recordings[0]) as decoder:
                    yield from decoder.passages(count)
                    return
            except (CannotOpen, Broken):
                pass
        yield from self.blocks(Report())

    def notes(self, report: Report) -> Iterator[str]:
        """What is to be known of how it was read, a plain sentence each."""
        if len(self.recordings) > 1:
            yield f"it holds {len(self.recordings)} recordings one after the other: all are used"
        missing = report.promised - report.held
        if missing > report.inexact:
            yield f"its header promises {_seconds(report.promised)}, {_seconds(report.held)} can be read: what is there is used"
        elif -missing > report.inexact:
            yield f"its header promises {_seconds(report.promised)}, the file holds {_seconds(report.held)}: all of it is used"
        elif report.damage or self.damaged:
            yield next(iter(report.damage), "what is damaged in it is left out")
        elif self.is_cut:
            yield "its end is cut off: what is there is used"
        if report.refusals:
            yield f"a part of it is left out: {report.refusals[0]}"
        yield from dict.fromkeys(report.notes)


def asks_libsndfile(recording: Recording) -> bool:
    """Whether libsndfile is to read it: never MPEG frames, of which it speaks to the screen."""
    return recording.kind.by_libsndfile and not (recording.chunk is not None and recording.chunk.mpeg)


@dataclass
class _SoFar:
    """What libsndfile has made of a recording."""

    frames: int = 0
    seconds: float = 0.0
    promised: float | None = None
    """Seconds, by libsndfile."""
    opened: bool = False


def _decoded(path: Path, recording: Recording, report: Report) -> Iterator[Block]:
    """One recording: by libsndfile as far as it comes, what is left by FFmpeg."""
    so_far = _SoFar()
    if asks_libsndfile(recording) and (yield from _by_libsndfile(path, recording, report, so_far)):
        _compare(recording, report, so_far.seconds, so_far.promised, EXACT_SECONDS)
        return
    try:
        yield from _by_ffmpeg(path, recording, report, so_far)
    except CannotOpen as reason:
        if not so_far.frames:
            raise UnusableSound(f"damaged: its {recording.kind.name} header cannot be read") from reason
        report.damage.append(f"it is damaged after {_seconds(so_far.seconds)}: what comes before is used")
        _compare(recording, report, so_far.seconds, so_far.promised, EXACT_SECONDS)


def _by_libsndfile(path: Path, recording: Recording, report: Report, so_far: _SoFar) -> Generator[Block, None, bool]:
    """Returns whether that is all of the recording."""
    try:
        with Libsndfile(path, recording) as decoder:
            so_far.opened, so_far.promised = True, decoder.promised
            report.silence = min(report.silence, decoder.silence)
            for block in decoder.blocks():
                so_far.frames += len(block.samples)
                so_far.seconds = so_far.frames / block.rate
                yield block
            return decoder.promised is None or so_far.seconds >= decoder.promised - EXACT_SECONDS
    except (CannotOpen, Broken):
        return False


def _by_ffmpeg(path: Path, recording: Recording, report: Report, so_far: _SoFar) -> Iterator[Block]:
    """What comes after what libsndfile has given."""
    with FFmpeg(path, recording) as decoder:
        report.silence = min(report.silence, decoder.silence)
        skip, seconds = so_far.frames, so_far.seconds
        for block in decoder.blocks():
            taken = min(skip, len(block.samples))
            skip -= taken
            if taken < len(block.samples):
                seconds += (len(block.samples) - taken) / block.rate
                yield Block(block.samples[taken:], block.rate)
        if decoder.failures or so_far.opened:
            report.damage.append("what is damaged in it is left out")
        elif decoder.gap > CONTAINER_SECONDS:
            report.damage.append(f"about {_seconds(decoder.gap)} are missing in its middle: what is there is used")
        if decoder.tracks > 1:
            report.notes.append(f"it has {decoder.tracks} sound tracks: only the first is used")
        if so_far.opened:
            _compare(recording, report, seconds, so_far.promised, EXACT_SECONDS)
        else:
            _compare(recording, report, seconds, decoder.promised, CONTAINER_SECONDS)


def _compare(recording: Recording, report: Report, held: float, promised: float | None, inexact: float) -> None:
    """Keep what a recording holds beside what its header promises, `promised` by what the decoder says."""
    chunk = recording.chunk
    if recording.promised_seconds is not None:
        promised, inexact = recording.promised_seconds, MPEG_SECONDS
    elif chunk is not None:
        promised = held * chunk.promised / chunk.held if chunk.promised is not None and chunk.held else None
    elif recording.kind is OGG:
        inexact = OGG_SECONDS
    report.held += held
    report.promised += held if promised is None else promised
    report.inexact += inexact


def _seconds(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s" if seconds < 1e6 else f"{seconds:.0e} s"
