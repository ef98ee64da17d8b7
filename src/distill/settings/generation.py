"""Making sounds: everything that may be asked of a model, declared once.

Flags of `distill generate`, the fields of the page, the endpoint for scripts, the records of the history and the tags
of the files are made of it, and it goes down to the sampler as it is. No torch here.
"""

import secrets
from typing import Any, Literal, Self

from pydantic import model_validator

from distill.settings.auto import resolve
from distill.settings.knobs import LARGEST_SEED, Frozen, knob

SynthesiserName = Literal["auto", "neural", "griffin-lim"]
Ending = Literal["auto", "natural", "exact"]
Level = Literal["match", "normalise"]
AudioFormat = Literal["wav", "flac", "aiff", "ogg", "mp3"]
NEW_SEEDS = 1_000_000
"""A seed that nobody chose is below this: short enough to be typed again."""


class GenerationSettings(Frozen):
    """What to make. Sound number i of seed s is sound 0 of seed s + i, whatever else is made with it."""

    count: int = knob(8, "How many sounds.", ge=1, le=1000)
    seconds: float = knob(1.0, "The longest that each may be, in seconds.", ge=0.01, le=600.0)
    seed: int | None = knob(
        None, "The same number makes the same sounds; the next sound has the next number.",
        unset="a new one", ge=0, le=LARGEST_SEED,
    )  # fmt: skip
    temperature: float = knob(
        1.0, "Above 1 more surprising, below 1 safer; 0: always the likeliest code.", ge=0.0, le=10.0
    )
    top_k: int = knob(0, "Draw from this many likeliest codes only; 0: from all.", ge=0, le=4096)
    top_p: float = knob(
        1.0, "Draw from the likeliest codes of this joint probability only; 1: from all.", gt=0.0, le=1.0
    )
    min_p: float = knob(
        0.0, "Draw from codes at least this share as likely as the likeliest only; 0: from all.", ge=0.0, le=0.99
    )
    ending: Ending = knob(
        "auto",
        "natural: each ends where it ends; exact: filled with further sounds; auto: exact above the prior's window.",
    )
    synthesiser: SynthesiserName = knob(
        "auto", "What makes the waveform: neural (fitted by train-synth, or as shipped) or griffin-lim; auto: the best."
    )
    texture: float = knob(
        1.0,
        "How much fine structure (grain) to draw, as the recordings have it; 0: none, 1: as it was measured.",
        ge=0.0,
        le=2.0,
    )
    level: Level = knob(
        "match", "How loud: match gives each sound a loudness as the recordings have it, normalise the highest peak."
    )
    mono: bool = knob(False, "One channel, the mix of both, where the model is stereo.")
    format: AudioFormat = knob(
        "wav", "What files are written: wav, flac and aiff with 24 bit, ogg and mp3 smaller and with loss."
    )

    @model_validator(mode="after")
    def _every_sound_has_a_seed(self) -> Self:
        if self.seed is not None and self.seed + self.count - 1 > LARGEST_SEED:
            raise ValueError(
                f"--seed {self.seed} and --count {self.count}: the last sound's seed would be over {LARGEST_SEED}; "
                f"choose a seed of at most {LARGEST_SEED - self.count + 1}"
            )
        return self

    def seeded(self) -> "GenerationSettings":
        """The same with a seed: a new one where there was none."""
        return self if self.seed is not None else self.model_copy(update={"seed": secrets.randbelow(NEW_SEEDS)})

    def seeds(self) -> list[int]:
        """The seed of each sound."""
        if self.seed is None:
            raise ValueError("there is no seed yet")
        return list(range(self.seed, self.seed + self.count))

    def comment(self, model: str, seed: int) -> str:
        """What stands in the file of one sound: what made it, and the settings that make it again, as JSON."""
        alone = self.model_copy(update={"seed": seed, "count": 1})
        return f"model {model}, seed {seed}, settings {alone.model_dump_json()}"


def generation_settings(**given: Any) -> GenerationSettings:
    """Settings of which some are given; None counts as not given.

    Raises:
        DistillError: one of them cannot be; the sentence names its flag.
    """
    return resolve(GenerationSettings, {}, given).settings
