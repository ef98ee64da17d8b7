"""Codes of any length, sampled from a model's prior."""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from distill.compute.threads import threads
from distill.instrument.request import GenerateOptions
from distill.modelfile.opened import LoadedVQModel
from distill.models.prior import CodePrior
from distill.models.sampling import sample_codes
from distill.models.stepping import Stepper
from distill.settings.geometry import SAMPLE_RATE, columns


def sample_pieces(
    prior: CodePrior, generators: Sequence[torch.Generator], loaded: LoadedVQModel, options: GenerateOptions
) -> Iterator[tuple[int, int, list[Tensor]]]:
    """Sample codes [S, Q] for every generator up to the wanted length; yields (columns done, of, codes so far).

    Where sounds shall fill the length, one that ends is followed by another.
    """
    spectrogram = loaded.card.spectrogram_config
    bands = prior.config.bands
    wanted = columns(spectrogram.frames(round(options.seconds * SAMPLE_RATE)))
    fill = options.exact if options.exact is not None else wanted > prior.config.seq_len // bands
    finished = [torch.zeros(0, prior.config.rvq_levels, dtype=torch.long)] * len(generators)
    open_clips = list(range(len(generators)))
    stepper = Stepper(prior, len(generators))
    with threads(1):  # small batches: threads would wait for each other
        while open_clips:
            missing = [wanted - len(finished[i]) // bands for i in open_clips]
            drawn: list[Tensor] = []
            chosen = [generators[i] for i in open_clips]
            for drawn in sample_codes(prior, chosen, max(missing), options.sampling, stepper=stepper):
                done = wanted - max(missing) + max(len(codes) // bands for codes in drawn)
                yield done, wanted, finished
            for i, room, codes in zip(open_clips, missing, drawn, strict=True):
                finished[i] = torch.cat([finished[i], codes[: room * bands].cpu()])
            open_clips = [i for i in open_clips if fill and len(finished[i]) < wanted * bands]
    yield wanted, wanted, finished
