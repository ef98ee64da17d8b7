"""Two decoders behind one interface: libsndfile for what it reads, FFmpeg (PyAV) for everything else.

A file from a stranger must neither read other files nor reach the network, nor be taken for what it is not: FFmpeg is told what
kind of file it gets, gets no name, and may open nothing else.
"""

import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Self

import numpy as np
import numpy.typing as npt
import soundfile

from distill.audio.pieces import Pieces
from distill.audio.recordings import Recording
from distill.settings.geometry import SAMPLE_RATE

if TYPE_CHECKING:
    from av.audio.codeccontext import AudioCodecContext
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream

Samples = npt.NDArray[np.float32]

BLOCK_SAMPLES = 2**18
"""Samples of all channels, or of the 48 kHz result, held at a time."""
MAX_CHANNELS = 64
RATE_LIMITS_HZ = (1_000, 768_000)
LOSSY_SILENCE = 1e-4
"""A peak below this is what is left of silence in a lossy format, or dither in 16 bit."""
FLOAT_SILENCE = 1e-7
COARSE_STEPS = 1.5
MOST_IDLE = 10_000
"""Packets one after the other that bring no sample after which a file is given up: a damaged one may claim any number."""
PROTECTED = ("drms", "enca", "aavd")
"""How MP4 marks sound that is encrypted."""
_LOSSLESS = ("flac", "alac", "wavpack", "ape", "tta", "tak", "shorten", "wmalossless", "truehd", "mlp", "mp4als")
_SUBTYPE_BITS = {"PCM_S8": 8, "PCM_U8": 8, "PCM_16": 16, "PCM_24": 24, "PCM_32": 32, "FLOAT": 32, "DOUBLE": 32,
                 "ALAC_16": 16, "ALAC_20": 20, "ALAC_24": 24, "ALAC_32": 32}  # fmt: skip


class UnusableSound(Exception):
    """Why a file cannot be learned from, in plain words and without the file's name."""


class CannotOpen(Exception):
    """A decoder does not read this file; its text says why, for a sentence."""


class Block(NamedTuple):
    """Some of a sound, one after the other."""

    samples: Samples
    """[n, channels], 1.0 is full scale."""
    rate: int


class Broken(Exception):
    """The decoder cannot go on in the middle of the sound."""


def silence_below(bits: int) -> float:
    """The peak below which a sound of this many bits (0: lossy) is silent: what its own rounding and dither can make."""
    if bits == 0 or bits == 16:
        return LOSSY_SILENCE
    return FLOAT_SILENCE if bits >= 32 else COARSE_STEPS * 2.0 ** (1 - bits) * (1 if bits < 16 else 2)


def check_shape(channels: int, rate: int) -> None:
    """Raise `UnusableSound` where a sound has more channels than can be mixed, or an impossible rate."""
    low, high = RATE_LIMITS_HZ
    if not 1 <= channels <= MAX_CHANNELS:
        raise UnusableSound(f"it has {channels} channels, more than the {MAX_CHANNELS} that can be mixed")
    if not low <= rate <= high:
        raise UnusableSound(f"its sample rate of {rate} Hz is outside {low} to {high} Hz")


class _Forward(soundfile.SoundFile):  # type: ignore[misc]
    """Read from start to end only: seeking after every read fails on a streamed FLAC, and costs time in MP3 and OGG."""

    def seekable(self) -> bool:
        return False


