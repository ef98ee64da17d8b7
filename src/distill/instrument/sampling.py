"""Codes of any length, sampled from a model's prior."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from distill.compute.threads import threads
from distill.modelfile.opened import LoadedVQModel
from distill.models.filling import sample_codes
from distill.models.prior import CodePrior
from distill.models.stepping import Stepper
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import SAMPLE_RATE, columns


class Sampled(NamedTuple):
    """The codes of one sound."""

    codes: Tensor  # [S, Q]
    ended: bool
    """Whether it ends in its last column by itself; else it would go on."""


def sample_pieces(
    prior: CodePrior, generators: Sequence[torch.Generator], loaded: LoadedVQModel, settings: GenerationSettings
) -> Iterator[tuple[int, int, list[Sampled]]]:
    """Sample codes for every generator up to the wanted length; yields (columns done, of, sounds so far).

    Where sounds shall fill the length, one that ends is followed by another. What a generator is asked for depends on
    its own sound alone, so that what it gives next (the noise of texture and synthesis) does, too.
    """
    bands = prior.config.bands
    wanted = columns(loaded.card.spectrogram_config.frames(round(settings.seconds * SAMPLE_RATE)))
    beyond_window = wanted > prior.config.seq_len // bands
    fill = settings.ending == "exact" or (settings.ending == "auto" and beyond_window)
    nothing = torch.zeros(0, prior.config.rvq_levels, dtype=torch.long)
    finished = [Sampled(nothing, ended=False)] * len(generators)
    unfinished = list(range(len(generators)))
    stepper = Stepper(prior, len(generators))
    with threads(1):  # small batches: threads would wait for each other
        while unfinished:
            missing = [wanted - len(finished[i].codes) // bands for i in unfinished]
            drawn: list[Tensor] = []
            chosen = [generators[i] for i in unfinished]
            sampling = sample_codes(prior, chosen, missing, settings, stepper=stepper, may_end_at_limit=not fill)
            while True:
                try:
                    drawn = next(sampling)
                except StopIteration as end:
                    ended: list[bool] = end.value
                    break
                done = wanted - max(missing) + max(len(codes) // bands for codes in drawn)
                yield done, wanted, finished
            for i, codes, over in zip(unfinished, drawn, ended, strict=True):
                finished[i] = Sampled(torch.cat([finished[i].codes, codes.cpu()]), over and not fill)
            unfinished = [i for i in unfinished if fill and len(finished[i].codes) < wanted * bands]
    yield wanted, wanted, finished
