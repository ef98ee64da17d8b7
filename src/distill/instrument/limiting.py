"""`--max-copy-seconds`: sounds that repeat no stretch of the recordings longer than that."""

import math
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from distill.errors import DistillError
from distill.modelfile.opened import LoadedVQModel
from distill.models.codec import ConvVQVAE
from distill.models.encoding import encode_codes
from distill.models.run_limit import RunLimit, SoundUnderLimit
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import BANDS, COLUMN_SECONDS, FRAMES_PER_COLUMN

_LIMITS: WeakKeyDictionary[ConvVQVAE, dict[float, RunLimit]] = WeakKeyDictionary()
"""Those of models in use, by seconds: a request is made in several batches."""
SILENT_COLUMNS = 24
"""How much silence is listened to, to know its codes."""


def sounds_under_limit(loaded: LoadedVQModel, settings: GenerationSettings, count: int) -> list[SoundUnderLimit] | None:
    """So many sounds that are going to be made under the limit of the settings; None where there is none.

    Raises:
        DistillError: the model does not have the codes of its recordings, or the limit leaves nothing to draw.
    """
    if settings.max_copy_seconds is None:
        return None
    kept = _LIMITS.setdefault(loaded.codec, {})
    if settings.max_copy_seconds not in kept:
        kept[settings.max_copy_seconds] = run_limit(loaded, settings.max_copy_seconds)
    limit = kept[settings.max_copy_seconds]
    return [SoundUnderLimit(limit) for _ in range(count)]


def run_limit(loaded: LoadedVQModel, seconds: float) -> RunLimit:
    """What `seconds` of the recordings at most forbids.

    Raises:
        DistillError: as `sounds_under_limit`.
    """
    codes = [each for each in loaded.codes.values() if isinstance(each, Tensor) and each.ndim == 2 and each.shape[1]]
    if len(codes) < len(loaded.card.corpus_manifest.files):
        raise DistillError(
            f"--max-copy-seconds: {loaded.path.stem} does not hold the codes of its recordings, so they cannot be compared. "
            f"Train its prior again: `distill train-prior {loaded.path.stem} --overwrite`."
        )
    longest = max(BANDS, math.floor(seconds / COLUMN_SECONDS * BANDS + 1e-6))
    limit = RunLimit([each[:, 0].numpy() for each in codes], longest, silent_codes(loaded))
    if limit.most_forbidden >= loaded.card.vqvae_config.codebook_size:
        raise DistillError(
            f"--max-copy-seconds {seconds:g}: the recordings hold everything that is as short as that. Allow more."
        )
    return limit


def silent_codes(loaded: LoadedVQModel) -> list[set[int]]:
    """For each band the coarsest codes that silence has."""
    spectrogram = loaded.card.spectrogram_config
    silence = torch.full((SILENT_COLUMNS * FRAMES_PER_COLUMN, spectrogram.n_mels), spectrogram.floor_db)
    level = loaded.codec.typical_level_db
    codes = encode_codes(loaded.codec, silence.numpy(), float(level), level.device)
    return [set(codes[band::BANDS, 0].tolist()) for band in range(BANDS)]
