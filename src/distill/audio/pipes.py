"""Sound into a pipe, which nobody can go back in: raw samples, or WAV with a header that says so. No torch."""

import struct
from typing import BinaryIO, Literal

import numpy as np
import numpy.typing as npt

from distill.audio.reading import Samples
from distill.audio.writing import whole_numbers
from distill.settings.geometry import SAMPLE_RATE

PipeFormat = Literal["raw", "wav"]
UNKNOWN = 0xFFFF_FFFF
"""The size that WAV headers name where nobody knows it yet; players then read to the end."""
HEADER_BYTES = 36
PCM, BITS = 1, 24
SAID = {"raw": "32-bit float little-endian samples without a header", "wav": "WAV of 24 bit"}
"""What each is."""


def wav_header(channels: int, samples: int | None, rate: int = SAMPLE_RATE) -> bytes:
    """The header of a WAV of 24 bit.

    Args:
        samples: how many there will be; None, or more than such a header can say: not known.
    """
    frame = channels * BITS // 8
    size = UNKNOWN if samples is None else samples * frame
    known = size < UNKNOWN - HEADER_BYTES - 1
    riff, data = (HEADER_BYTES + size + size % 2, size) if known else (UNKNOWN, UNKNOWN)
    described = struct.pack("<4sIHHIIHH", b"fmt ", 16, PCM, channels, rate, rate * frame, frame, BITS)
    return struct.pack("<4sI4s", b"RIFF", riff, b"WAVE") + described + struct.pack("<4sI", b"data", data)


class Pipe:
    """Where sound goes block after block."""

    def __init__(self, stream: BinaryIO, form: PipeFormat, channels: int, samples: int | None) -> None:
        """
        Args:
            samples: how many there will be, if that is known.
        """
        self.stream, self.form, self.channels = stream, form, channels
        self.written = 0
        """Samples so far."""
        if form == "wav":
            stream.write(wav_header(channels, samples))

    def write(self, block: Samples) -> None:
        """[channels, N], heard as soon as who reads it likes.

        Raises:
            BrokenPipeError: nobody reads any more.
        """
        self.stream.write(_packed(block.T) if self.form == "wav" else np.ascontiguousarray(block.T, "<f4").tobytes())
        self.stream.flush()
        self.written += block.shape[1]

    def close(self) -> None:
        """Nothing more comes."""
        if self.form == "wav" and self.written * self.channels * BITS // 8 % 2:
            self.stream.write(b"\0")  # chunks have an even number of bytes
            self.stream.flush()


def _packed(samples: npt.NDArray[np.floating]) -> bytes:
    """[N, channels] -> three bytes each."""
    four = whole_numbers(samples).astype("<i4").tobytes()  # the lowest byte is nothing
    return np.frombuffer(four, np.uint8).reshape(-1, 4)[:, 1:].tobytes()
