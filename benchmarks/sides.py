"""What a prior makes of both sides of a hole, of loops in time, and of a long piece: `benchmarks/prior.py --only
sides|time|long`."""

import math
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

import distill
from distill.audio.mel import log_mel_of
from distill.audio.traits import ONSETS, column_traits, frame_traits
from distill.corpus.sounds import Corpus
from distill.modelfile.opened import OpenedModel, open_model
from distill.models.encoding import encode_codes, level_of
from distill.models.image import image_powers
from distill.models.prior import BOS, IGNORED, MID, CodePrior
from distill.settings.geometry import BANDS, SAMPLE_RATE, SpectrogramConfig
from distill.training.prior.baselines import _interpolated
from distill.training.prior.codes import _with_image, faster, tempo_ratios, unpack_codes
from distill.training.prior.validation import LN2, validate_prior_epoch
from distill.training.prior.windows import Window, make_batch

HOLE_COLUMNS = 3
"""Half a second."""
LONG_SECONDS, LONG_SOUNDS = 60.0, 4
BEAT_SECONDS = (0.25, 2.0)


def sides(model: Path) -> dict[str, Any]:
    """Bits per code of the middle half second of held-out windows, given the past alone and given both sides."""
    opened = open_model(model)
    prior, card = opened.prior(), opened.card
    assert prior is not None
    codes = unpack_codes(opened.codes, card.corpus_manifest, card.vqvae_config.codebook_size, card.prior_levels)
    bits = validate_prior_epoch(prior, codes.val, torch.device("cpu")).loss / LN2
    windows = held_out_windows(codes.val, prior.window)
    if not windows:  # sounds too short to have a middle half second
        return {"bits_per_code": bits, "windows": 0}
    past, both = (middle_bits(prior, windows, filled) for filled in (False, True))
    counted = ngram_middle_bits(codes.train_codes, windows, card.vqvae_config.codebook_size)
    return {
        "bits_per_code": bits,
        "windows": len(windows),
        "middle_bits_past": statistics.fmean(past),
        "middle_bits_both_sides": statistics.fmean(both),
        "middle_bits_ngram_both_sides": counted,
        "saved_percent": 100.0 * (1.0 - sum(both) / sum(past)),
        "saved_percent_by_level": [100.0 * (1.0 - b / a) for a, b in zip(past, both, strict=True)],
    }


