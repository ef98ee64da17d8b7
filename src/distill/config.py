"""Every setting, declared once: name, default, bounds and help text.

The command line and the page are generated from these models, and the same names are the keys in a `.distill` file.
A setting that is not overridden is "auto" or has a plain default; `distill.auto` decides. No torch here.
"""

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

Origin = Literal["auto", "default", "set"]


class Frozen(BaseModel):
    """Base of everything that is kept in a file: immutable, and an unknown key is an error, not a surprise."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


def knob(default: Any, help_text: str, *, auto: bool = False, advanced: bool = False, **bounds: Any) -> Any:
    """A field that is shown to the user. `auto`: `distill.auto` fills it in. `bounds`: pydantic's ge, le, ..."""
    return Field(default, description=help_text, json_schema_extra={"auto": auto, "advanced": advanced}, **bounds)


def is_auto(field: FieldInfo) -> bool:
    """Whether the field's value comes from the corpus unless the user sets it."""
    extra = field.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("auto"))


def is_knob(field: FieldInfo) -> bool:
    """Whether the field is offered to the user (others follow from the data)."""
    return isinstance(field.json_schema_extra, dict) and "auto" in field.json_schema_extra


def flag_name(field_name: str) -> str:
    """`hidden_size` -> `--hidden-size`, `num_layers` -> `--layers`."""
    return "--" + field_name.removeprefix("num_").replace("_", "-")


