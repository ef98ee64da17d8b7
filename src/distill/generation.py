"""From a model's prior to waveforms: what may be asked for, codes of any length, and the samples they stand for."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from distill.audio.io import SAMPLE_RATE
from distill.audio.synthesis import Synthesiser, finish
from distill.bundle import LoadedVQModel
from distill.device import threads
from distill.errors import DistillError
from distill.models.encoding import decode_codes
from distill.models.prior import CodePrior
from distill.models.sampling import SamplingOptions, sample_codes
from distill.models.stepping import Stepper
from distill.models.texture import textured
from distill.models.vqvae import columns
from distill.synthesisers import check_synthesiser

LONGEST_SECONDS = 600.0
MOST_SOUNDS = 1000
LARGEST_SEED = 2**31 - 1
MOST_TEXTURE = 2.0


@dataclass(frozen=True)
class GenerateOptions:
    """What to generate."""

    count: int = 8
    seconds: float = 1.0
    seed: int | None = None
    sampling: SamplingOptions = field(default_factory=SamplingOptions)
    exact: bool | None = None
    """True: fill every sound up to `seconds` with new sounds after one that ends; False: let sounds end where they
    end; None: fill only what is longer than the prior's window."""
    format: str = "wav"
    synthesiser: str = "auto"
    """auto, neural or griffin-lim."""
    texture: float = 1.0
    """How much of the grain that recordings have over decoded spectrograms is added; 0: none, 1: as measured."""


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


def to_samples(
    loaded: LoadedVQModel, codes: Tensor, synthesise: Synthesiser, generator: torch.Generator, options: GenerateOptions
) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Codes [S, Q] -> samples [N], at most as long as wanted, safe to play."""
    level = loaded.codec.typical_level_db
    mel = decode_codes(loaded.codec, codes.to(level.device), float(level)).cpu()
    if loaded.card.texture_db is not None and options.texture:
        mel = textured(mel, options.texture * torch.tensor(loaded.card.texture_db), float(level), generator)
    samples = synthesise(mel, generator)[: round(options.seconds * SAMPLE_RATE)]
    return finish(samples, SAMPLE_RATE).numpy()


def check_generate(options: GenerateOptions) -> None:
    """Raises DistillError where something that cannot be is asked for."""
    check_synthesiser(options.synthesiser)
    problems = {
        f"--count {options.count}: choose 1 to {MOST_SOUNDS}.": not 1 <= options.count <= MOST_SOUNDS,
        f"--seed {options.seed}: choose 0 to {LARGEST_SEED}.": options.seed is not None
        and not 0 <= options.seed <= LARGEST_SEED,
        f"--seconds {options.seconds}: choose more than 0 and at most {LONGEST_SECONDS:.0f}.": not 0.0
        < options.seconds
        <= LONGEST_SECONDS,
        f"--temperature {options.sampling.temperature}: choose 0 to 10.": not 0.0
        <= options.sampling.temperature
        <= 10.0,
        f"--top-p {options.sampling.top_p}: choose more than 0 and at most 1.": not 0.0 < options.sampling.top_p <= 1.0,
        f"--top-k {options.sampling.top_k}: choose 0 (all) or more.": options.sampling.top_k < 0,
        f"--texture {options.texture}: choose 0 to {MOST_TEXTURE:.0f}.": not 0.0 <= options.texture <= MOST_TEXTURE,
        f"--format {options.format}: choose wav or flac.": options.format not in ("wav", "flac"),
    }
    for sentence, wrong in problems.items():
        if wrong:
            raise DistillError(sentence)
