"""What is learned with the prior, from the same sounds, beside their codes: where they end, how loud they are, their grain,
and the scales of wishes."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch

from distill.audio.loudness import peak_db, rms_db
from distill.audio.reading import as_channels
from distill.audio.traits import TRAITS
from distill.audio.wished import Quantiles
from distill.corpus.sounds import Corpus
from distill.modelfile.card import MOST_KIND_FILES
from distill.models.codec import ConvVQVAE
from distill.models.encoding import decode_codes, level_of
from distill.models.endings import fit_endings
from distill.models.grain import Difference, DrawnGrain, residual
from distill.models.loudness import fit_loudness
from distill.models.release import end_db
from distill.models.widths import lost_db, width_db
from distill.settings.auto import Resolved
from distill.settings.geometry import BANDS, FRAMES_PER_COLUMN, HOP_LENGTH, SAMPLE_RATE, columns
from distill.settings.prior import PriorSettings
from distill.training.prior.codes import CodeSequences

GRAIN_FRAMES, GRAIN_FILE_FRAMES = 60_000, 4_000
"""Frames that the grain is measured on: of all files (11 minutes), and of each at most."""
LOUDNESS_SAMPLES = 2**22
"""Samples of a file that its loudness is measured on at most (87 s)."""


def learned_endings(codec: ConvVQVAE, sequences: CodeSequences) -> dict[str, Any]:
    """Keys of the model's file: where in their last column the training files and their views end."""
    ends = []
    for view in (view for views in sequences.train for view in views):
        frames = 0 if view.frames is None else view.frames - (len(view.codes) // BANDS - 1) * FRAMES_PER_COLUMN
        if 0 < frames <= FRAMES_PER_COLUMN:
            ends.append((view.codes[:, : codec.config.rvq_levels], frames))
    if not ends:
        return {}
    return {"has_endings": True, "endings_state_dict": dict(fit_endings(codec, ends).state_dict())}


def learned_loudness(codec: ConvVQVAE, corpus: Corpus, sequences: CodeSequences) -> dict[str, Any]:
    """Keys of the model's file: how loud the training files are."""
    sounds = []
    for file, codes in zip(corpus.manifest.train, sequences.train_codes, strict=True):
        stored, peak = corpus.audio(file)
        samples = torch.from_numpy(np.array(stored[:LOUDNESS_SAMPLES], dtype=np.float32)) * peak
        sounds.append((codes[:, : codec.config.rvq_levels], rms_db(samples), peak_db(samples)))
    return {"has_loudness": True, "loudness_state_dict": dict(fit_loudness(codec, sounds).state_dict())}


def recorded_widths(corpus: Corpus) -> list[tuple[float, float]]:
    """Of each training file that is at hand and has a stereo image side over middle, and what a band loses in the mix, in dB."""
    found = []
    for file in corpus.manifest.train:
        stored = corpus.side(file) if corpus.has(file) else None
        if stored is not None:
            planes = [np.array(each[:LOUDNESS_SAMPLES], np.float32) for each in (corpus.audio(file)[0], stored)]
            channels = torch.from_numpy(as_channels(np.stack(planes)))
            found.append((width_db(channels), lost_db(channels)))
    return found


def recorded_ends(corpus: Corpus) -> list[float]:
    """Of each training file that is at hand how loud its last 20 ms are beside its loudest, in dB."""
    stored = [corpus.audio(file)[0][-LOUDNESS_SAMPLES:] for file in corpus.manifest.train if corpus.has(file)]
    return [end_db(torch.from_numpy(np.array(each, np.float32))[None]) for each in stored]


def with_wishes(settings: PriorSettings, sequences: CodeSequences) -> PriorSettings:
    """Settings of a prior that learns to follow wishes, as far as the recordings are there to be described."""
    described = any(views[0].traits is not None for views in sequences.train)
    again = any(view.period for views in sequences.train for view in views)
    return settings.model_copy(
        update={"traits": described, "kinds": len(sequences.kind_names), "periods": again and settings.both_sides}
    )


def settled(resolved: Resolved[PriorSettings], sequences: CodeSequences, resumed: bool) -> Resolved[PriorSettings]:
    """What a prior is trained with, now that the recordings have been heard.

    Loops have the best epoch before half of the usual ones; the steps must be small by then, or no period is followed. A
    number of epochs that was asked for stays, and so does that of a training that goes on.
    """
    settings = with_wishes(resolved.settings, sequences)
    if settings.periods and not resumed and resolved.origin.get("epochs") != "set":
        settings = settings.model_copy(update={"epochs": max(1, settings.epochs // 2)})
    return replace(resolved, settings=settings)


def learned_scales(sequences: CodeSequences) -> dict[str, Any]:
    """Keys of the model's file: the corpus's own range of what may be wished for, and the names of its kinds."""
    files = [views[0] for views in sequences.train]
    whole = torch.stack([torch.full((len(TRAITS),), torch.nan) if file.whole is None else file.whole for file in files])
    columns_of = torch.tensor([len(file.codes) // BANDS for file in files])
    onsets = (whole[:, TRAITS.index("onsets")] * columns_of).round()
    values = {name: whole[:, place] for place, name in enumerate(TRAITS)}
    values["onsets"] = torch.unique(
        onsets[~onsets.isnan()]
    )  # most one-shots have one: shares of files would say nothing
    values["length"] = torch.tensor([(file.frames or torch.nan) * HOP_LENGTH / SAMPLE_RATE for file in files])
    scales = {name: Quantiles.of(each) for name, each in values.items()}
    known = {name: tuple(scale.points.tolist()) for name, scale in scales.items() if scale.known}
    found: dict[str, Any] = {"kinds": list(sequences.kind_names), "trait_quantiles": known, "kind_files": 0}
    found["periods"] = [period for views in sequences.train for period in sorted({view.period for view in views} - {0})]
    if sequences.kind_names and sequences.mean_mels is not None:
        mels, kinds = sequences.mean_mels[:MOST_KIND_FILES], torch.tensor(sequences.kinds[:MOST_KIND_FILES])
        found |= {"kind_files": len(mels), "kinds_state_dict": {"mean_mels": mels.contiguous(), "of_file": kinds}}
    return found


@torch.no_grad()
def measured_grain(codec: ConvVQVAE, corpus: Corpus, sequences: CodeSequences) -> dict[str, Any]:
    """Keys of the model's file: what is left of the training files when their codes are decoded."""
    device = codec.typical_level_db.device
    differences, left = [], GRAIN_FRAMES
    for file, codes in zip(corpus.manifest.train, sequences.train_codes, strict=True):
        stored = corpus.mel(file)
        frames = min(len(stored), GRAIN_FILE_FRAMES, left)
        level = level_of(stored)
        mel = codec.pad_to_columns(torch.from_numpy(np.array(stored[:frames], dtype=np.float32)).T - level)
        decoded = (
            decode_codes(codec, codes[: columns(frames) * BANDS, : codec.config.rvq_levels].to(device), level).cpu()
            - level
        )
        differences.append(Difference(decoded, residual(mel, decoded)))
        left -= frames
        if left <= 0:
            break
    return {
        "has_grain": True,
        "grain_state_dict": dict(DrawnGrain.measured(differences).state_dict()),
        "texture_db": None,
    }