class SpectrogramConfig(Frozen):
    """The log-mel front-end: one for all models, stored with each so that a change stays readable."""

    sample_rate: int = Field(48_000, ge=8_000, le=192_000)
    n_fft: int = Field(2048, ge=256, le=8192)
    hop_length: int = Field(512, ge=64, le=4096)
    n_mels: int = Field(128, ge=16, le=256)
    f_min_hz: float = Field(20.0, ge=0.0, le=1000.0)
    f_max_hz: float = Field(24_000.0, ge=1000.0, le=96_000.0)
    crop_frames: int = Field(96, ge=16, le=4096)
    floor_db: float = Field(-100.0, ge=-200.0, le=0.0)

    def frames(self, samples: int) -> int:
        """How many frames a sound of `samples` samples has: one for each started hop."""
        return -(-samples // self.hop_length)

    def seconds(self, frames: int) -> float:
        """The duration of `frames` frames."""
        return frames * self.hop_length / self.sample_rate


class VQVAEConfig(Frozen):
    """The codec's architecture: everything that its weights depend on."""

    codebook_size: int = knob(
        128, "How many different codes each level has. More codes keep more detail and need more sound.",
        auto=True, ge=8, le=4096,
    )  # fmt: skip
    rvq_levels: int = knob(3, "How many levels of codes describe each position, from coarse to fine.", ge=2, le=4)
    codebook_dim: int = knob(32, "How many numbers stand behind each code.", advanced=True, ge=4, le=256)
    channels: int = knob(
        192, "Width of the network. Twice the width costs about four times the time.",
        advanced=True, ge=24, le=768, multiple_of=6,
    )  # fmt: skip


Preset = Literal["draft", "standard", "thorough"]


class CodecSettings(VQVAEConfig):
    """Stage 1, `distill train`: the codec's architecture and how it is trained."""

    preset: Preset = knob(
        "standard", "How much time the training gets: draft takes half of standard, thorough 4 times as much."
    )

    epochs: int = knob(
        40, "How often the codec goes through as many crops as the corpus holds.", auto=True, ge=1, le=10_000
    )
    pretrained: bool = knob(
        True, "Start from what the program learned on sounds of its own making, instead of from nothing.", advanced=True
    )
    batch_size: int = knob(16, "How many crops are learned from at once.", advanced=True, ge=1, le=512)
    learning_rate: float = knob(
        1e-3, "The largest step size for norms and biases.", auto=True, advanced=True, gt=0.0, le=0.1
    )
    matrix_learning_rate: float = knob(
        0.02, "The largest step size for matrices.", auto=True, advanced=True, gt=0.0, le=1.0
    )
    commitment_weight: float = knob(
        0.05, "How strongly latents are pulled to their codes.", advanced=True, ge=0.0, le=10.0
    )
    warmup_share: float = knob(
        0.1, "Share of the training spent as a plain autoencoder before quantisation starts.",
        auto=True, advanced=True, ge=0.0, le=0.9,
    )  # fmt: skip
    level_dropout: float = knob(
        0.0, "Share of crops decoded from fewer than all levels, so that fewer levels decode well too.",
        advanced=True, ge=0.0, le=1.0,
    )  # fmt: skip
    patience: int = knob(
        0, "Stop when this many epochs have brought nothing better; 0: never.", advanced=True, ge=0, le=10_000
    )
    preview_every: int = knob(
        10, "After how many epochs a held-out sound is written as audio and picture; 0: never.",
        auto=True, ge=0, le=10_000,
    )  # fmt: skip
    seed: int = knob(0, "Number that fixes everything random in the training.", advanced=True, ge=0, le=2**31 - 1)

    def architecture(self) -> VQVAEConfig:
        """The part of the settings that the weights depend on."""
        return VQVAEConfig(**{name: getattr(self, name) for name in VQVAEConfig.model_fields})


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
    seq_len: int = Field(48, ge=1, le=8192, description="Positions in the context window.")
    codebook_size: int = Field(128, ge=2, le=4096)
    codebook_dim: int = Field(32, ge=1, le=256)
    rvq_levels: int = Field(3, ge=1, le=8)
    bands: int = Field(8, ge=1, le=64)

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


class PriorSettings(PriorConfig):
    """Stage 2, `distill train-prior`: the prior's architecture and how it is trained."""

    epochs: int = knob(100, "How often the prior sees the whole corpus.", auto=True, ge=1, le=10_000)
    batch_size: int = knob(32, "How many sequences are learned from at once.", advanced=True, ge=1, le=1024)
    learning_rate: float = knob(
        1e-3, "The largest step size of the optimiser.", auto=True, advanced=True, gt=0.0, le=0.1
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
    seed: int = knob(0, "Number that fixes everything random in the training.", advanced=True, ge=0, le=2**31 - 1)

    def architecture(self) -> PriorConfig:
        """The part of the settings that the weights depend on."""
        return PriorConfig(**{name: getattr(self, name) for name in PriorConfig.model_fields})


class SynthesiserConfig(Frozen):
    """The neural synthesiser's architecture: everything that its weights depend on. Fixed, so that the shipped ones fit."""

    width: int = Field(240, ge=16, le=1024)
    blocks: int = Field(4, ge=1, le=32)


class SynthesiserSettings(SynthesiserConfig):
    """Stage 3, `distill train-synth`: how the shipped synthesiser is fitted to the user's files."""

    epochs: int = knob(6, "How often the synthesiser is judged on held-out files.", ge=1, le=1000)
    steps_per_epoch: int = knob(25, "Optimiser steps between two judgements.", advanced=True, ge=1, le=100_000)
    batch_size: int = knob(16, "How many crops are learned from at once.", advanced=True, ge=1, le=512)
    learning_rate: float = knob(
        3e-4, "The largest step size for all but the inner matrices.", advanced=True, gt=0.0, le=0.1
    )
    matrix_learning_rate: float = knob(
        0.004, "The largest step size for the inner matrices.", advanced=True, gt=0.0, le=1.0
    )
    adversarial_weight: float = knob(
        0.0, "How much it counts to pass for a recording with a network that learns to tell them apart; 0: no such network.",
        advanced=True, ge=0.0, le=10.0,
    )  # fmt: skip
    pretrained: bool = knob(
        True, "Start from what the program learned on sounds of its own making, instead of from nothing.", advanced=True
    )
    patience: int = knob(
        0, "Stop when this many epochs have brought nothing better; 0: never.", advanced=True, ge=0, le=10_000
    )
    seed: int = knob(0, "Number that fixes everything random in the training.", advanced=True, ge=0, le=2**31 - 1)

    def architecture(self) -> SynthesiserConfig:
        """The part of the settings that the weights depend on."""
        return SynthesiserConfig(**{name: getattr(self, name) for name in SynthesiserConfig.model_fields})


def describe_invalid(error: ValidationError) -> str:
    """One sentence for the first thing that is wrong, naming the flag."""
    first = error.errors()[0]
    message = str(first["msg"]).removeprefix("Value error, ")
    if not first["loc"]:
        return message + "."
    return f"{flag_name(str(first['loc'][0]))} {first['input']}: {message[0].lower()}{message[1:]}."