class Libsndfile:
    """A recording through libsndfile."""

    def __init__(self, path: Path, recording: Recording) -> None:
        """Open it.

        Raises:
            CannotOpen: libsndfile does not read it.
            UnusableSound: it has an impossible shape.
        """
        self._pieces: Pieces | None = None
        # libsndfile takes the name's bytes on POSIX, so that a name that is not UTF-8 works too.
        source: Any = os.fsencode(path.absolute()) if os.name == "posix" else str(path)
        if not recording.whole_file:
            source = self._pieces = Pieces(path, recording.pieces)
        try:
            self._sound = _Forward(source)
        except soundfile.LibsndfileError as error:
            self._close_pieces()
            raise CannotOpen(str(error.error_string).removeprefix("Error : ").strip().rstrip(".")) from error
        try:
            if self._sound.format in ("RAW", "MP3"):
                raise CannotOpen("a guess, or what libsndfile is not asked for")
            check_shape(self._sound.channels, self._sound.samplerate)
        except BaseException:
            self.close()
            raise
        self.rate: int = self._sound.samplerate
        self.channels: int = self._sound.channels
        known = self._sound.frames < 2**62  # libsndfile's "unknown" is 2**63 - 1
        self.promised: float | None = self._sound.frames / self.rate if known else None
        self.silence = silence_below(_SUBTYPE_BITS.get(self._sound.subtype, 0))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._sound.close()
        self._close_pieces()

    def _close_pieces(self) -> None:
        if self._pieces is not None:
            self._pieces.close()

    def blocks(self) -> Iterator[Block]:
        """The sound from its start.

        Raises:
            Broken: libsndfile cannot go on.
        """
        frames = max(64, int(BLOCK_SAMPLES / max(self.channels, SAMPLE_RATE / self.rate)))
        while len(block := self._read(frames).samples):
            yield Block(block, self.rate)

    def passages(self, count: int) -> Iterator[Block]:
        """`count` half seconds from all over the sound.

        Raises:
            Broken: libsndfile cannot go there.
        """
        for number in range(count):
            try:
                self._sound.seek(self._sound.frames * number // count)
            except (soundfile.LibsndfileError, ValueError) as error:
                raise Broken from error
            yield self._read(self.rate // 2)

    def _read(self, frames: int) -> Block:
        try:
            return Block(self._sound.read(frames, dtype="float32", always_2d=True), self.rate)
        except soundfile.LibsndfileError as error:
            raise Broken from error


class FFmpeg:
    """A recording through FFmpeg: its best sound track. Pictures are not decoded."""

    def __init__(self, path: Path, recording: Recording) -> None:
        """Open it.

        Raises:
            CannotOpen: FFmpeg does not read it.
            UnusableSound: there is no sound in it, it cannot be decoded, or it has an impossible shape.
        """
        import av

        av.logging.set_level(None)
        self.failures = 0
        self.gap = 0.0
        """Seconds that the times in the file say are missing between the first sample and the last."""
        kind = recording.kind
        if not kind.demuxer:
            raise CannotOpen(f"{kind.name} is for libsndfile")
        self._pieces = Pieces(path, recording.pieces)
        limits = {"format_whitelist": kind.demuxer, "codec_whitelist": _sound_codecs(), "protocol_whitelist": "none"}
        try:
            self._container = av.open(
                self._pieces, "r", kind.demuxer, container_options=limits, metadata_errors="ignore", io_open=_refuse
            )  # fmt: skip
        except (av.error.FFmpegError, ValueError, OverflowError) as error:
            self._pieces.close()
            raise CannotOpen("its header is damaged") from error
        try:
            self._stream = self._best_track(kind.name)
            context = self._stream.codec_context
            if not (context.channels and context.sample_rate):
                raise UnusableSound("damaged: nothing in it can be decoded")
            check_shape(context.channels, context.sample_rate)
        except BaseException:
            self.close()
            raise
        self.tracks = len(self._container.streams.audio)
        self.promised = self._promised() if kind.says_length else None
        self.silence = self._silence()
        self._delay = recording.delay

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._container.close()
        self._pieces.close()

    def _best_track(self, kind: str) -> "AudioStream":
        tracks = list(self._container.streams.audio)
        if not tracks:
            raise UnusableSound("not a sound: there is no sound track in it")
        for track in tracks:
            context = track.codec_context
            if context is not None and _tag(context) not in PROTECTED:
                context.thread_count = 1
                return track
        raise UnusableSound(f"a kind of sound that cannot be read ({kind}): convert it to WAV or FLAC")

    def _promised(self) -> float | None:
        stream, container = self._stream, self._container
        if stream.duration and stream.time_base is not None:
            return float(stream.duration * stream.time_base)
        return container.duration / 1e6 if container.duration else None

    def _silence(self) -> float:
        context = self._stream.codec_context
        if not context.name.startswith((*_LOSSLESS, "pcm_")) or context.format is None:
            return silence_below(0)
        name = context.format.name.removesuffix("p")
        return silence_below({"u8": 8, "s16": 16, "s32": 24}.get(name, 32))

    def blocks(self) -> Iterator[Block]:
        """The sound from its start; what cannot be decoded is left out and counted, and is not the end."""
        parts: list[Samples] = []
        rate = held = 0
        began: float | None = None
        seconds = 0.0
        for frame in self._frames():
            samples = _floats(frame)
            check_shape(samples.shape[1], frame.sample_rate)
            seconds += len(samples) / frame.sample_rate
            if frame.time is not None:
                began = frame.time if began is None else began
                self.gap = frame.time + len(samples) / frame.sample_rate - began - seconds
            if self._delay:
                taken = min(self._delay, len(samples))
                samples, self._delay = samples[taken:], self._delay - taken
            if parts and (
                frame.sample_rate != rate or samples.shape[1] != parts[0].shape[1] or held >= BLOCK_SAMPLES // 4
            ):
                yield Block(np.concatenate(parts), rate)
                parts, held = [], 0
            if len(samples):
                parts.append(samples)
                rate, held = frame.sample_rate, held + samples.size
        if parts:
            yield Block(np.concatenate(parts), rate)

    def _frames(self) -> Iterator["AudioFrame"]:
        import av

        packets, idle = self._container.demux(self._stream), 0
        while idle < MOST_IDLE:
            idle += 1
            packet = None
            try:
                packet = next(packets, None)
                frames = self._stream.codec_context.decode(packet)
            except EOFError:
                return
            except av.error.FFmpegError:
                self.failures += 1
                if packet is None:  # what takes the file apart stumbled: it goes on behind
                    packets = self._container.demux(self._stream)
                continue
            for frame in frames:
                idle = 0
                yield frame
            if packet is None:
                return


def _tag(context: "AudioCodecContext") -> str:
    try:
        return context.codec_tag
    except UnicodeDecodeError:  # four bytes that are no text
        return ""


def _refuse(url: str, *_how: object) -> NoReturn:
    """A sound opens no other file and no address."""
    raise PermissionError(f"a sound may not open {url}")


@lru_cache(maxsize=1)
def _sound_codecs() -> str:
    """The names of all of FFmpeg's decoders of sound: no picture is decoded, not even to find out its size."""
    import av

    names = []
    for name in sorted(av.codecs_available):
        try:
            if av.Codec(name, "r").type == "audio":
                names.append(name)
        except ValueError:  # an encoder
            continue
    return ",".join(names)


def _floats(frame: "AudioFrame") -> Samples:
    """A frame as [n, channels]."""
    raw = frame.to_ndarray()
    samples: npt.NDArray[Any] = raw.T if frame.format.is_planar else raw.reshape(frame.samples, -1)
    if samples.dtype.kind == "f":
        return samples.astype(np.float32)
    middle = 128.0 if samples.dtype == np.uint8 else 0.0
    scaled: Samples = ((samples - middle) / 2.0 ** (8 * samples.dtype.itemsize - 1)).astype(np.float32)
    return scaled
