"""Sound files in: any kind, rate and channel count to 48 kHz, as middle and side. No torch.

What a file is, its content says and not its name. All of the sound that is there is used; where that is not what the file
promises, or not all could be read, a note says so.
"""

from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import soxr

from distill.audio.decoders import MAX_CHANNELS, Block, Samples, UnusableSound
from distill.audio.mixing import LAYOUTS, ChannelPower, Mix
from distill.audio.soundfiles import NOT_A_SOUND, NOT_HERE, Report, SoundFile, kind_of
from distill.errors import DistillError
from distill.settings.geometry import SAMPLE_RATE

__all__ = [
    "MAX_CHANNELS",
    "MAX_SECONDS",
    "NOT_A_SOUND",
    "NOT_HERE",
    "Samples",
    "SoundInfo",
    "UnusableSound",
    "as_channels",
    "decode_blocks",
    "decode_planes",
    "kind_of",
    "read_audio",
    "read_planes",
]

MAX_SECONDS = 6 * 3600
MIN_SECONDS = 0.02
SURVEYED_SAMPLES = 2**22
"""Samples of all channels that are held until it is known how to mix them: 16 MiB, 47 s of stereo."""
STEREO_DB = -40.0
"""Power of the side, against the middle's, from which on a sound has a stereo image: below are dither and rounding."""
SURVEYED_PASSAGES = 64
"""Half seconds looked at of what is longer, where libsndfile can go to them; FFmpeg reads all of it twice."""


@dataclass(frozen=True)
class SoundInfo:
    """What was found while decoding a file."""

    native_rate: int
    channels: int
    samples: int
    """Of the mono mix at 48 kHz."""
    peak: float
    """Largest absolute sample of the mono mix at 48 kHz; 1.0 is full scale."""
    notes: tuple[str, ...] = ()
    """What is to be known of how it was read, one plain sentence each, without the file's name."""
    stereo: bool = False
    """Whether its channels differ, by more than dither does."""


def decode_blocks(path: Path) -> Generator[Samples, None, SoundInfo]:
    """The file as mono 48 kHz in blocks of [n], n <= about BLOCK_SAMPLES; a `SoundInfo` when it is read to the end.

    Channels are mixed (the mean, unless they cancel each other in it), then resampled by soxr (VHQ) as a stream, so memory
    does not grow with the file. What can only be known at the end (silent, too short) is raised after the last block.

    Raises:
        UnusableSound: the reason is its text.
    """
    decoding = _decoded(path, with_side=False)
    try:
        while True:
            yield next(decoding)[:, 0]
    except StopIteration as end:
        info: SoundInfo = end.value
        return info


def decode_planes(path: Path) -> Generator[Samples, None, SoundInfo]:
    """As `decode_blocks`, with the side beside that middle: blocks of [n, 1], or of [n, 2] where there are channels enough.

    Left is middle + side, right middle - side; more channels than two are folded to two by their layout.

    Raises:
        UnusableSound: the reason is its text.
    """
    return (yield from _decoded(path, with_side=True))


def _decoded(path: Path, with_side: bool) -> Generator[Samples, None, SoundInfo]:
    try:
        return (yield from _decode(SoundFile(path), with_side))
    except OSError as error:
        raise UnusableSound(f"cannot be read: {(error.strerror or str(error)).lower()}") from error


def read_audio(path: Path) -> tuple[Samples, SoundInfo]:
    """A whole file as [N] mono 48 kHz.

    Raises:
        DistillError: there is no such file, or it cannot be used.
    """
    blocks, info = _whole(path, decode_blocks(path))
    return np.concatenate(blocks), info


def as_channels(planes: Samples) -> Samples:
    """Middle and side [2, N] -> left and right [2, N]; a middle alone [1, N] as it is."""
    return planes if len(planes) == 1 else np.stack([planes[0] + planes[1], planes[0] - planes[1]])


def read_planes(path: Path) -> tuple[Samples, SoundInfo]:
    """A whole file at 48 kHz: [2, N], middle and side, where it has a stereo image, else [1, N], the middle.

    Raises:
        DistillError: there is no such file, or it cannot be used.
    """
    blocks, info = _whole(path, decode_planes(path))
    return np.ascontiguousarray(np.concatenate(blocks)[:, : 2 if info.stereo else 1].T), info


