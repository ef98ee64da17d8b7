"""Stage 2: the settings of the prior and of its training."""

from typing import NamedTuple, Self

from pydantic import Field, model_validator

from distill.settings.codec import Preset
from distill.settings.geometry import BANDS, CROP_FRAMES, FRAMES_PER_COLUMN
from distill.settings.knobs import LARGEST_SEED, LEAST_RATE, Frozen, knob


class PriorConfig(Frozen):
    """The prior's architecture: everything that its weights depend on."""

    hidden_size: int = knob(
        256, "Width of the transformer; must be a multiple of the number of heads.", auto=True, ge=16, le=2048
    )
    num_layers: int = knob(4, "How many transformer blocks follow each other.", auto=True, ge=1, le=32)
    num_heads: int = knob(
        4, "How many attention heads each block has; must divide the hidden size.", auto=True, ge=1, le=32
    )
    dropout: float = knob(0.2, "Share of activations dropped in training; more guards against memorization.",
                          auto=True, advanced=True, ge=0.0, le=0.9)  # fmt: skip
    seq_len: int = Field(
        BANDS * CROP_FRAMES // FRAMES_PER_COLUMN, ge=1, le=8192, description="Positions in the context window."
    )
    codebook_size: int = Field(128, ge=2, le=4096)
    codebook_dim: int = Field(32, ge=1, le=256)
    rvq_levels: int = Field(3, ge=1, le=8)
    bands: int = Field(BANDS, ge=1, le=64)
    both_sides: bool = Field(False, description="Whether it fills holes between what is known on both sides.")
    traits: bool = Field(False, description="Whether loudness, brightness, pitch and onsets may be wished for.")
    kinds: int = Field(0, ge=0, le=64, description="How many kinds of sounds may be wished for.")
    periods: bool = Field(False, description="Whether it may be told after how many columns a sound comes round again.")
    image_columns: int = Field(1, ge=1, le=64, description="How many columns share the codes of one stereo image.")

    @property
    def neighbours(self) -> int:
        """Known places near the one that is predicted, which it may copy."""
        return (5 if self.both_sides else 3) + (2 if self.periods else 0)

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Self:
        if self.hidden_size % self.num_heads:
            raise ValueError(
                f"--heads {self.num_heads} does not divide --hidden-size {self.hidden_size}: "
                f"choose a hidden size that is a multiple of {self.num_heads}, or another number of heads"
            )
        if self.seq_len % self.bands:
            raise ValueError(f"seq_len {self.seq_len} is not a whole number of columns of {self.bands} bands")
        return self


class PriorSize(NamedTuple):
    """How large a prior is; its name is `192 x 4`."""

    hidden_size: int
    num_layers: int
    num_heads: int

    def __str__(self) -> str:
        return f"{self.hidden_size} x {self.num_layers}"


class PriorSettings(PriorConfig):
    """Stage 2, `distill train-prior`: the prior's architecture and how it is trained."""

    preset: Preset = knob(
        "standard", "How much time the training gets: draft takes the smallest prior and half the steps of standard; "
        "standard lets two sizes race on the held-out sounds, unless one is set; thorough lets three, and takes twice the "
        "steps."
    )  # fmt: skip
    epochs: int = knob(
        100, "How often the prior sees the whole corpus; of a long one a share.", auto=True, ge=1, le=10_000
    )
    batch_size: int = knob(32, "How many sequences are learned from at once.", advanced=True, ge=1, le=1024)
    learning_rate: float = knob(
        1e-3, "The largest step size of the optimiser.", auto=True, advanced=True, ge=LEAST_RATE, le=0.1
    )
    weight_decay: float = knob(1.0, "How strongly weights are pulled to zero; more guards against memorization.",
                               advanced=True, ge=0.0, le=10.0)  # fmt: skip
    context_seconds: float = knob(
        1.0, "How far back the prior looks; longer windows keep longer pieces together.",
        auto=True, advanced=True, ge=0.5, le=8.0,
    )  # fmt: skip
    views: int = knob(
        16, "How many versions of every file are learned from: itself, and others a little higher, lower or later.",
        auto=True, advanced=True, ge=1, le=32,
    )  # fmt: skip
    token_masking: float = knob(0.3, "Share of past codes hidden in training; more guards against memorization.",
                                advanced=True, ge=0.0, le=0.9)  # fmt: skip
    patience: int = knob(
        0, "Stop when this many epochs have brought nothing better; 0: never.", advanced=True, ge=0, le=10_000
    )
    seed: int = knob(0, "Number that fixes everything random in the training.", advanced=True, ge=0, le=LARGEST_SEED)

    def architecture(self) -> PriorConfig:
        """The part of the settings that the weights depend on."""
        return PriorConfig(**{name: getattr(self, name) for name in PriorConfig.model_fields})

    def of_size(self, size: PriorSize) -> Self:
        """The same settings for a prior of another size."""
        return self.model_copy(update=size._asdict())
