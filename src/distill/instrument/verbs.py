"""What new sounds and each verb are made of: canvases filled, then sounds of them."""

from collections.abc import Callable, Generator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from distill.audio.griffin_lim import Synthesiser
from distill.instrument.asked import Asked
from distill.instrument.canvases import guided_canvas, variation_canvas
from distill.instrument.choosing import Sampled
from distill.instrument.envelopes import guide_levels
from distill.instrument.filled import filled
from distill.instrument.gaps import fill_gap, gap_of, render_gap
from distill.instrument.limiting import sounds_under_limit
from distill.instrument.looping import fill_loops, loop_columns, render_loop
from distill.instrument.morphing import AS_LEARNED, morph_of, step_of
from distill.instrument.recordings import encode_recording, level_of_all, mel_of
from distill.instrument.rendering import to_samples
from distill.instrument.sampling import sample_pieces
from distill.instrument.varying import render_variation, source_of
from distill.instrument.wishes import wishes_like, wishes_of
from distill.modelfile.opened import LoadedVQModel
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import BANDS, SAMPLE_RATE

Samples = np.ndarray[Any, np.dtype[np.float32]]


LOOSELY = 0.5
"""How closely, beside --like, a sound is followed that more of its sort are made of: wishes say the rest."""


class Drawn(NamedTuple):
    """Codes that were drawn for one generator."""

    render: Callable[[], Samples]
    """Makes the sound [channels, N]; what is random in it comes from `generator`."""
    generator: torch.Generator
    """That the codes came from."""
    codes: Tensor  # [S, Q]
    log_likelihood: Tensor | None = None
    """[S, Q], nats, what the prior made of each code that was drawn; None: it was not kept."""
    ended: bool = True
    """Whether it ends by itself, or where it was asked to."""
    score: float | None = None
    """Of ways to fill a gap: how likely it is; the likeliest is the best."""


Drawing = Generator[tuple[int, int], None, list[Drawn]]


def draw(
    loaded: LoadedVQModel,
    asked: Asked | None,
    generators: Sequence[torch.Generator],
    settings: GenerationSettings,
    synthesise: Synthesiser,
) -> Drawing:
    """Draw the codes of new sounds, or of a verb's, one for each generator; yields (columns done, of).

    Raises:
        DistillError: this model cannot do it.
    """
    if asked is None:
        return _new(loaded, generators, settings, synthesise)
    asked.checked(loaded, settings)
    if asked.verb == "vary":
        return _variations(loaded, asked, generators, settings, synthesise)
    if asked.verb in ("like", "more-like"):
        return _alike(loaded, asked, generators, settings, synthesise)
    if asked.verb == "morph":
        return _steps(loaded, asked, generators, settings, synthesise)
    if asked.verb == "loop":
        return _loops(loaded, generators, settings, synthesise)
    return _gaps(loaded, asked, generators, settings, synthesise)


def _new(
    loaded: LoadedVQModel,
    generators: Sequence[torch.Generator],
    settings: GenerationSettings,
    synthesise: Synthesiser,
) -> Drawing:
    assert loaded.prior is not None
    sampled: list[Sampled] = []
    for done, total, found in sample_pieces(loaded.prior, generators, loaded, settings, synthesise):
        yield done, total
        sampled = found
    return [
        Drawn(
            partial(to_samples, loaded, each, synthesise, own, settings),
            own,
            each.codes,
            each.log_likelihood,
            each.ended,
        )
        for each, own in zip(sampled, generators, strict=True)
    ]


def _gaps(
    loaded: LoadedVQModel,
    asked: Asked,
    generators: Sequence[torch.Generator],
    settings: GenerationSettings,
    synthesise: Synthesiser,
) -> Drawing:
    assert loaded.prior is not None
    gap = gap_of(loaded, asked, settings)
    limited = sounds_under_limit(loaded, settings, len(generators))
    wishes = wishes_of(loaded, settings, gap.columns)
    ways = yield from fill_gap(loaded.prior, gap, generators, settings, wishes, limited)
    return [
        Drawn(partial(render_gap, loaded, gap, way, synthesise, own, settings), own, way.codes, score=way.score)
        for way, own in zip(ways, generators, strict=True)
    ]


