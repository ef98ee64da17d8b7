"""Gaps between recordings, and after one: filled by the prior, made to sound, and joined with the recordings as they are.

    recording ─▶ columns that end at the gap ─┐                       ┌─ columns that begin where the gap ends ◀─ recording
                                              └─ free ··· free ··· free ┘

A continuation has a gap and nothing behind it, a part that is replaced has the same recording on both sides, a bridge two.
Columns are laid out from the gap on both sides, so that it begins and ends at the very sample that was asked for; what the
prior drew is played a little faster or slower where it has to fit between both.
"""

import math
from collections.abc import Generator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from distill.audio.bandwidth import below_nyquist
from distill.audio.griffin_lim import Synthesiser
from distill.audio.loudness import HIGHEST_DB, limited, normalised
from distill.audio.master import FADE_OUT_SECONDS, not_clipped
from distill.audio.mel import log_mel_unpadded
from distill.instrument.asked import Asked
from distill.instrument.canvases import HEARD_AFTER, gap_canvas
from distill.instrument.decoding import decoded_mel, grained, image_at, stretched
from distill.instrument.filled import filled
from distill.instrument.joining import WINDOW, in_phase, joined
from distill.instrument.recordings import AROUND, COLUMN, Recording, codes_before, codes_from, level_of_all
from distill.instrument.wishes import Wishes
from distill.modelfile.opened import LoadedVQModel
from distill.models.canvas import Canvas, Ends
from distill.models.filling import Filled
from distill.models.image import as_heard
from distill.models.likelihood import log_likelihood
from distill.models.prior import CodePrior
from distill.models.release import loudest_db, released
from distill.models.run_limit import SoundUnderLimit
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import BANDS, FRAMES_PER_COLUMN, HOP_LENGTH, SAMPLE_RATE

Made = np.ndarray[tuple[int, int], np.dtype[np.float32]]
FITTED_FRAMES, COMPARED_FRAMES = 12, 3
"""Over how many frames from a join what was drawn is brought to the level that each band of the recording has there, and how
many of either are compared."""
MOST_FITTED_DB = 8.0
"""A stroke that was drawn at a join stays one."""
MARGIN_FRAMES = 24
"""Frames of the recordings that are synthesised along with a gap, so that the sound at its ends knows its surroundings."""


class Gap(NamedTuple):
    """A gap that is to be filled."""

    before: Recording
    stop: int
    """The sample of `before` at which the gap begins."""
    after: Recording | None
    start: int
    """The sample of `after` at which the gap ends."""
    samples: int
    level_db: float
    canvas: Canvas
    known: int
    """Columns that are known before it."""
    columns: int
    """Columns of the gap itself."""


class FilledGap(NamedTuple):
    """One way to fill a gap."""

    codes: Tensor  # [S, Q]
    ended: bool
    score: float
    """Mean log-likelihood, in nats, of the codes drawn and of those that follow."""