def _whole(path: Path, decoding: Generator[Samples, None, SoundInfo]) -> tuple[list[Samples], SoundInfo]:
    """All blocks of a file that a user has named."""
    if not path.exists():
        raise DistillError(f"There is no file {path}: check the name.")
    if not path.is_file():
        raise DistillError(f"{path} is not a file: name the sound files themselves.")
    blocks: list[Samples] = []
    try:
        while True:
            blocks.append(next(decoding))
    except StopIteration as end:
        return blocks, end.value
    except UnusableSound as reason:
        raise DistillError(
            f"{path} cannot be used ({reason}): choose another file, or export it again as WAV."
        ) from reason


def _decode(sound: SoundFile, with_side: bool) -> Generator[Samples, None, SoundInfo]:
    """Blocks of [n, 1], or of [n, 2] with the side; whether there is one is known in any case, at the file's own rate."""
    report = Report()
    blocks = sound.blocks(report)
    surveyed, mixes = _survey(sound, blocks)
    first: Block | None = None
    resamplers: list[Any] = []
    two = any(channels in LAYOUTS and not mix.alone for channels, mix in mixes.items())
    rate, seconds, samples, peak = 0, 0.0, 0, 0.0
    power = np.zeros(2)
    loudest = 0.0
    while True:
        block = surveyed.popleft() if surveyed else next(blocks, None)
        parts: list[list[Samples]] = []
        if resamplers and (block is None or block.rate != rate):
            parts.append([each.resample_chunk(np.empty(0, np.float32), last=True) for each in resamplers])
        if block is not None:
            if first is None or block.rate != rate:
                resamplers = [
                    soxr.ResampleStream(block.rate, SAMPLE_RATE, 1, dtype="float32", quality="VHQ")
                    for _ in range(1 + (two and with_side))
                ]
            first, rate = first or block, block.rate
            seconds += len(block.samples) / rate
            if seconds > MAX_SECONDS:
                raise UnusableSound(f"longer than {MAX_SECONDS // 3600} hours: cut it into parts")
            mix = mixes.get(block.samples.shape[1], Mix())
            mono = mix(block.samples)
            least, most = float(mono.min()), float(mono.max())
            if not (np.isfinite(least) and np.isfinite(most)):  # one that is not, in any channel, makes its mix so
                raise UnusableSound("contains NaN or infinite samples")
            loudest = max(loudest, -least, most)
            planes = [mono, mix.side(block.samples)] if two else [mono]
            power[: len(planes)] += [float(np.square(plane, dtype=np.float64).sum()) / rate for plane in planes]
            parts.append([each.resample_chunk(plane) for each, plane in zip(resamplers, planes, strict=False)])
        for part in parts:
            if len(part[0]):
                samples += len(part[0])
                peak = max(peak, float(np.abs(part[0]).max()))
                yield np.stack(part, axis=1)
        if block is None:
            break
    if first is None:
        raise _nothing(sound, report)
    if samples < MIN_SECONDS * SAMPLE_RATE:
        raise UnusableSound(f"shorter than {MIN_SECONDS * 1000:.0f} ms")
    if not np.isfinite(peak):
        raise UnusableSound("contains NaN or infinite samples")
    if loudest < report.silence or peak == 0.0:
        raise UnusableSound("silent")
    notes = (*sound.notes(report), *sorted({mix.note for mix in mixes.values() if mix.note}))
    stereo = bool(power[1] > 10.0 ** (STEREO_DB / 10.0) * power[0])
    return SoundInfo(first.rate, first.samples.shape[1], samples, peak, notes, stereo)


def _survey(sound: SoundFile, blocks: Iterator[Block]) -> tuple[deque[Block], dict[int, Mix]]:
    """The first blocks, and how to mix each number of channels: that depends on all of the file."""
    powers: dict[int, ChannelPower] = {}

    def gather(block: Block) -> None:
        channels = block.samples.shape[1]
        if channels > 1:
            powers.setdefault(channels, ChannelPower(channels)).add(block.samples, block.rate)

    surveyed: deque[Block] = deque()
    size = 0
    for block in blocks:
        surveyed.append(block)
        gather(block)
        size += block.samples.size
        if size >= SURVEYED_SAMPLES:
            if powers:
                for passage in sound.passages(SURVEYED_PASSAGES):
                    gather(passage)
            break
    return surveyed, {channels: power.mix() for channels, power in powers.items()}


def _nothing(sound: SoundFile, report: Report) -> UnusableSound:
    """Why there is not one sample."""
    if report.refusals:
        return report.refusals[0]
    if report.damage or sound.damaged or sound.is_cut:
        return UnusableSound("damaged: nothing in it can be decoded")
    return UnusableSound("empty: there is a header but no sound")
