"""Variations of a recording: some of its codes drawn anew, and what the codes leave out of it kept where they stay."""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from distill.audio.bandwidth import below_nyquist
from distill.audio.griffin_lim import Synthesiser
from distill.audio.loudness import HIGHEST_DB, limited, normalised
from distill.audio.master import finish
from distill.instrument.asked import Asked
from distill.instrument.decoding import decoded_mel, grained, image_at
from distill.instrument.recordings import encode_recording, level_of_all, mel_of
from distill.modelfile.opened import LoadedVQModel
from distill.models.canvas import Canvas
from distill.models.codec import ConvVQVAE
from distill.models.grain import residual
from distill.models.image import as_heard
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import BANDS, FRAMES_PER_COLUMN, SAMPLE_RATE


class Source(NamedTuple):
    """A recording that is varied."""

    codes: Tensor  # [S, Q]
    left_out: Tensor  # [M, T] dB, what its codes leave out of it; T whole columns
    level_db: float
    samples: int


def source_of(loaded: LoadedVQModel, asked: Asked) -> Source:
    """A recording as its codes and what they leave out."""
    (recording,) = asked.recordings
    level_db = level_of_all(loaded, asked.recordings)
    codes = encode_recording(loaded, recording, level_db)
    mel = ConvVQVAE.pad_to_columns(mel_of(loaded, recording) - level_db)
    return Source(codes, residual(mel, decoded_mel(loaded, codes, level_db) - level_db), level_db, recording.samples)


def render_variation(
    loaded: LoadedVQModel,
    source: Source,
    canvas: Canvas,
    codes: Tensor,
    synthesise: Synthesiser,
    generator: torch.Generator,
    settings: GenerationSettings,
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """A variation of codes [S, Q]: [channels, N], as long as the recording, safe to play.

    Where the coarsest code of a position stays, so does what the codes leave out; elsewhere grain is drawn.
    """
    decoded = decoded_mel(loaded, codes, source.level_db)
    coarse = canvas.free[:, 0].view(-1, BANDS).T  # [bands, C]
    rows = loaded.card.spectrogram_config.n_mels // BANDS
    anew = coarse.repeat_interleave(rows, 0).repeat_interleave(FRAMES_PER_COLUMN, 1)
    floor = loaded.card.spectrogram_config.floor_db
    kept = (decoded + source.left_out).clamp(floor, source.level_db)
    drawn = grained(loaded, decoded, source.level_db, generator, settings)
    frames = loaded.card.spectrogram_config.frames(source.samples)
    mel = torch.where(anew, drawn, kept)[:, :frames]
    samples = synthesise(mel, generator)[: source.samples]
    middle = below_nyquist(samples, loaded.card.corpus_manifest.highest_rate)
    image = None if settings.mono else image_at(loaded, codes, torch.arange(frames) + 0.5)
    heard = limited(as_heard(middle, image), HIGHEST_DB)  # peaks alone: it stays as loud as the recording
    return finish(normalised(heard) if settings.level == "normalise" else heard, SAMPLE_RATE).numpy()
