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

from distill.audio.notes import midi_to_hz, parse_pitch
from distill.audio.traits import BRIGHTNESS, LOUDNESS, ONSETS, PITCH, TRAITS, sound_traits
from distill.audio.wished import Quantiles
from distill.corpus.kinds import safe_name
from distill.errors import DistillError
from distill.modelfile.card import ModelCard
from distill.modelfile.opened import LoadedVQModel
from distill.models.canvas import Canvas
from distill.settings.curves import Curve, is_curve, parse_curve, share
from distill.settings.generation import DRAWN, GenerationSettings
from distill.settings.geometry import COLUMN_SECONDS, SAMPLE_RATE, columns

LEAST_SECONDS = 0.02
IN_TIME = 2.0 / 3.0
"""Times as strongly as other wishes a period is followed where nothing else is wished: as learned, by default."""
WISHED = ("kind", "brightness", "loudness", "pitch", "onsets", "length")
"""The settings of a generation that are wishes."""


class Wishes(NamedTuple):
    """What a sound shall be like."""

    traits: Tensor | None = None
    """[4], as the prior reads them, the same for all columns, or [C, 4], for each of C; NaN: nothing is wished. None: nothing
    at all."""
    kind: int = 0
    loudness_db: float | None = None
    """K-weighted, of the whole sound; None: as it comes."""
    samples: int | None = None
    """How long it is; None: as it comes."""
    periods: tuple[int, ...] = ()
    """Columns after which it may come round again, one of which its seed chooses; none: nothing is said of that."""
    notes_drawn: bool = False
    """Whether the pitch is drawn over it, as others of the traits may be."""

    def of(self, canvas: Canvas, strength: float, first: int = 0, generator: torch.Generator | None = None) -> Canvas:
        """A canvas for which this is wished.

        Args:
            first: where on the canvas the first column of a curve is. Before it nothing is wished, after the last the same
                as there.
            generator: the one that the sound is drawn with: how it was seeded chooses the period. None: there is none.
        """
        traits, period = self.traits, 0
        if traits is not None and traits.ndim == 1:
            traits = traits.expand(canvas.columns, -1)
        elif traits is not None:
            places = torch.arange(canvas.columns) - first
            traits = traits[places.clamp(0, len(traits) - 1)].masked_fill((places < 0)[:, None], math.nan)
        if self.periods and generator is not None:
            period = self.periods[(generator.initial_seed() >> 40) % len(self.periods)]
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
        nothing = own.isnan() if own.ndim == 1 else own.isnan().all(0)
        traits = torch.where(nothing, others, own)
        return self if bool(traits.isnan().all()) else self._replace(traits=traits)

    @property
    def envelope(self) -> Tensor | None:
        """[C] dB over the sound's mean, where loudness is drawn over it."""
        if self.traits is None or not self.drawn or bool(self.traits[:, LOUDNESS].isnan().any()):
            return None
        return self.traits[:, LOUDNESS]

    @property
    def tilt(self) -> Tensor | None:
        """[C] log2 of Hz, where brightness is drawn over it."""
        if self.traits is None or not self.drawn:
            return None
        found = self.traits[:, BRIGHTNESS]
        return None if bool(found.isnan().any()) or bool((found == found[0]).all()) else found

    @property
    def glide(self) -> Tensor | None:
        """[C] MIDI note numbers, where pitch is drawn over it."""
        return self.traits[:, PITCH] if self.traits is not None and self.drawn and self.notes_drawn else None

    def led(self) -> "Wishes":
        """These, of a sound that is led along the pitch that is drawn over it when it is rendered: the prior is asked for one
        note, in the middle of what is drawn, since it holds a note better than it changes one."""
        if self.traits is None or self.glide is None:
            return self
        low, high = self.glide.aminmax()
        traits = self.traits.clone()
        traits[:, PITCH] = (low + high) / 2.0
        return self._replace(traits=traits)

    @property
    def drawn(self) -> bool:
        """Whether something changes over the sound."""
        return self.traits is not None and self.traits.ndim > 1

    @property
    def pitch(self) -> float | None:
        """The MIDI note number of the whole sound; None: nothing is wished, or it is drawn over the sound."""
        if self.traits is None or self.drawn or bool(self.traits[PITCH].isnan()):
            return None
        return float(self.traits[PITCH])

    @property
    def chosen_by(self) -> bool:
        """Whether some of several sounds would be nearer to it."""
        return self.traits is not None or self.kind > 0


