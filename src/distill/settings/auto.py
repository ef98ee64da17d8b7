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
from distill.settings.prior import PriorSettings, PriorSize

POSITIONS_PER_CODE = 6.0
"""Positions that each code of a level should have, so that no code stays without use."""
PRIOR_STEPS = 220
"""Optimiser steps of the prior in a training of default length, up to `MORE_STEPS_ABOVE` positions."""
PRESET_TIMES: dict[Preset, float] = {"draft": 0.5, "standard": 1.0, "thorough": 2.0}
"""Times as many steps of the prior."""
PRIOR_SIZES = (PriorSize(64, 2, 2), PriorSize(128, 3, 4), PriorSize(192, 4, 4))
"""Sizes of the prior, from small to large; which of them race for a corpus says `prior_sizes`."""
MORE_STEPS_ABOVE = 15_000
"""Positions (5 minutes) from which on the prior gets more steps, as many more as there are more positions."""
MOST_STEPS_TIMES = 4
"""Times as many steps as up to there, at most: of 20 minutes, and of whatever is longer."""
LEAST_PRIOR_EPOCHS = 10
"""Epochs that a training of the prior has at least, so that its best is found."""
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
    epochs = _clamp(epochs_for(CODEC_CROPS[preset], facts.crops, preset, batch_size), LEAST_EPOCHS, 2_000)
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


def epochs_for(learned: int, crops: int, preset: Preset, batch_size: int) -> int:
    """How many epochs of the codec learn from `learned` crops in all, in whole batches, where the training files hold `crops`."""
    return round(learned / (batch_size * math.ceil(epoch_crops(crops, preset) / batch_size)))


def prior_auto(facts: CorpusFacts, overrides: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What `get_adaptive_prior_config` says of so many positions, with epochs for as many steps, and a window by the
    length of the files.

    Args:
        overrides: what the user set: preset, batch size and window decide how many epochs the steps are.
    """
    chosen = {name: value for name, value in (overrides or {}).items() if value is not None}
    preset = chosen.get("preset", PriorSettings.model_fields["preset"].default)
    batch_size = chosen.get("batch_size", PriorSettings.model_fields["batch_size"].default)
    context = LONG_CONTEXT_SECONDS if facts.median_seconds >= LONG_FILE_SECONDS else CONTEXT_SECONDS
    windows = math.ceil(facts.crops * CONTEXT_SECONDS / chosen.get("context_seconds", context))
    steps_per_epoch = math.ceil(epoch_windows(windows, facts.positions, preset, batch_size) / batch_size)
    adapted = get_adaptive_prior_config(facts.positions, preset)
    return {
        **adapted,
        "epochs": _clamp(round(adapted["epochs"] / steps_per_epoch), LEAST_PRIOR_EPOCHS, adapted["epochs"]),
        "context_seconds": context,
        "views": _clamp(round(VIEWED_SECONDS / max(facts.seconds, 1.0)), 1, 16),
    }


def get_adaptive_prior_config(positions: float, preset: Preset = "standard") -> dict[str, Any]:
    """Size and training of the prior by the positions of codes that it learns from.

    The size is the smallest that would race, and is taken where there is no race. The epochs are those of a corpus that
    is one step.
    """
    return {
        **prior_sizes(positions, preset)[0]._asdict(),
        "dropout": 0.2,
        "epochs": prior_steps(positions, preset),
        "learning_rate": 2e-3,
    }


def prior_sizes(positions: float, preset: Preset) -> tuple[PriorSize, ...]:
    """The sizes that are worth trying, from small to large: of a long corpus the larger ones."""
    first = int(positions > MORE_STEPS_ABOVE)
    return PRIOR_SIZES if preset == "thorough" else PRIOR_SIZES[first : first + (1 if preset == "draft" else 2)]


def prior_steps(positions: float, preset: Preset) -> int:
    """Steps of a training of default length: a budget, whatever the corpus."""
    times = min(max(positions / MORE_STEPS_ABOVE, 1.0), MOST_STEPS_TIMES)
    return round(PRIOR_STEPS * PRESET_TIMES[preset] * times)


def epoch_windows(windows: int, positions: float, preset: Preset, batch_size: int) -> int:
    """Windows in an epoch of the prior: as many as the training files hold; of a long corpus a share of what all steps
    learn from, drawn anew for each, so that there are `LEAST_PRIOR_EPOCHS` whatever the corpus."""
    return max(1, min(windows, prior_steps(positions, preset) * batch_size // LEAST_PRIOR_EPOCHS))


def raced_sizes(positions: float, preset: Preset, origin: Mapping[str, Origin]) -> tuple[PriorSize, ...]:
    """The sizes that race for a corpus; none where the user set one, or wants a draft.

    Args:
        origin: where the settings came from.
    """
    sizes = prior_sizes(positions, preset)
    return () if len(sizes) < 2 or any(origin.get(name) == "set" for name in PriorSize._fields) else sizes


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
