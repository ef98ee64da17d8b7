"""Codes of any length, sampled from a model's prior."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from distill.audio.griffin_lim import Synthesiser
from distill.instrument.choosing import Judged, Sampled, judged, nearest
from distill.instrument.filled import filled
from distill.instrument.limiting import sounds_under_limit
from distill.instrument.rendering import to_samples
from distill.instrument.tuning import heard_whole
from distill.instrument.wishes import Wishes, wishes_of
from distill.modelfile.opened import LoadedVQModel
from distill.models.canvas import Ends, open_canvas
from distill.models.filling import Filled
from distill.models.prior import CodePrior
from distill.models.run_limit import SoundUnderLimit
from distill.models.stepping import Stepper
from distill.settings.generation import LONG_SECONDS, GenerationSettings
from distill.settings.geometry import SAMPLE_RATE, columns

ROUNDS = 4
"""How often tries are made for a sound as long as none is near enough to what is wished for."""
STRONGER = 1.5
"""How much more strongly a wish is followed in each further round."""


def sample_pieces(
    prior: CodePrior,
    generators: Sequence[torch.Generator],
    loaded: LoadedVQModel,
    settings: GenerationSettings,
    synthesise: Synthesiser | None = None,
    under_limit: Sequence[SoundUnderLimit] | None = None,
    wishes: Wishes | None = None,
) -> Iterator[tuple[int, int, list[Sampled]]]:
    """Sample codes for every generator up to the wanted length; yields (columns done, of, sounds so far).

    Where something is wished for, several sounds are sampled for each generator, from generators that it seeds, and the
    nearest is kept; `synthesise` lets pitches be heard. Not so of long sounds (`instrument.streaming`).

    Args:
        under_limit: the sounds, where somebody goes on with them who needs to know what they have got; without, new ones.
        wishes: those of the settings, where curves are drawn over more than these sounds.

    Raises:
        DistillError: the model cannot follow a wish.
    """
    is_own = wishes is None
    wishes = wishes_of(loaded, settings) if wishes is None else wishes
    is_whole = is_own and (wishes.samples or 0) <= LONG_SECONDS * SAMPLE_RATE  # else it is not led along a pitch
    asked = wishes.led() if is_whole else wishes
    if not wishes.chosen_by or settings.tries == 1 or settings.seconds > LONG_SECONDS:
        yield from _sampled(prior, generators, loaded, settings, asked, under_limit)
        return
    best: list[Judged | None] = [None] * len(generators)
    columns_wanted = 1
    for turn in range(ROUNDS):
        missing = [place for place, each in enumerate(best) if each is None or not each.good]
        seeds = [torch.randint(2**62, (settings.tries,), generator=generators[place]).tolist() for place in missing]
        every = [torch.Generator().manual_seed(seed) for each in seeds for seed in each]
        sampled: list[Sampled] = []
        pressed = settings.model_copy(update={"strength": settings.strength * STRONGER**turn})
        for done, columns_wanted, sampled in _sampled(prior, every, loaded, pressed, asked):  # noqa: B007
            if done < columns_wanted:
                yield (done + columns_wanted * turn) // ROUNDS, columns_wanted, []
        for number, place in enumerate(missing):
            tried = sampled[number * settings.tries : (number + 1) * settings.tries]
            found = [judged(loaded, each, wishes, synthesise) for each in tried]
            pitch = wishes.pitch if wishes.glide is None else wishes.glide
            if synthesise is not None and pitch is not None:
                render = partial(_as_it_comes, loaded, synthesise, generators[place], settings)
                found = heard_whole(found, pitch, render, loaded.card.spectrogram_config)
            before = best[place]
            best[place] = nearest(found if before is None else [before, *found])
    yield columns_wanted, columns_wanted, [each.sampled for each in best if each is not None]


def _as_it_comes(
    loaded: LoadedVQModel,
    synthesise: Synthesiser,
    generator: torch.Generator,
    settings: GenerationSettings,
    sampled: Sampled,
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """A sound [channels, N] as it is rendered if nothing more is drawn from its generator before."""
    return to_samples(loaded, sampled, synthesise, generator.clone_state(), settings)


def is_filled_up(prior: CodePrior, settings: GenerationSettings, wanted: int) -> bool:
    """Whether a sound of `wanted` columns that ends is followed by another until there are so many."""
    beyond_window = wanted > prior.config.seq_len // prior.config.bands
    return settings.ending == "exact" or (settings.ending == "auto" and beyond_window)


def _sampled(
    prior: CodePrior,
    generators: Sequence[torch.Generator],
    loaded: LoadedVQModel,
    settings: GenerationSettings,
    wishes: Wishes,
    under_limit: Sequence[SoundUnderLimit] | None = None,
) -> Iterator[tuple[int, int, list[Sampled]]]:
    """As `sample_pieces`, one for each generator.

    Where sounds shall fill the length, one that ends is followed by another. What a generator is asked for depends on
    its own sound alone, so that what it gives next (the noise of grain and synthesis) does, too.
    """
    bands = prior.config.bands
    samples = round(settings.seconds * SAMPLE_RATE) if wishes.samples is None else wishes.samples
    wanted = columns(loaded.card.spectrogram_config.frames(samples))
    filling = is_filled_up(prior, settings, wanted)
    wishes = wishes.in_time(loaded) if wanted > prior.window else wishes
    nothing = torch.zeros(0, prior.config.rvq_levels, dtype=torch.long)
    finished = [Sampled(nothing, ended=False, log_likelihood=nothing.float())] * len(generators)
    unfinished = list(range(len(generators)))
    stepper = Stepper(prior)
    limited = sounds_under_limit(loaded, settings, len(generators)) if under_limit is None else under_limit
    ends: Ends = "never" if wishes.keeps_on(filling) else "may" if filling else "asked"
    if wishes.samples is not None:
        ends = "known"
    while unfinished:
        missing = [wanted - len(finished[i].codes) // bands for i in unfinished]
        canvases = [open_canvas(count, bands, prior.config.rvq_levels, ends, first=wanted - count) for count in missing]
        own = None if limited is None else [limited[i] for i in unfinished]
        before = [-len(finished[i].codes) // bands for i in unfinished]
        drawing = filled(prior, canvases, [generators[i] for i in unfinished], settings, wishes, stepper, own, before)
        while True:
            try:
                done, total = next(drawing)
            except StopIteration as end:
                drawn: list[Filled] = end.value
                break
            yield wanted - total + done, wanted, finished
        for i, each in zip(unfinished, drawn, strict=True):
            so_far = finished[i]
            finished[i] = Sampled(
                torch.cat([so_far.codes, each.codes]),
                ends == "known" or (each.ended and not filling),
                torch.cat([so_far.log_likelihood, each.log_likelihood]),
            )
        unfinished = [i for i in unfinished if filling and len(finished[i].codes) < wanted * bands]
    yield wanted, wanted, finished
