"""What is compared: sounds as log-mels, as they are or as the codec hears them.

What a model makes has been through its codec, so it is compared with recordings that have been through it too: neither is
nearer to the corpus for being smooth.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional as F

from distill.models.codec import ConvVQVAE
from distill.models.encoding import decode_codes
from distill.settings.geometry import BANDS, FRAMES_PER_COLUMN, HOP_LENGTH, SAMPLE_RATE

RANGE_DB = 50.0
"""How far under a sound's loudest cell there is something to hear."""
WIDE_DB = 90.0
"""As far down mels are kept: what is soft beside something loud is looked at by itself."""
QUIET_DB = 35.0
"""What lies further under the loudest cell than this is silence: what comes before a sound and after it."""
PIECE_FRAMES = 96
"""Longer sounds are judged piece by piece: 1.02 s."""
FRAME_SECONDS = HOP_LENGTH / SAMPLE_RATE


@dataclass(frozen=True)
class Heard:
    """A sound, or a piece of one."""

    name: str
    mel: Tensor
    """[T, M] dB under its loudest cell, at most `WIDE_DB`."""
    group: int = -1
    """Sounds of one group are one recording: never a baseline for each other; -1: of none of the model's."""
    begins_frame: int = 0
    """Where in its sound it begins."""

    @property
    def begins(self) -> float:
        """Where in its sound it begins, in seconds."""
        return self.begins_frame * FRAME_SECONDS


def floored(mel: Tensor, range_db: float = RANGE_DB) -> Tensor:
    """[T, M] dB -> dB under the loudest cell, at most `range_db`."""
    return (mel.float() - mel.max()).clamp_min(-range_db)


def as_decoded(codec: ConvVQVAE, codes: Tensor, frames: int | None = None, range_db: float = RANGE_DB) -> Tensor:
    """Codes [S, Q'] -> the log-mel [T, M] that the codec's levels of them decode to, `frames` of it, floored."""
    device = codec.typical_level_db.device
    mel = decode_codes(codec, codes[:, : codec.config.rvq_levels].to(device), 0.0).cpu().T
    return floored(mel[: len(mel) if frames is None else max(1, frames)], range_db)


def pieces(sound: Heard) -> Iterator[Heard]:
    """A sound without the silence around it, in pieces of about `PIECE_FRAMES`; silent ones are left out."""
    audible = (sound.mel.amax(1) > 1.0 - RANGE_DB).nonzero()[:, 0]
    first, stop = int(audible[0]), int(audible[-1]) + 1
    count = max(1, round((stop - first) / PIECE_FRAMES))
    for number in range(count):
        begin = first + number * PIECE_FRAMES
        end = stop if number == count - 1 else begin + PIECE_FRAMES
        mel = sound.mel[begin:end]
        if float(mel.max()) > -QUIET_DB:
            yield Heard(sound.name, floored(mel, WIDE_DB), sound.group, sound.begins_frame + begin)


def loud_columns(mel: Tensor, count: int) -> Tensor:
    """Log-mel [T, M], floored -> [count] bool: the columns in which there is something to hear."""
    loudest = mel.amax(1)[: count * FRAMES_PER_COLUMN]
    loudest = F.pad(loudest, (0, count * FRAMES_PER_COLUMN - len(loudest)), value=-RANGE_DB)
    return loudest.view(count, FRAMES_PER_COLUMN).amax(1) > -QUIET_DB


def positions_in_seconds(positions: int) -> float:
    """How long a run of positions lasts."""
    return positions / BANDS * FRAMES_PER_COLUMN * FRAME_SECONDS
