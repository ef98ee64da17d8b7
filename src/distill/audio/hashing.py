"""A hash of what a sound file decodes to, whatever stands beside the samples in it and however they are packed. No torch."""

import hashlib
from pathlib import Path

import numpy as np

from distill.audio.decoders import UnusableSound
from distill.audio.reading import MAX_SECONDS
from distill.audio.soundfiles import Report, SoundFile


def samples_sha256(path: Path) -> str:
    """SHA-256 of `RATE CHANNELS` and a line feed in ASCII, then the samples as 32-bit float, little-endian, interleaved.

    At the file's own rate: a WAV and a FLAC of the same samples have the same; an MP3 as its decoder gives it.

    Raises:
        UnusableSound: it is no sound, or longer than any may be.
        OSError: it cannot be opened.
    """
    digest, shape, seconds = hashlib.sha256(), (0, 0), 0.0
    for block in SoundFile(path).blocks(Report()):
        if (block.rate, block.samples.shape[1]) != shape:
            shape = block.rate, block.samples.shape[1]
            digest.update(f"{shape[0]} {shape[1]}\n".encode())
        digest.update(np.ascontiguousarray(block.samples, dtype="<f4").data)
        seconds += len(block.samples) / block.rate
        if seconds > MAX_SECONDS:
            raise UnusableSound(f"longer than {MAX_SECONDS // 3600} hours")
    return digest.hexdigest()