def gap_of(loaded: LoadedVQModel, asked: Asked, settings: GenerationSettings) -> Gap:
    """The gap of a continuation, of a part to be replaced, or of a bridge."""
    assert loaded.prior is not None
    before = asked.recordings[0]
    after = None if asked.verb == "continue" else asked.recordings[-1]
    stop, start = asked.span if asked.verb == "replace" else (before.samples, 0)
    samples = start - stop if asked.verb == "replace" else round(settings.seconds * SAMPLE_RATE)
    level_db = level_of_all(loaded, asked.recordings)
    window = loaded.prior.window
    left = codes_before(loaded, before, stop, window, level_db)
    right = left[:0] if after is None else codes_from(loaded, after, start, window, level_db)
    columns = -(-samples // COLUMN) if after is None else max(1, round(samples / COLUMN))
    whole = after is not None and start + window * COLUMN >= after.samples
    ends: Ends = "known" if whole else "never"
    if after is None and (settings.ending == "natural" or (settings.ending == "auto" and columns <= window)):
        ends = "asked"
    canvas = gap_canvas(left, columns, right, BANDS, len(left) // BANDS * COLUMN == stop, ends)
    return Gap(before, stop, after, start, samples, level_db, canvas, len(left) // BANDS, columns)


def fill_gap(
    prior: CodePrior,
    gap: Gap,
    generators: Sequence[torch.Generator],
    settings: GenerationSettings,
    wishes: Wishes,
    under_limit: Sequence[SoundUnderLimit] | None = None,
) -> Generator[tuple[int, int], None, list[FilledGap]]:
    """Fill it, once for each generator; yields (columns done, of)."""
    canvases = [gap.canvas] * len(generators)
    found: list[Filled] = yield from filled(
        prior, canvases, generators, settings, wishes, under_limit=under_limit, first=[gap.known] * len(canvases)
    )
    return [FilledGap(each.codes, each.ended, _score(prior, gap, each)) for each in found]


def _score(prior: CodePrior, gap: Gap, found: Filled) -> float:
    """How likely what was drawn is, between both sides, and how likely what follows is after it."""
    first, last = gap.known * BANDS, (gap.known + gap.columns) * BANDS
    drawn = found.log_likelihood[first:last].flatten()
    heard = (gap.known + gap.columns + HEARD_AFTER) * BANDS
    begin = max(0, gap.known + gap.columns + HEARD_AFTER - prior.window) * BANDS
    begins = gap.canvas.begins and begin == 0
    after = log_likelihood(prior, found.codes[begin:heard], begins)[last - begin :].flatten()
    return float(torch.cat([drawn, after]).mean()) if len(drawn) else 0.0


def render_gap(
    loaded: LoadedVQModel,
    gap: Gap,
    way: FilledGap,
    synthesise: Synthesiser,
    generator: torch.Generator,
    settings: GenerationSettings,
) -> Made:
    """The recordings with the gap filled: [channels, N], safe to play."""
    point = float(torch.rand(1, generator=generator, dtype=torch.float64))
    samples = gap.samples
    columns = min(gap.columns, len(way.codes) // BANDS - gap.known) if gap.after is None else gap.columns
    is_over = False
    if gap.after is None and way.ended and loaded.endings is not None:
        levels = loaded.card.vqvae_config.rvq_levels
        ended = loaded.endings.samples(loaded.codec, way.codes[:, :levels], point) - gap.known * COLUMN
        is_over = ended <= samples
        samples = max(0, min(samples, ended))
    elif gap.after is None:
        samples = min(samples, columns * COLUMN)
    frames = columns * FRAMES_PER_COLUMN if gap.after is None else max(1, round(samples / HOP_LENGTH))
    count = 2 if loaded.image is not None and not settings.mono else 1
    before = gap.before.channels(count)[:, : gap.stop]
    after = before[:, :0] if gap.after is None else gap.after.channels(count)[:, gap.start :]
    if not samples:
        return _playable(before.clone(), settings)
    mel, left = _around(loaded, gap, way.codes, columns, frames, samples, generator, settings)
    rate = loaded.card.corpus_manifest.highest_rate
    first = left * HOP_LENGTH
    wave = synthesise(mel, generator)
    middle = below_nyquist(in_phase(wave, _anchors(gap, first, first + samples, len(wave))), rate)
    places = torch.arange(mel.shape[1], dtype=torch.float64) + 0.5 - left
    inside = places.clamp(0, frames) * (columns * FRAMES_PER_COLUMN / frames)
    outside = places.clamp_max(0) + (places - frames).clamp_min(0)
    image = image_at(loaded, way.codes, gap.known * FRAMES_PER_COLUMN + inside + outside)
    made = limited(as_heard(middle, image if count == 2 else None), HIGHEST_DB)  # the recordings stay as they are
    made = joined(before, made, first, first + samples, after)
    if is_over:
        made = torch.cat([made[:, :-samples], released(made[:, -samples:], loaded.release, loudest_db(made))], dim=1)
    if gap.after is None:
        fade = min(samples, round(FADE_OUT_SECONDS * SAMPLE_RATE))
        made[:, made.shape[1] - fade :] *= torch.linspace(1.0, 0.0, fade)
    return _playable(made, settings)


def _playable(made: Tensor, settings: GenerationSettings) -> Made:
    """Recordings are turned down where they could not be written only."""
    over = float(made.abs().max()) > 1.0
    return (normalised(made) if settings.level == "normalise" else not_clipped(made) if over else made).numpy()


def _anchors(gap: Gap, first: int, last: int, length: int) -> list[tuple[int, Tensor]]:
    """The last window before the gap and the first behind it, for `in_phase`."""
    anchors = []
    if first >= WINDOW:
        anchors.append((first - WINDOW, torch.from_numpy(gap.before.planes[0, gap.stop - WINDOW : gap.stop])))
    if gap.after is not None and last + WINDOW <= length and gap.start + WINDOW <= gap.after.samples:
        anchors.append((last, torch.from_numpy(gap.after.planes[0, gap.start : gap.start + WINDOW])))
    return anchors


def _around(
    loaded: LoadedVQModel,
    gap: Gap,
    codes: Tensor,
    columns: int,
    frames: int,
    samples: int,
    generator: torch.Generator,
    settings: GenerationSettings,
) -> tuple[Tensor, int]:
    """The mel [M, T] of the gap and of the recordings around it, and how many frames of it are before the gap."""
    first, last = gap.known * FRAMES_PER_COLUMN, (gap.known + columns) * FRAMES_PER_COLUMN
    drawn = decoded_mel(loaded, codes, gap.level_db)[:, first:last]
    drawn = stretched(grained(loaded, drawn, gap.level_db, generator, settings), frames)
    left = min(MARGIN_FRAMES, gap.stop // HOP_LENGTH)
    part = gap.before.part(gap.stop - left * HOP_LENGTH - AROUND, gap.stop).planes[0]
    going_on = np.pad(part, (0, AROUND), mode="reflect") if len(part) > AROUND else np.pad(part, (0, AROUND))
    parts = [_mel(loaded, going_on, left), drawn]
    if gap.after is not None:
        shift = frames * HOP_LENGTH - samples
        start = gap.start + shift
        right = max(0, min(MARGIN_FRAMES, (gap.after.samples - start) // HOP_LENGTH))
        part = gap.after.part(start - AROUND, start + right * HOP_LENGTH + AROUND).planes[0]
        parts.append(_mel(loaded, part, right))
    edge = AROUND // HOP_LENGTH
    if left > edge:  # they hear the recording reflected, a kink that is heard in all bands
        parts[0][:, -edge:] = parts[0][:, -edge - 1 : -edge]
    parts[1] = fitted(parts[0], drawn, parts[2] if gap.after is not None else drawn[:, :0])
    return torch.cat(parts, dim=1), left


def fitted(before: Tensor, drawn: Tensor, after: Tensor) -> Tensor:
    """A drawn mel [M, T] in dB whose bands begin and end as loud as those of what is around it, [M, K] and [M, K'] (either may
    have no frames): turned up or down by as much as they differ at a join, and less and less away from it."""
    frames = drawn.shape[1]
    fade = min(FITTED_FRAMES, max(1, frames // 2))
    share = 0.5 + 0.5 * torch.cos(torch.arange(fade) * (math.pi / fade))  # 1 at the join
    compared = min(COMPARED_FRAMES, frames)
    made = drawn.clone()
    if before.shape[1]:
        off = before[:, -compared:].mean(1) - drawn[:, :compared].mean(1)
        made[:, :fade] += off.clamp(-MOST_FITTED_DB, MOST_FITTED_DB)[:, None] * share
    if after.shape[1]:
        off = after[:, :compared].mean(1) - drawn[:, -compared:].mean(1)
        made[:, frames - fade :] += off.clamp(-MOST_FITTED_DB, MOST_FITTED_DB)[:, None] * share.flip(0)
    return made


def _mel(loaded: LoadedVQModel, samples: np.ndarray[tuple[int], np.dtype[np.float32]], frames: int) -> Tensor:
    """The first frames of samples that begin half a window before them."""
    config = loaded.card.spectrogram_config
    if not frames:
        return torch.zeros(config.n_mels, 0)
    length = (frames - 1) * config.hop_length + config.n_fft
    return log_mel_unpadded(torch.from_numpy(np.ascontiguousarray(samples[:length])), config)