def _variations(
    loaded: LoadedVQModel,
    asked: Asked,
    generators: Sequence[torch.Generator],
    settings: GenerationSettings,
    synthesise: Synthesiser,
) -> Drawing:
    assert loaded.prior is not None
    source, levels = source_of(loaded, asked), loaded.card.vqvae_config.rvq_levels
    canvases = [variation_canvas(source.codes, settings.amount, levels, BANDS, own) for own in generators]
    limited = sounds_under_limit(loaded, settings, len(generators))
    wishes = wishes_of(loaded, settings, len(source.codes) // BANDS)
    found = yield from filled(loaded.prior, canvases, generators, settings, wishes, under_limit=limited)
    return [
        Drawn(partial(render_variation, loaded, source, canvas, each.codes, synthesise, own, settings), own, each.codes)
        for canvas, each, own in zip(canvases, found, generators, strict=True)
    ]


def _alike(
    loaded: LoadedVQModel,
    asked: Asked,
    generators: Sequence[torch.Generator],
    settings: GenerationSettings,
    synthesise: Synthesiser,
) -> Drawing:
    assert loaded.prior is not None
    (guide,) = asked.recordings
    codes = encode_recording(loaded, guide, level_of_all(loaded, asked.recordings)).to(loaded.prior.vectors.device)
    levels = loaded.card.vqvae_config.rvq_levels + (len(guide.planes) > 1)
    more = asked.verb == "more-like"
    canvas = guided_canvas(loaded.prior, codes, settings.like_strength * (LOOSELY if more else 1.0), levels)
    wishes = wishes_of(loaded, settings, canvas.columns).led()
    if more:
        wishes = wishes.filled_up(wishes_like(loaded, guide.planes[0]))
    canvases, limited = [canvas] * len(generators), sounds_under_limit(loaded, settings, len(generators))
    found = yield from filled(loaded.prior, canvases, generators, settings, wishes, under_limit=limited)
    as_long = settings.model_copy(update={"seconds": guide.samples / SAMPLE_RATE})
    closely = 0.0 if more else max(0.0, (settings.like_strength - LOOSELY) / (1.0 - LOOSELY))
    followed = None
    if closely:
        followed = guide_levels(mel_of(loaded, guide), loaded.card.spectrogram_config), closely
    return [
        Drawn(
            partial(
                to_samples,
                loaded,
                Sampled(each.codes, False, each.log_likelihood),
                synthesise,
                own,
                as_long,
                followed=followed,
            ),
            own,
            each.codes,
            each.log_likelihood,
        )
        for each, own in zip(found, generators, strict=True)
    ]


def _steps(
    loaded: LoadedVQModel,
    asked: Asked,
    generators: Sequence[torch.Generator],
    settings: GenerationSettings,
    synthesise: Synthesiser,
) -> Drawing:
    assert loaded.prior is not None
    morph = morph_of(loaded, asked)
    ways = asked.ways if len(asked.ways) == len(generators) else asked.ways[:1] * len(generators)
    steps = [step_of(loaded, morph, way, settings) for way in ways]
    limited = sounds_under_limit(loaded, settings, len(generators))
    found = yield from filled(
        loaded.prior,
        [step.canvas for step in steps],
        generators,
        settings.model_copy(update={"strength": settings.strength * AS_LEARNED}),
        [step.wishes for step in steps],
        under_limit=limited,
    )
    drawn = []
    for step, each, own in zip(steps, found, generators, strict=True):
        as_long = settings.model_copy(update={"seconds": step.samples / SAMPLE_RATE})
        sampled = Sampled(each.codes, False, each.log_likelihood)
        render = partial(to_samples, loaded, sampled, synthesise, own, as_long, step.loudness_db)
        drawn.append(Drawn(render, own, each.codes, each.log_likelihood))
    return drawn


def _loops(
    loaded: LoadedVQModel,
    generators: Sequence[torch.Generator],
    settings: GenerationSettings,
    synthesise: Synthesiser,
) -> Drawing:
    assert loaded.prior is not None
    wishes = wishes_of(loaded, settings, loop_columns(settings))
    found = yield from fill_loops(loaded.prior, generators, loaded, settings, wishes)
    return [
        Drawn(partial(render_loop, loaded, loop, synthesise, own, settings, wishes.loudness_db), own, loop.codes)
        for loop, own in zip(found, generators, strict=True)
    ]
