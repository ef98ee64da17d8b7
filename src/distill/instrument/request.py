"""What may be asked of a model."""

from dataclasses import dataclass, field

from distill.errors import DistillError
from distill.instrument.synthesisers import check_synthesiser
from distill.models.sampling import SamplingOptions

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
