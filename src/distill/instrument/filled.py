"""Canvases of a request, filled: one for each seed, with the wishes of the request."""

from collections.abc import Generator, Sequence

import torch

from distill.compute.threads import threads
from distill.instrument.wishes import Wishes
from distill.models.canvas import Canvas
from distill.models.filling import Filled, fill
from distill.models.prior import CodePrior
from distill.models.run_limit import SoundUnderLimit
from distill.models.stepping import Stepper
from distill.settings.generation import GenerationSettings


def filled(
    prior: CodePrior,
    canvases: Sequence[Canvas],
    generators: Sequence[torch.Generator],
    settings: GenerationSettings,
    wishes: Wishes | Sequence[Wishes],
    stepper: Stepper | None = None,
    under_limit: Sequence[SoundUnderLimit] | None = None,
    first: Sequence[int] | None = None,
) -> Generator[tuple[int, int], None, list[Filled]]:
    """Fill canvases; yields (columns done, of).

    Args:
        wishes: for all canvases, or for each. (A sequence is told from one by its type: wishes are a tuple, too.)
        stepper: one made before for this prior; without, a new one.
        under_limit: as for `fill`.
        first: where on each canvas what was drawn over a sound begins; None: where the canvas does.
    """
    each_wish = [wishes] * len(canvases) if isinstance(wishes, Wishes) else wishes
    begins = [0] * len(canvases) if first is None else first
    wished = [
        one.of(canvas, settings.strength, begin, generator)
        for one, canvas, generator, begin in zip(each_wish, canvases, generators, begins, strict=True)
    ]
    total = max(canvas.columns for canvas in canvases)
    with threads(1):  # small batches: threads would wait for each other
        by_level = [settings.at_level(level) for level in range(prior.config.rvq_levels)]
        filling = fill(prior, wished, generators, by_level, stepper, under_limit)
        while True:
            try:
                drawn = next(filling)
            except StopIteration as end:
                made: list[Filled] = end.value
                break
            yield max(len(codes) for codes in drawn) // prior.config.bands, total
    return [Filled(each.codes.cpu(), each.log_likelihood.cpu(), each.ended) for each in made]
