"""Loops: exactly as long as was asked for, the end running into the beginning.

    1. free ··········│ first all but the last columns, in time, as new sounds are made
    2. known ···│ free │ known again   the last columns, between the beginning of the loop on both sides

Its mel is stretched to the nearest whole frame and synthesised with as much of itself around it; what is left over, at most
256 samples in all of the loop, is played that much faster or slower.
"""

import math
from collections.abc import Generator, Sequence
from typing import NamedTuple

import numpy as np
import soxr
import torch
from torch import Tensor

from distill.audio.bandwidth import below_nyquist
from distill.audio.between import between
from distill.audio.griffin_lim import Synthesiser
from distill.audio.loudness import normalised
from distill.audio.master import not_clipped
from distill.instrument.canvases import loop_end_canvas
from distill.instrument.decoding import decoded_mel, grained, image_at
from distill.instrument.filled import filled
from distill.instrument.joining import WINDOW, circular, in_phase
from distill.instrument.limiting import sounds_under_limit
from distill.instrument.recordings import COLUMN
from distill.instrument.rendering import levelled
from distill.instrument.sampling import sample_pieces
from distill.instrument.seams import seam_rank, smooth_turn
from distill.instrument.wishes import Wishes
from distill.modelfile.opened import LoadedVQModel
from distill.models.filling import Filled
from distill.models.image import as_heard
from distill.models.prior import CodePrior
from distill.models.widths import set_apart
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import BANDS, COLUMN_SECONDS, FRAMES_PER_COLUMN, HOP_LENGTH, SAMPLE_RATE

AROUND_COLUMNS = 3
"""Columns of itself that a loop is decoded and synthesised with on both sides."""
SEAM_TRIES, SMOOTH = 10, 0.85
"""So many loops are drawn at most until one changes at its seam by no more than this share of the places within."""


class DrawnLoop(NamedTuple):
    """What a loop sounds like, before it is synthesised."""

    codes: Tensor  # [S, Q]
    mel: Tensor  # [M, T] dB with grain, the same each time round; T frames of the whole loop
    point: float
    """Where between softest and loudest it is, of as loud as such codes are."""


def loop_samples(settings: GenerationSettings) -> int:
    """How long the loop is."""
    return round(settings.loop_seconds * SAMPLE_RATE)


def loop_columns(settings: GenerationSettings) -> int:
    """How many columns of codes describe it."""
    return max(1, round(loop_samples(settings) / COLUMN))


def fill_loops(
    prior: CodePrior,
    generators: Sequence[torch.Generator],
    loaded: LoadedVQModel,
    settings: GenerationSettings,
    wishes: Wishes,
) -> Generator[tuple[int, int], None, list[DrawnLoop]]:
    """A loop for each generator; yields (columns done, of).

    Where more changes at a seam than elsewhere in the loop, another one is drawn, a few times, and the smoothest is kept.
    """
    best: list[tuple[float, DrawnLoop | None]] = [(math.inf, None)] * len(generators)
    waiting = list(range(len(generators)))
    for turn in range(SEAM_TRIES):
        drawing = _drawn_once(prior, [generators[place] for place in waiting], loaded, settings, wishes)
        drawn = yield from (_kept_full(drawing) if turn else drawing)
        for place, codes in zip(waiting, drawn, strict=True):
            loop = loop_of(loaded, codes, generators[place], settings)
            rank = seam_rank(loop.mel, loaded.card.spectrogram_config)
            best[place] = min(best[place], (rank, loop), key=lambda each: each[0])
        waiting = [place for place in waiting if best[place][0] > SMOOTH]
        if not waiting:
            break
    return [loop for _, loop in best if loop is not None]


def _kept_full(
    drawing: Generator[tuple[int, int], None, list[Tensor]],
) -> Generator[tuple[int, int], None, list[Tensor]]:
    """The same, its progress at the end: the first loops were all that was promised."""
    while True:
        try:
            _, columns = next(drawing)
        except StopIteration as end:
            drawn: list[Tensor] = end.value
            return drawn
        yield columns, columns