def wishes_of(loaded: LoadedVQModel, settings: GenerationSettings, drawn_over: int | None = None) -> Wishes:
    """The wishes among the settings of a generation.

    Args:
        drawn_over: the columns that curves are drawn over; None: a new sound, which is then as long as `--seconds` or
            `--length` says.

    Raises:
        DistillError: this model cannot follow one of them; the sentence says why, and what would work.
    """
    wished = [name for name in WISHED if getattr(settings, name) is not None]
    if not wished:
        return Wishes()
    card = loaded.card
    _check_able(loaded, wished, settings.loudness is not None and is_curve(settings.loudness))
    seconds = settings.seconds
    if settings.length is not None:
        seconds = min(seconds, _value(card, "length", settings.length))
    samples = round(max(seconds, LEAST_SECONDS) * SAMPLE_RATE)
    count = columns(card.spectrogram_config.frames(samples)) if drawn_over is None else drawn_over
    found = {name: _over_columns(card, name, getattr(settings, name), count) for name in DRAWN if name in wished}
    drawn = any(len(values) > 1 for values in found.values())
    traits = torch.full((count if drawn else 1, len(TRAITS)), math.nan)
    for place, name in ((BRIGHTNESS, "brightness"), (PITCH, "pitch"), (ONSETS, "onsets")):
        if name in found:
            traits[:, place] = found[name]
    traits[:, ONSETS] /= max(seconds / COLUMN_SECONDS, 1.0)
    loudness = found.get("loudness")
    mean = None if loudness is None else _mean_db(loudness)
    if loudness is not None and mean is not None and len(loudness) > 1:  # of the whole sound it is no matter of codes
        traits[:, LOUDNESS] = loudness - mean
    return Wishes(
        None if bool(traits.isnan().all()) else traits if drawn else traits[0],
        0 if settings.kind is None else _kind(card, settings.kind),
        mean,
        samples if settings.length is not None or (drawn and settings.verb is None and drawn_over is None) else None,
        notes_drawn=len(found.get("pitch", ())) > 1,
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


def _mean_db(values: Tensor) -> float:
    """The mean power of [C] dB."""
    if len(values) == 1:
        return float(values[0])
    return 10.0 * float((10.0 ** (values.double() / 10.0)).mean().log10())


def _check_able(loaded: LoadedVQModel, wished: Sequence[str], loudness_is_drawn: bool) -> None:
    prior = loaded.card.prior_config
    assert prior is not None
    again = f"Train its prior again: `distill train-prior {loaded.path.stem} --overwrite`."
    if not prior.both_sides:
        raise DistillError(f"--{wished[0]}: the prior of {loaded.path.stem} is older than wishes. {again}")
    if not prior.traits and any(name in DRAWN and (name != "loudness" or loudness_is_drawn) for name in wished):
        raise DistillError(
            f"--{wished[0]}: the prior of {loaded.path.stem} was trained without its recordings, so it never heard what they "
            f"are like. {again}"
        )


def _over_columns(card: ModelCard, name: str, text: str, count: int) -> Tensor:
    """What is wished of a trait: [1], or of a curve [count], in the middle of each column.

    A curve that is spread evenly has its ends there, so that they are reached.
    """
    curve = parse_curve(text) if is_curve(text) else Curve((text,))
    pitched = name == "pitch"
    values = [_pitch(card, value) if pitched else _value(card, name, share(value)) for value in curve.values]
    if curve.seconds is None and len(values) == 1:
        return torch.tensor(values)
    at = np.linspace(0.0, 1.0, len(values)) if curve.seconds is None else np.array(curve.seconds)
    middles = (np.arange(count) + 0.5) * COLUMN_SECONDS
    places = np.linspace(0.0, 1.0, count) if curve.seconds is None else middles
    return torch.from_numpy(np.interp(places, at, values)).float()


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
        note = parse_pitch(written)
        if note > 1.0:
            return note
        raise DistillError(
            f"--pitch {text}: as a note that is {midi_to_hz(note):.1f} Hz, which nobody hears. For a share of the recordings' "
            f"range write {100.0 * note:g}%."
        )
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
