"""Sound files in and out: any rate and channel count to mono 48 kHz, and 24-bit files back. No torch."""

import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from distill.audio.headers import UnsizedAsStreamed, data_chunk, ogg_is_cut
from distill.errors import DistillError
from distill.settings.geometry import SAMPLE_RATE

SUFFIXES = frozenset(
    {
        ".wav",
        ".wave",
        ".bwf",
        ".rf64",
        ".aif",
        ".aiff",
        ".aifc",
        ".flac",
        ".ogg",
        ".oga",
        ".opus",
        ".mp3",
        ".au",
        ".snd",
        ".caf",
    }
)
"""What counts as a sound by its name, in lower case; whether it is one, libsndfile decides by the content."""

MAX_CHANNELS = 64
RATE_LIMITS_HZ = (1_000, 768_000)
MAX_SECONDS = 6 * 3600
MIN_SECONDS = 0.02
SILENCE = 1e-4
"""A peak below this (-80 dB) is silence, dithered or not."""
BLOCK_SAMPLES = 2**18
"""Samples of all channels, or of the 48 kHz result, held at a time."""
MISSING_TOLERANCE_SECONDS = {"MP3": 0.1}
"""How much less than promised still counts as whole: an MP3's header may count the encoder's padding. Else 10 ms."""

Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SoundInfo:
    """What was found while decoding a file."""

    native_rate: int
    channels: int
    samples: int
    """Of the mono mix at 48 kHz."""
    peak: float
    """Largest absolute sample of the mono mix at 48 kHz; 1.0 is full scale."""


class UnusableSound(Exception):
    """Why a file cannot be learned from, in plain words and without the file's name."""


def decode_blocks(path: Path) -> Generator[Samples, None, SoundInfo]:
    """The file as mono 48 kHz in blocks of [n], n <= about BLOCK_SAMPLES; a `SoundInfo` when it is read to the end.

    Channels are averaged, then resampled by soxr (VHQ) as a stream, so memory does not grow with the file.
    What can only be known at the end (silent, too short, cut off) is raised after the last block.

    Raises:
        UnusableSound: the reason is its text.
    """
    try:
        with _opened(path) as sound:
            return (yield from _decode(sound))
    except OSError as error:
        raise UnusableSound(f"cannot be read: {(error.strerror or str(error)).lower()}") from error


def read_audio(path: Path) -> tuple[Samples, SoundInfo]:
    """A whole file as [N] mono 48 kHz.

    Raises:
        DistillError: there is no such file, or it cannot be used.
    """
    if not path.exists():
        raise DistillError(f"There is no file {path}: check the name.")
    if not path.is_file():
        raise DistillError(f"{path} is not a file: name the sound files themselves.")
    blocks: list[Samples] = []
    decoding = decode_blocks(path)
    try:
        while True:
            blocks.append(next(decoding))
    except StopIteration as end:
        info: SoundInfo = end.value
    except UnusableSound as reason:
        raise DistillError(
            f"{path} cannot be used, {reason}: choose another file, or export it again as WAV."
        ) from reason
    return np.concatenate(blocks), info


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """Read from start to end only: seeking after every read fails on a streamed FLAC, and costs time in MP3 and OGG."""

    def seekable(self) -> bool:
        return False


@contextmanager
def _opened(path: Path) -> Iterator[_Forward]:
    with path.open("rb") as stream:
        file_size = os.fstat(stream.fileno()).st_size
        if file_size == 0:
            raise UnusableSound("empty: the file has 0 bytes")
        chunk = data_chunk(stream, file_size)
        cut_ogg = ogg_is_cut(stream, file_size)
        stream.seek(0)
        # libsndfile takes the name's bytes on POSIX, so that a name that is not UTF-8 works too.
        source: Any = os.fsencode(path.absolute()) if os.name == "posix" else str(path)
        if chunk is not None and chunk.unsized:
            source = UnsizedAsStreamed(stream, chunk.size_position)
        with _open(source) as sound:
            _check_header(sound)
            if chunk is not None and chunk.promised is not None and 0 < chunk.held < chunk.promised:
                held_seconds = sound.frames / sound.samplerate
                _check_whole(held_seconds * chunk.promised / chunk.held, held_seconds, sound.format)
            if cut_ogg:
                raise UnusableSound("truncated: the file ends in the middle of a page")
            yield sound