def _drawn_once(
    prior: CodePrior,
    generators: Sequence[torch.Generator],
    loaded: LoadedVQModel,
    settings: GenerationSettings,
    wishes: Wishes,
) -> Generator[tuple[int, int], None, list[Tensor]]:
    """One loop for each generator.

    Where sounds are over before the loop is, further ones follow, as for `--ending exact`.
    """
    columns = loop_columns(settings)
    closing = min(columns // 2, max(1, prior.window // 3))
    seconds = (columns - closing) * COLUMN_SECONDS
    first = settings.model_copy(update={"seconds": seconds, "ending": "exact", "tries": 1})
    begun: list[Tensor] = []
    limited = sounds_under_limit(loaded, settings, len(generators))
    for done, _, sampled in sample_pieces(prior, generators, loaded, first, under_limit=limited, wishes=wishes):
        begun = [each.codes for each in sampled]
        yield done, columns
    if not closing:
        return begun
    ends = [loop_end_canvas(each, closing, BANDS, prior.window) for each in begun]
    known = min(columns - closing, prior.window) * BANDS
    begins = [known // BANDS - (columns - closing)] * len(ends)
    closed: list[Filled] = yield from filled(
        prior, ends, generators, settings, wishes, under_limit=limited, first=begins
    )
    return [
        torch.cat([each, end.codes[known : known + closing * BANDS]]) for each, end in zip(begun, closed, strict=True)
    ]


def loop_of(
    loaded: LoadedVQModel, codes: Tensor, generator: torch.Generator, settings: GenerationSettings
) -> DrawnLoop:
    """Codes [S, Q] as a loop, with grain drawn for it.

    Grain is drawn in patches of a column, each for itself; turned by half a column, none of them ends at the seam.
    """
    point = float(torch.rand(1, generator=generator, dtype=torch.float64))
    level_db = float(loaded.codec.typical_level_db)
    decoded = decoded_mel(loaded, around_codes(codes, AROUND_COLUMNS), level_db)
    begin, turn = AROUND_COLUMNS * FRAMES_PER_COLUMN, FRAMES_PER_COLUMN // 2
    once = decoded[:, begin : begin + len(codes) // BANDS * FRAMES_PER_COLUMN]
    once = grained(loaded, once.roll(turn, 1), level_db, generator, settings).roll(-turn, 1)
    frames = max(1, round(loop_samples(settings) / HOP_LENGTH))
    return DrawnLoop(
        codes, between(once, (torch.arange(frames) + 0.5) * (once.shape[1] / frames) - 0.5, goes_round=True), point
    )


def render_loop(
    loaded: LoadedVQModel,
    loop: DrawnLoop,
    synthesise: Synthesiser,
    generator: torch.Generator,
    settings: GenerationSettings,
    loudness_db: float | None,
) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """A loop -> [channels, N], exactly as long as was asked for, safe to play over and over."""
    length, frames = loop_samples(settings), loop.mel.shape[1]
    margin = AROUND_COLUMNS * FRAMES_PER_COLUMN
    wave = synthesise(loop.mel[:, torch.arange(-margin, frames + margin).remainder(frames)], generator)
    begin, end = ((margin + more) * HOP_LENGTH - WINDOW // 2 for more in (0, frames))
    again = wave[begin : begin + WINDOW]
    wave = in_phase(wave, [(begin, again), (end, again)])
    ratio = length / (frames * HOP_LENGTH)
    if ratio != 1.0:
        wave = torch.from_numpy(soxr.resample(wave.numpy(), 1.0, ratio, quality="VHQ"))
    rate = loaded.card.corpus_manifest.highest_rate
    levels = loaded.card.vqvae_config.rvq_levels
    wave = below_nyquist(wave, rate)
    wave = below_nyquist(levelled(loaded, loop.codes[:, :levels], wave, loop.point, settings, loudness_db), rate)
    whole = len(loop.codes) // BANDS * FRAMES_PER_COLUMN
    places = (torch.arange(-margin, frames + margin) + 0.5) * (whole / frames)
    image = None if settings.mono else image_at(loaded, loop.codes, places, goes_round=True)
    heard = set_apart(as_heard(wave, image), loaded.apart)
    made = circular(heard, round(margin * HOP_LENGTH * ratio), length)
    made = made.roll(smooth_turn(made), -1)
    return (normalised(made) if settings.level == "normalise" else not_clipped(made)).numpy()


def around_codes(codes: Tensor, columns: int) -> Tensor:
    """Codes [S, Q] of a loop with so many columns of itself on both sides."""
    whole = len(codes) // BANDS
    places = torch.arange(-columns, whole + columns).remainder(whole)
    return codes.view(whole, BANDS, -1)[places].flatten(0, 1)
