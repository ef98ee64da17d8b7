"""What a user wishes for, in the prior's terms: shares of the corpus's own range become numbers, words become kinds."""

import difflib
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from distill.audio.notes import parse_pitch
from distill.audio.traits import BRIGHTNESS, ONSETS, PITCH, TRAITS, sound_traits
from distill.audio.wished import Quantiles
from distill.corpus.kinds import safe_name
from distill.errors import DistillError
from distill.modelfile.card import ModelCard
from distill.modelfile.opened import LoadedVQModel
from distill.models.canvas import Canvas
from distill.settings.generation import GenerationSettings
from distill.settings.geometry import COLUMN_SECONDS, SAMPLE_RATE

LEAST_SECONDS = 0.02
IN_TIME = 5.0 / 3.0
"""Times as strongly as other wishes a period is followed where nothing else is wished: 2.5 by default. As learned, a minute has
half the beat of the recordings."""
WISHED = ("kind", "brightness", "loudness", "pitch", "onsets", "length")
"""The settings of a generation that are wishes."""


class Wishes(NamedTuple):
    """What a sound shall be like."""

    traits: Tensor | None = None
    """[4], as the prior reads them, the same for all columns; NaN: nothing is wished. None: nothing at all."""
    kind: int = 0
    loudness_db: float | None = None
    """K-weighted, of the whole sound; None: as it comes."""
    samples: int | None = None
    """How long it is; None: as it comes."""
    periods: tuple[int, ...] = ()
    """Columns after which it may come round again, one of which its seed chooses; none: nothing is said of that."""

    def of(self, canvas: Canvas, strength: float, generator: torch.Generator) -> Canvas:
        """A canvas for which this is wished, of the sound that a generator was seeded for."""
        traits = None if self.traits is None else self.traits.expand(canvas.columns, -1)
        period = self.periods[(generator.initial_seed() >> 40) % len(self.periods)] if self.periods else 0
        if period and not self.chosen_by:
            strength *= IN_TIME
        return replace(canvas, traits=traits, kind=self.kind, strength=strength, period=period)

    def in_time(self, loaded: LoadedVQModel) -> "Wishes":
        """These, of a sound that is longer than the prior's window: nothing but a period holds it together then, one of those
        of the recordings."""
        return self._replace(periods=loaded.card.periods)

    def keeps_on(self, again: bool) -> bool:
        """Whether a sound that would be followed by `again` another where it ends does not end: another would begin out of
        time."""
        return again and bool(self.periods)

    def filled_up(self, others: Tensor | None) -> "Wishes":
        """These, and of traits that nothing is wished of what others [4] say."""
        if others is None:
            return self
        own = torch.full((len(TRAITS),), math.nan) if self.traits is None else self.traits
        traits = torch.where(own.isnan(), others, own)
        return self if bool(traits.isnan().all()) else self._replace(traits=traits)

    @property
    def chosen_by(self) -> bool:
        """Whether some of several sounds would be nearer to it."""
        return self.traits is not None or self.kind > 0


def wishes_of(loaded: LoadedVQModel, settings: GenerationSettings) -> Wishes:
    """The wishes among the settings of a generation.

    Raises:
        DistillError: this model cannot follow one of them; the sentence says why, and what would work.
    """
    wished = [name for name in WISHED if getattr(settings, name) is not None]
    if not wished:
        return Wishes()
    card = loaded.card
    _check_able(loaded, wished)
    seconds = settings.seconds
    samples: int | None = None
    if settings.length is not None:
        seconds = min(seconds, _value(card, "length", settings.length))
        samples = round(max(seconds, LEAST_SECONDS) * SAMPLE_RATE)
    traits = torch.full((len(TRAITS),), math.nan)
    if settings.brightness is not None:
        traits[BRIGHTNESS] = _value(card, "brightness", settings.brightness)
    if settings.pitch is not None:
        traits[PITCH] = _pitch(card, settings.pitch)
    if settings.onsets is not None:
        traits[ONSETS] = _value(card, "onsets", settings.onsets) / max(seconds / COLUMN_SECONDS, 1.0)
    return Wishes(
        None if bool(traits.isnan().all()) else traits,
        0 if settings.kind is None else _kind(card, settings.kind),
        None if settings.loudness is None else _value(card, "loudness", settings.loudness),
        samples,
    )


def wishes_like(loaded: LoadedVQModel, samples: npt.NDArray[np.floating]) -> Tensor | None:
    """As bright and as high as a sound [N] at 48 kHz: [4]; None: this prior never heard what recordings are like.

    Not its onsets: a guide says where they are.
    """
    prior = loaded.card.prior_config
    if prior is None or not prior.traits:
        return None
    found = sound_traits(samples, SAMPLE_RATE, loaded.card.spectrogram_config)
    traits = torch.full((len(TRAITS),), math.nan)
    for place, value in ((BRIGHTNESS, found.brightness), (PITCH, found.pitch)):
        if value is not None:
            traits[place] = value
    return traits


def _check_able(loaded: LoadedVQModel, wished: Sequence[str]) -> None:
    prior = loaded.card.prior_config
    assert prior is not None
    again = f"Train its prior again: `distill train-prior {loaded.path.stem} --overwrite`."
    if not prior.both_sides:
        raise DistillError(f"--{wished[0]}: the prior of {loaded.path.stem} is older than wishes. {again}")
    if not prior.traits and any(name in ("brightness", "pitch", "onsets") for name in wished):
        raise DistillError(
            f"--{wished[0]}: the prior of {loaded.path.stem} was trained without its recordings, so it never heard what they "
            f"are like. {again}"
        )


def _value(card: ModelCard, name: str, share: float) -> float:
    """What a share of the corpus's own range is."""
    points = card.trait_quantiles.get(name)
    if points is None:
        what = "have no pitch" if name == "pitch" else f"were not measured for {name}"
        raise DistillError(f"--{name}: the recordings of this model {what}, so it cannot be asked for. Leave it out.")
    return float(Quantiles(torch.tensor(points)).to_value(torch.tensor(share)))


def _pitch(card: ModelCard, text: str) -> float:
    """A MIDI note, from a note or from a share of the corpus's range."""
    written = text.strip()
    if not written.endswith("%"):
        _value(card, "pitch", 0.5)  # there must be one
        return parse_pitch(written)
    try:
        share = float(written[:-1].strip()) / 100.0
        if not 0.0 <= share <= 1.0:
            raise ValueError
    except ValueError:
        raise DistillError(f"--pitch {text}: a share of the recordings' range is from 0% to 100%.") from None
    return _value(card, "pitch", share)


def _kind(card: ModelCard, word: str) -> int:
    """The number of a kind, from 1 on."""
    known = card.kinds
    if not known:
        raise DistillError(
            f"--kind {word}: this model knows no kinds of sounds. Sort the recordings into sub-folders and train again."
        )
    named = safe_name(word)
    if named in known:
        return known.index(named) + 1
    near = difflib.get_close_matches(named, known, 1)
    which = f"Do you mean {near[0]}? There are" if near else "There are"
    raise DistillError(f"--kind {word}: this model has no such kind. {which} {', '.join(known)}.")
