"""What a setting is when the user leaves it: the rules that fill it in from the corpus.

`resolve` always returns real numbers and says which of them the user set. No torch here.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError

from distill.errors import DistillError
from distill.settings.codec import CodecSettings, Preset
from distill.settings.geometry import CROP_SAMPLES, POSITIONS_PER_SECOND, SAMPLE_RATE
from distill.settings.knobs import Origin, describe_invalid, is_knob
from distill.settings.prior import PriorSettings

POSITIONS_PER_CODE = 6.0
"""Positions that each code of a level should have, so that no code stays without use."""
PRIOR_STEPS = 220
"""Optimiser steps of the prior in a training of default length."""
CONTEXT_SECONDS = CROP_SAMPLES / SAMPLE_RATE
LONG_CONTEXT_SECONDS = 4 * CONTEXT_SECONDS
"""Windows of the prior for short files and for long ones."""
LONG_FILE_SECONDS = 2.0
"""From this median duration on, files are long."""
VIEWED_SECONDS = 1_500.0
"""Seconds of sound, all views together, that the prior learns from where there is less."""
CODEC_CROPS: dict[Preset, int] = {"draft": 2_400, "standard": 4_800, "thorough": 19_200}
"""Crops that the codec learns from in a training of default length."""
LEAST_EPOCHS = 10
"""Epochs that a training of default length has at least: so often it is validated, and its best kept."""
PREVIEWS = 5
"""Previews in a training of default length."""

SettingsT = TypeVar("SettingsT", bound=BaseModel)


@dataclass(frozen=True)
class CorpusFacts:
    """What "auto" depends on."""

    files: int
    """Usable files or pieces, near-duplicates counted once each."""
    seconds: float
    """Duration of all training files together."""
    crops: int
    """Crops of 1.024 s that they fill, at least one for each file: what an epoch of the codec goes through."""
    median_seconds: float = 1.0
    """Duration of the training file in the middle."""
    sliced: bool = False
    """Whether files are pieces that long recordings were cut into."""

    @property
    def positions(self) -> float:
        """Positions of codes in the training files."""
        return self.seconds * POSITIONS_PER_SECOND


@dataclass(frozen=True)
class Resolved(Generic[SettingsT]):
    """Settings with every value decided, and where each value came from."""

    settings: SettingsT
    origin: dict[str, Origin]


def codec_auto(facts: CorpusFacts, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Codebook by the corpus's positions, epochs by its crops, so that small and large corpora take similar time.

    Args:
        overrides: what the user set: preset, batch size and epochs decide how long the training is; whether the codec
            starts from the program's own weights decides the step sizes, because smaller steps do not spoil those.
    """
    chosen = {name: value for name, value in (overrides or {}).items() if value is not None}
    batch_size = chosen.get("batch_size", CodecSettings.model_fields["batch_size"].default)
    preset = chosen.get("preset", CodecSettings.model_fields["preset"].default)
    crops_per_epoch = batch_size * math.ceil(epoch_crops(facts.crops, preset) / batch_size)
    epochs = _clamp(round(CODEC_CROPS[preset] / crops_per_epoch), LEAST_EPOCHS, 2_000)
    gentle = {"learning_rate": 1e-3, "matrix_learning_rate": 0.02, "warmup_share": 0.1}
    bold = {"learning_rate": 2e-3, "matrix_learning_rate": 0.025, "warmup_share": 0.3}
    return {
        "slice": "on" if facts.sliced else "off",
        "codebook_size": 2 ** _clamp(int(math.log2(max(facts.positions / POSITIONS_PER_CODE, 1.0))), 4, 8),
        "epochs": epochs,
        "preview_every": max(1, chosen.get("epochs", epochs) // PREVIEWS),
        **(gentle if chosen.get("pretrained", True) else bold),
    }


def epoch_crops(crops: int, preset: Preset) -> int:
    """Crops in an epoch of the codec: as many as the training files hold; of a long corpus a share of what the training
    learns from, drawn anew for each, so that two hours of sound take no longer than two minutes."""
    return min(crops, CODEC_CROPS[preset] // LEAST_EPOCHS)


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


def _clamp(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))