def _open(source: Any) -> _Forward:
    try:
        return _Forward(source)
    except soundfile.LibsndfileError as error:
        words = _decoder_words(error)
        named = any(
            word in words.lower()
            for word in ("malformed", "wav file", "aiff", "flac", "ogg", "vorbis", "opus", "lost sync")
        )
        raise UnusableSound(f"damaged or truncated: {words}" if named else "not an audio file") from error


def _check_header(sound: _Forward) -> None:
    low, high = RATE_LIMITS_HZ
    if not 1 <= sound.channels <= MAX_CHANNELS:
        raise UnusableSound(f"it has {sound.channels} channels, more than the {MAX_CHANNELS} that can be mixed")
    if not low <= sound.samplerate <= high:
        raise UnusableSound(f"its sample rate of {sound.samplerate} Hz is outside {low} to {high} Hz")


def _check_whole(promised: float, held: float, container: str) -> None:
    """Raise if a file holds fewer seconds than its header promises."""
    if promised - held > MISSING_TOLERANCE_SECONDS.get(container, 0.01) or held < 0.5 * promised:
        raise UnusableSound(f"truncated: the header promises {_seconds(promised)}, the file holds {_seconds(held)}")


def _decode(sound: _Forward) -> Generator[Samples, None, SoundInfo]:
    rate, channels, promised_frames = sound.samplerate, sound.channels, sound.frames
    resampler = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32", quality="VHQ")
    block_frames = max(64, int(BLOCK_SAMPLES / max(channels, SAMPLE_RATE / rate)))
    frames = samples = 0
    peak = channel_peak = 0.0
    last = False
    while not last:
        try:
            block = sound.read(block_frames, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise UnusableSound(f"damaged or truncated: the decoder stopped after {_seconds(frames / rate)}") from error
        last = len(block) == 0
        frames += len(block)
        if frames > MAX_SECONDS * rate:
            raise UnusableSound(f"longer than {MAX_SECONDS // 3600} hours: cut it into parts")
        if not np.isfinite(block).all():
            raise UnusableSound("contains NaN or infinite samples")
        channel_peak = max(channel_peak, float(np.abs(block).max(initial=0.0)))
        # Mixed in float64: loud float files must not overflow before they are judged.
        mono = block.mean(axis=1, dtype=np.float64).astype(np.float32)
        resampled = resampler.resample_chunk(mono, last=last)
        if len(resampled):
            samples += len(resampled)
            peak = max(peak, float(np.abs(resampled).max()))
            yield resampled
    if promised_frames < 2**62:  # libsndfile's "unknown" is 2**63 - 1
        _check_whole(promised_frames / rate, frames / rate, sound.format)
    _check_sound(frames, samples, peak, channel_peak)
    return SoundInfo(native_rate=rate, channels=channels, samples=samples, peak=peak)


def _check_sound(frames: int, samples: int, peak: float, channel_peak: float) -> None:
    if frames == 0:
        raise UnusableSound("empty: there is a header but no sound")
    if samples < MIN_SECONDS * SAMPLE_RATE:
        raise UnusableSound(f"shorter than {MIN_SECONDS * 1000:.0f} ms")
    if not np.isfinite(peak):
        raise UnusableSound("contains NaN or infinite samples")
    if channel_peak >= SILENCE > peak:
        raise UnusableSound("silent as a mono mix: its channels cancel each other, invert one of them")
    if peak < SILENCE:
        raise UnusableSound("silent")


def _seconds(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 1 else f"{seconds:.1f} s" if seconds < 1e6 else f"{seconds:.0e} s"


def _decoder_words(error: soundfile.LibsndfileError) -> str:
    return str(error.error_string).removeprefix("Error : ").strip().rstrip(".")