def brought_in_time(opened: OpenedModel) -> list[tuple[Tensor, int, Tensor]]:
    """The held-out files of a model that come round again, brought in time with the columns: codes [S, Q], the period in columns,
    and the onsets of each column [C]."""
    card, image, codec = opened.card, opened.image(), opened.codec(torch.device("cpu")).eval()
    manifest = card.corpus_manifest
    places = {file.source: Path(manifest.folder) / file.source for file in manifest.files}
    corpus, found = Corpus(manifest, card.spectrogram_config, places), []
    for file in manifest.val:
        mel, (stored, peak) = corpus.mel(file), corpus.audio(file)
        for ratio, period in tempo_ratios(mel):
            made, frame = faster(np.float32(stored) * np.float32(peak), ratio, len(mel), card.spectrogram_config)
            codes = encode_codes(codec, made, level_of(mel), torch.device("cpu"))
            powers = None if image is None else image_powers(stored, corpus.side(file))[..., frame]
            heard = frame_traits(torch.from_numpy(np.float32(made)), np.zeros(0, np.float32), card.spectrogram_config)
            onsets = column_traits(heard, len(codes) // BANDS)[:, ONSETS]
            found.append((_with_image(codes, image, powers), period, onsets))
    return found


def in_time(model: Path) -> dict[str, Any]:
    """Bits per code of held-out files that come round again, brought in time with the columns, of all their codes and of the
    middle half second: not told of their period, and told."""
    opened = open_model(model)
    prior = opened.prior()
    assert prior is not None
    found = [(codes, period) for codes, period, _ in brought_in_time(opened)]
    if not found:
        return {"in_time_sounds": 0}
    said: dict[str, Any] = {"in_time_sounds": len(found)}
    for told in (False, True):
        windows = [
            (window._replace(period=period * told), hole)
            for codes, period in found
            for window, hole in held_out_windows([codes], prior.window)
        ]
        name = "told" if told else "untold"
        whole = [each for codes, period in found for each in laid_end_to_end(codes, prior.window, period * told)]
        said[f"bits_per_code_{name}"] = statistics.fmean(bits_of(prior, whole))
        for both in (False, True):
            sides_known = "both_sides" if both else "past"
            said[f"middle_bits_{sides_known}_{name}"] = statistics.fmean(middle_bits(prior, windows, both))
    return said


def laid_end_to_end(codes: Tensor, width: int, period: int = 0) -> list[Window]:
    """Windows of `width` columns over codes [S, Q]."""
    columns = len(codes) // BANDS
    return [
        Window(codes, first, min(width, columns - first), MID if first else BOS, period=period)
        for first in range(0, columns, width)
    ]


@torch.no_grad()
def bits_of(prior: CodePrior, windows: Sequence[Window]) -> list[float]:
    """Bits per code of each level of windows."""
    total, count = torch.zeros(prior.config.rvq_levels), 0
    for window in windows:
        batch = make_batch([window], prior.config)
        logits = prior(batch.codes, batch.start, None, batch.given)[:, :-1]
        losses = F.cross_entropy(logits.flatten(0, 2), batch.targets[:, :-1].flatten(), reduction="none")
        total += losses.view(-1, prior.config.rvq_levels).sum(0)
        count += window.columns * BANDS
    return (total / count / LN2).tolist()


def held_out_windows(files: Sequence[Tensor], window: int) -> list[tuple[Window, tuple[int, int]]]:
    """Windows laid end to end that have a middle half second with a column on each side, and where it lies."""
    found = []
    for codes in files:
        for first in range(0, len(codes) // BANDS, window):
            columns = min(window, len(codes) // BANDS - first)
            if columns >= HOLE_COLUMNS + 2:
                begin = (columns - HOLE_COLUMNS) // 2
                hole = (begin, begin + HOLE_COLUMNS)
                found.append((Window(codes, first, columns, MID if first else BOS), hole))
    return found


@torch.no_grad()
def middle_bits(prior: CodePrior, windows: Sequence[tuple[Window, tuple[int, int]]], both_sides: bool) -> list[float]:
    """Bits per code of each level."""
    total, count = torch.zeros(prior.config.rvq_levels), 0
    for window, hole in windows:
        batch = make_batch([window._replace(hole=hole if both_sides else None)], prior.config)
        logits = prior(batch.codes, batch.start, None, batch.given)
        losses = F.cross_entropy(
            logits.flatten(0, 2), batch.targets.flatten(), ignore_index=IGNORED, reduction="none"
        ).view(batch.targets.shape[1:])
        first = (window.columns - HOLE_COLUMNS if both_sides else hole[0]) * BANDS
        total += losses[first : first + HOLE_COLUMNS * BANDS].sum(0)
        count += HOLE_COLUMNS * BANDS
    return (total / count / LN2).tolist()


def ngram_middle_bits(train: Sequence[Tensor], windows: Sequence[tuple[Window, tuple[int, int]]], size: int) -> float:
    """The same by counting: a code from the nearest known one on its right, on its left, and the level below."""
    bits, asked = 0.0, 0
    for level in range(train[0].shape[1]):
        heard = [_around(codes, 0, len(codes) // BANDS, level, size, HOLE_COLUMNS // 2 + 1) for codes in train]
        known = [torch.cat(parts) for parts in zip(*heard, strict=True)]
        for window, hole in windows:
            part = window.codes[window.first * BANDS : (window.first + window.columns) * BANDS]
            wanted = _around(part, *hole, level, size, None)
            chance = torch.full((len(wanted[0]),), 1.0 / size, dtype=torch.double)
            for context, seen in zip(wanted[1:], known[1:], strict=True):
                chance = _interpolated(chance, context, wanted[0], seen, known[0], size)
            bits -= float(chance.log2().sum())
            asked += len(chance)
    return bits / asked


def _around(codes: Tensor, first: int, last: int, level: int, size: int, gap: int | None) -> list[Tensor]:
    """Codes of a level in columns first .. last - 1, and their contexts: none, right, left, left and right, with the level below.
    `gap`: how far on the right column is; None: the first one behind."""
    grid = codes.view(-1, BANDS, codes.shape[1])
    place = torch.arange(first, last)
    right_at = place + gap if gap is not None else torch.full_like(place, last)
    nothing = torch.full((1, BANDS), size)
    padded = torch.cat([grid[..., level], nothing])
    own, left = padded[place], torch.where((place > 0)[:, None], padded[place - 1], size)
    right = padded[right_at.clamp(max=len(grid))]
    below = grid[place, :, level - 1] if level else torch.zeros_like(own)
    base = size + 1
    contexts = [torch.zeros_like(own), right, left, left * base + right, (left * base + right) * base + below]
    return [each.flatten() for each in (own, *contexts)]


def long(model: Path, seed: int = 1) -> dict[str, Any]:
    """60 seconds from a model: beat, drift of level and brightness, beside the corpus's own files."""
    loaded = distill.load(model)
    config, manifest = loaded.card.spectrogram_config, loaded.card.corpus_manifest
    corpus = Corpus(manifest, config, {file.source: Path(manifest.folder) / file.source for file in manifest.files})
    known = [measured(corpus.planes(file)[0], config) for file in manifest.files if file.seconds >= 4 * BEAT_SECONDS[0]]
    made = loaded.generate(LONG_SOUNDS, LONG_SECONDS, seed).samples.mean(axis=1)
    pieces = [measured(samples, config) for samples in made]
    return {
        f"{what}_{name}": statistics.median(each[name] for each in found)
        for what, found in (("corpus", known), ("generated", pieces))
        for name in ("beat_strength", "level_drift_db", "brightness_drift_octaves")
    }


def measured(samples: Any, config: SpectrogramConfig) -> dict[str, float]:
    """Beat strength (the largest normalised autocorrelation of the onset envelope, lags 0.25 to 2 s), and how far the last
    quarter is from the first."""
    mono = np.asarray(samples, dtype=np.float32)
    mono = mono if mono.ndim == 1 else mono.mean(axis=0)
    mel = log_mel_of(mono, config)  # [M, T]
    rise = mel.diff(dim=1).clamp_min(0.0).mean(0).numpy()
    rise = rise - rise.mean()
    per_second = SAMPLE_RATE / config.hop_length
    lags = range(round(BEAT_SECONDS[0] * per_second), min(round(BEAT_SECONDS[1] * per_second), len(rise) // 2) + 1)
    energy = float(rise @ rise)
    beat = max((float(rise[lag:] @ rise[:-lag]) / max(energy, 1e-9) for lag in lags), default=0.0)
    quarter = max(1, mel.shape[1] // 4)
    ends = [10.0 ** (part / 10.0) for part in (mel[:, :quarter], mel[:, -quarter:])]
    centres = torch.arange(mel.shape[0], dtype=torch.float32)
    levels = [10.0 * math.log10(max(float(part.mean()), 1e-12)) for part in ends]
    bright = [float((part.sum(1) @ centres) / part.sum()) for part in ends]
    return {
        "beat_strength": beat,
        "level_drift_db": abs(levels[1] - levels[0]),
        "brightness_drift_octaves": abs(bright[1] - bright[0]) / mel.shape[0] * math.log2(config.f_max_hz / 100.0),
    }
