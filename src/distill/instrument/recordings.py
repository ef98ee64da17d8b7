"""Recordings that sounds are made from: read, and as codes of a model."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from distill.audio.mel import log_mel_of
from distill.audio.reading import Samples, as_channels, read_planes
from distill.errors import DistillError
from distill.modelfile.opened import LoadedVQModel
from distill.models.encoding import OVERLAP_COLUMNS, encode_codes, level_of
from distill.models.image import image_powers
from distill.places import given_path
from distill.settings.geometry import BANDS, COLUMN_SECONDS, FRAMES_PER_COLUMN, HOP_LENGTH, SAMPLE_RATE

COLUMN = FRAMES_PER_COLUMN * HOP_LENGTH
"""Samples that a column of codes describes."""
AROUND = 1024
"""Samples on either side that a frame sees: half a window."""


class Recording(NamedTuple):
    """A sound that was given."""

    planes: Samples  # [1, N] the middle, or [2, N] middle and side, at 48 kHz
    name: str

    @property
    def samples(self) -> int:
        """How long it is."""
        return len(self.planes[0])

    def channels(self, count: int) -> Tensor:
        """[count, N]: left and right, or the middle alone."""
        heard = self.planes[:1] if count == 1 else as_channels(self.planes)
        return torch.from_numpy(np.ascontiguousarray(heard)).expand(count, -1)

    def part(self, first: int, last: int) -> "Recording":
        """Samples first .. last - 1, with silence where there are none."""
        inside = self.planes[:, max(first, 0) : max(min(last, self.samples), 0)]
        around = (min(max(-first, 0), last - first), 0)
        padded = np.pad(inside, ((0, 0), around))
        return self._replace(planes=np.pad(padded, ((0, 0), (0, last - first - padded.shape[1]))))


def read_recording(file: str | Path) -> Recording:
    """A file as a recording.

    Raises:
        DistillError: there is none, or it is no sound.
    """
    path = given_path(file)
    return Recording(read_planes(path)[0], path.name)


def check_a_column(recording: Recording, flag: str) -> None:
    """Raise a `DistillError` for a recording that is shorter than a column of codes."""
    if recording.samples < COLUMN:
        raise DistillError(
            f"{flag} {recording.name}: it has {recording.samples / SAMPLE_RATE:.3f} seconds, and less than "
            f"{COLUMN_SECONDS:.2f} say too little to start from. Give a longer sound."
        )


def mel_of(loaded: LoadedVQModel, recording: Recording) -> Tensor:
    """[M, T] dB."""
    return log_mel_of(recording.planes[0], loaded.card.spectrogram_config)


def level_of_all(loaded: LoadedVQModel, recordings: tuple[Recording, ...]) -> float:
    """The loudest mel cell of recordings in dB: what all of them are coded under, so that they stay as loud beside each
    other."""
    return max(level_of(mel_of(loaded, each).T.numpy()) for each in recordings)


def encode_recording(loaded: LoadedVQModel, recording: Recording, level_db: float) -> Tensor:
    """Its codes [S, Q], on the CPU; of a stereo model with the level of the image."""
    frames = mel_of(loaded, recording).T.numpy()
    codes = encode_codes(loaded.codec, frames, level_db, loaded.codec.typical_level_db.device).cpu()
    if loaded.image is None:
        return codes
    side = recording.planes[1] if len(recording.planes) > 1 else None
    image = loaded.image.encode(image_powers(recording.planes[0], side))
    return torch.cat([codes, image[:, None]], dim=1)


def codes_before(loaded: LoadedVQModel, recording: Recording, stop: int, most: int, level_db: float) -> Tensor:
    """The codes of whole columns, `most` at most, that end just at a sample. What would follow is taken for what was
    before, backwards, so that the last of them says nothing of an end."""
    count = min(stop // COLUMN, most)
    if not count:
        return torch.zeros(0, _levels(loaded), dtype=torch.long)
    heard = min(stop // COLUMN, count + OVERLAP_COLUMNS)
    part = recording.planes[:, stop - heard * COLUMN : stop]
    going_on = np.pad(part, ((0, 0), (0, AROUND)), mode="reflect")
    codes = encode_recording(loaded, recording._replace(planes=going_on), level_db)
    return codes[(heard - count) * BANDS : heard * BANDS]


def codes_from(loaded: LoadedVQModel, recording: Recording, start: int, most: int, level_db: float) -> Tensor:
    """The codes of columns, `most` at most, that begin just at a sample."""
    if start >= recording.samples:
        return torch.zeros(0, _levels(loaded), dtype=torch.long)
    before = COLUMN if start >= COLUMN else 0
    part = recording.planes[:, start - before : start + (most + OVERLAP_COLUMNS) * COLUMN]
    codes = encode_recording(loaded, recording._replace(planes=part), level_db)
    return codes[before // COLUMN * BANDS :][: most * BANDS]


def _levels(loaded: LoadedVQModel) -> int:
    return loaded.card.vqvae_config.rvq_levels + (loaded.image is not None)
