"""Every setting, declared once: name, default, bounds, help text and the rule that fills it in when it is not set.

The command line and the page are generated from these models, and the same names are the keys in a `.distill` file.
A setting that is not overridden is "auto" or has a plain default; `resolve` always returns real numbers and says
which of them the user set. No torch here.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.fields import FieldInfo

from distill.errors import DistillError

Origin = Literal["auto", "default", "set"]


class Frozen(BaseModel):
    """Base of everything that is kept in a file: immutable, and an unknown key is an error, not a surprise."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


def knob(default: Any, help_text: str, *, auto: bool = False, advanced: bool = False, **bounds: Any) -> Any:
    """A field that is shown to the user. `auto`: `resolve` fills it in from the corpus. `bounds`: pydantic's ge, le, ..."""
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
        0.01, "The largest step size for matrices.", auto=True, advanced=True, gt=0.0, le=1.0
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


@dataclass(frozen=True)
class CorpusFacts:
    """What "auto" depends on."""

    files: int
    """Usable files, near-duplicates counted once each."""
    seconds: float
    """Duration of all training files together."""
    crops: int
    """Crops of 1.024 s that they fill, at least one for each file: what an epoch of the codec goes through."""
    median_seconds: float = 1.0
    """Duration of the training file in the middle."""

    @property
    def positions(self) -> float:
        """Positions of codes in the training files."""
        return self.seconds * POSITIONS_PER_SECOND


SettingsT = TypeVar("SettingsT", bound=BaseModel)


@dataclass(frozen=True)
class Resolved(Generic[SettingsT]):
    """Settings with every value decided, and where each value came from."""

    settings: SettingsT
    origin: dict[str, Origin]


POSITIONS_PER_SECOND = 46.875
"""8 bands for every 16 frames of 512 samples at 48 kHz."""
POSITIONS_PER_CODE = 6.0
"""Positions that each code of a level should have, so that no code stays without use."""
PRIOR_STEPS = 220
"""Optimiser steps of the prior in a training of default length."""
CONTEXT_SECONDS, LONG_CONTEXT_SECONDS = 1.024, 4.096
"""Windows of the prior for short files and for long ones."""
LONG_FILE_SECONDS = 2.0
"""From this median duration on, files are long."""
VIEWED_SECONDS = 1_500.0
"""Seconds of sound, all views together, that the prior learns from where there is less."""
CODEC_CROPS: dict[Preset, int] = {"draft": 2_400, "standard": 4_800, "thorough": 19_200}
"""Crops that the codec learns from in a training of default length."""
PREVIEWS = 5
"""Previews in a training of default length."""


def codec_auto(facts: CorpusFacts, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Codebook by the corpus's positions, epochs by its crops, so that small and large corpora take similar time.

    Args:
        overrides: what the user set: preset, batch size and epochs decide how long the training is; whether the codec
            starts from the program's own weights decides the step sizes, because smaller steps do not spoil those.
    """
    chosen = {name: value for name, value in (overrides or {}).items() if value is not None}
    batch_size = chosen.get("batch_size", CodecSettings.model_fields["batch_size"].default)
    crops_per_epoch = batch_size * math.ceil(facts.crops / batch_size)
    epochs = _clamp(round(CODEC_CROPS[chosen.get("preset", "standard")] / crops_per_epoch), 10, 2_000)
    gentle = {"learning_rate": 1e-3, "matrix_learning_rate": 0.01, "warmup_share": 0.1}
    bold = {"learning_rate": 2e-3, "matrix_learning_rate": 0.025, "warmup_share": 0.3}
    return {
        "codebook_size": 2 ** _clamp(int(math.log2(max(facts.positions / POSITIONS_PER_CODE, 1.0))), 4, 8),
        "epochs": epochs,
        "preview_every": max(1, chosen.get("epochs", epochs) // PREVIEWS),
        **(gentle if chosen.get("pretrained", True) else bold),
    }


def prior_auto(facts: CorpusFacts) -> dict[str, Any]:
    """The size of `get_adaptive_prior_config`, a window by the length of the files, and epochs for `PRIOR_STEPS` steps
    whatever the corpus."""
    context = LONG_CONTEXT_SECONDS if facts.median_seconds >= LONG_FILE_SECONDS else CONTEXT_SECONDS
    windows = facts.crops * CONTEXT_SECONDS / context
    steps_per_epoch = math.ceil(windows / PriorSettings.model_fields["batch_size"].default)
    return {
        **get_adaptive_prior_config(facts.files),
        "epochs": _clamp(round(PRIOR_STEPS / max(steps_per_epoch, 1)), 8, PRIOR_STEPS),
        "context_seconds": context,
        "views": _clamp(round(VIEWED_SECONDS / max(facts.seconds, 1.0)), 1, 16),
    }


def get_adaptive_prior_config(file_count: int) -> dict[str, Any]:
    """Size and training of the prior by the number of files: a small corpus gets a small prior."""
    if file_count <= 100:
        return {"hidden_size": 64, "num_layers": 2, "num_heads": 2, "dropout": 0.2, "epochs": 30, "learning_rate": 2e-3}
    return {"hidden_size": 128, "num_layers": 2, "num_heads": 4, "dropout": 0.2, "epochs": 20, "learning_rate": 2e-3}


def resolve(
    model: type[SettingsT],
    auto: Mapping[str, Any],
    overrides: Mapping[str, Any],
    fixed: Mapping[str, Any] | None = None,
) -> Resolved[SettingsT]:
    """Decide every setting: an override if there is one, else what `auto` says, else the declared default.

    Args:
        auto: what the corpus asks for, from a rule such as `codec_auto`.
        overrides: what the user set; a value of None counts as not set.
        fixed: values that follow from the data (such as the codebook size for the prior).

    Raises:
        DistillError: a value is out of bounds or does not fit the others; the sentence names the flag.
    """
    chosen = {name: value for name, value in overrides.items() if value is not None}
    unknown = sorted(set(chosen) - {name for name, field in model.model_fields.items() if is_knob(field)})
    if unknown:
        raise DistillError(f"There is no setting called {unknown[0]!r}. See --help for the settings of this stage.")
    try:
        settings = model(**{**auto, **(fixed or {}), **chosen})
    except ValidationError as error:
        raise DistillError(describe_invalid(error)) from error
    origin: dict[str, Origin] = {
        name: "set" if name in chosen else "auto" if name in auto else "default"
        for name, field in model.model_fields.items()
        if is_knob(field)
    }
    return Resolved(settings, origin)


def describe_invalid(error: ValidationError) -> str:
    """One sentence for the first thing that is wrong, naming the flag."""
    first = error.errors()[0]
    message = str(first["msg"]).removeprefix("Value error, ")
    if not first["loc"]:
        return message + "."
    return f"{flag_name(str(first['loc'][0]))} {first['input']}: {message[0].lower()}{message[1:]}."


def _clamp(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))
