"""Sounds between two others, and sounds with a curve over them: what `benchmarks/instrument.py` measures of both."""

import itertools
import math
import statistics
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import soxr
import torch
from scipy import stats

import distill
from distill.audio.mel import log_mel_of
from distill.audio.mel_statistics import mel_statistics, side_by_side
from distill.audio.pitch import pitch_track
from distill.audio.traits import (
    AUDIBLE_DB,
    BRIGHTNESS,
    LOUDNESS,
    PITCH,
    PITCH_RATE,
    column_traits,
    frame_traits,
    sound_traits,
    traits_of,
)
from distill.instrument.choosing import Sampled
from distill.instrument.making import DrawnSound, drawn_sounds
from distill.instrument.rendering import to_samples
from distill.instrument.synthesisers import choose_synthesiser
from distill.instrument.wishes import wishes_of
from distill.modelfile.opened import load_model
from distill.settings.generation import generation_settings
from distill.settings.geometry import SAMPLE_RATE, SpectrogramConfig, columns

PAIRS, STEPS, CURVED, CURVE_SECONDS = 8, 7, 8, 2.0
CURVES = {"rising": (0.0, 1.0), "falling": (1.0, 0.0)}
PITCHED = 16
PITCHES = {"rising": "20%,80%", "falling": "80%,20%", "there_and_back": "35%,65%,35%"}
"""Shares of the recordings' own range."""

Samples = npt.NDArray[np.floating]


def pairs_of(count: int) -> list[tuple[int, int]]:
    """Pairs of so many sounds, no two alike as far as there are enough."""
    return [(place % count, (place + 1 + place // count) % count) for place in range(PAIRS)]


def morphed(model: distill.Model, sounds: Sequence[Samples], seed: int) -> dict[str, Any]:
    """`PAIRS` morphs of `STEPS` steps: see the head of `benchmarks/instrument.py`."""
    pairs = pairs_of(len(sounds))
    every: list[list[Samples]] = []
    for number, (first, second) in enumerate(pairs):
        ends = sounds[first], sounds[second]
        made = model.morph(ends[0], SAMPLE_RATE, ends[1], SAMPLE_RATE, STEPS, seed=seed + number).samples.mean(1)
        every.append([*ends, *(_without_silence(each) for each in made)])
    points = side_by_side(np.stack([mel_statistics(_log_mel(each)) for group in every for each in group]), 128)
    found: dict[str, list[float]] = {
        name: []
        for name in ("order", "brightness", "loudness", "farther_than_apart", "way_gone", "largest_step", "ends")
    }
    for number, (first, second, *steps) in enumerate(every):
        one, other, *between = points[number * (STEPS + 2) : (number + 1) * (STEPS + 2)]
        apart = _distance(one, other)
        to_one, to_other = ([_distance(each, end) for each in between] for end in (one, other))
        found["order"].append(_rank(np.subtract(to_one, to_other)))
        for name in ("brightness", "loudness"):
            ends = [getattr(sound_traits(each), name) for each in (first, second)]
            values = [getattr(sound_traits(each), name) for each in steps]
            found[name].append(
                _rank([math.nan if each is None else each for each in values]) * np.sign(ends[1] - ends[0])
            )
        found["farther_than_apart"].append(sum(min(each) > apart for each in zip(to_one, to_other, strict=True)))
        moves = [_distance(*each) for each in itertools.pairwise(between)]
        found["way_gone"].append(sum(moves) / apart)
        found["largest_step"].append(max(moves) / apart)
        found["ends"].append((to_one[0] + to_other[-1]) / 2 / apart)
    medians = {name: statistics.median(values) for name, values in found.items() if name != "farther_than_apart"}
    return {
        **medians,
        "lowest_order": min(found["order"]),
        "lowest_brightness": min(found["brightness"]),
        "farther_than_apart": sum(found["farther_than_apart"]) / (len(every) * STEPS),
    }


def curved(model: distill.Model, _sounds: Sequence[Samples], seed: int) -> dict[str, Any]:
    """`CURVED` sounds for each curve and trait: rank correlation within a sound of what is drawn and what is measured."""
    plain = model.generate(CURVED, CURVE_SECONDS, seed, ending="exact").samples.mean(1)
    found: dict[str, Any] = {}
    for name, trait in (("brightness", BRIGHTNESS), ("loudness", LOUDNESS)):
        for curve, ends in CURVES.items():
            made = model.generate(CURVED, CURVE_SECONDS, seed, **{name: ends}).samples.mean(1)
            found |= _summed_up(f"{name}_{curve}", made, trait, 1.0 if ends[1] > ends[0] else -1.0)
        found |= _summed_up(f"{name}_undrawn", plain, trait, 1.0)
    return found


def pitched(model: distill.Model, _sounds: Sequence[Samples], seed: int) -> dict[str, Any]:
    """`PITCHED` sounds for each curve of a pitch: how near their columns are to it, and what becomes of their tone."""
    loaded = load_model(model.path)
    synthesise = choose_synthesiser(loaded, "auto", torch.device("cpu"))
    found: dict[str, Any] = {}
    for name, curve in PITCHES.items():
        settings = generation_settings(count=PITCHED, seconds=CURVE_SECONDS, seed=seed, pitch=curve)
        as_it_comes = settings.model_copy(update={"pitch": None})
        notes = wishes_of(loaded, settings).glide
        assert notes is not None
        ranks, off, changes, pitched = [], [], [], []
        for each in drawn_sounds(loaded, settings, synthesise):
            if not isinstance(each, DrawnSound):
                continue
            codes, own = each.drawn.codes, each.drawn.generator.clone_state()
            plain = to_samples(loaded, Sampled(codes, False, codes.float()), synthesise, own, as_it_comes).mean(0)
            sound = each.drawn.render().mean(0)
            had = column_pitches(sound)
            away = (had - notes[: len(had)]).abs()
            known = (~away.isnan()).nonzero()[:, 0]
            pitched.append(len(known) / len(had))
            changes.append(_harmonic_db(sound) - _harmonic_db(plain))
            if len(known) >= 3:
                ranks.append(float(stats.spearmanr(notes[known], had[known]).statistic))
                off.append(float(away[known].median()))
        found[name] = {
            "rank": statistics.median(ranks) if ranks else None,
            "lowest_rank": min(ranks, default=None),
            "semitones_off": statistics.median(off) if off else None,
            "most_semitones_off": max(off, default=None),
            "sounds": len(ranks),
            "of": PITCHED,
            "columns_with_a_pitch": statistics.mean(pitched),
            "harmonic_db_changed": float(np.nanmedian(changes)),
        }
    return found


def column_pitches(sound: Samples) -> torch.Tensor:
    """The MIDI note number of each column of a sound but the last, which is half empty; NaN where there is none."""
    config = SpectrogramConfig()
    mel = log_mel_of(np.asarray(sound, np.float32), config).T
    return column_traits(frame_traits(mel, sound, config), columns(len(mel)))[:-1, PITCH]


def _harmonic_db(sound: Samples) -> float:
    """The harmonic-to-noise ratio of those moments that have a pitch, median; NaN where none has."""
    track = pitch_track(soxr.resample(np.asarray(sound, np.float32), SAMPLE_RATE, PITCH_RATE), PITCH_RATE)
    return float(np.median(track.harmonic_db[track.voiced])) if track.voiced.any() else math.nan


def _summed_up(name: str, sounds: Sequence[Samples], trait: int, sign: float) -> dict[str, float]:
    """Median and lowest correlation of those sounds that have the trait in three columns, and how many they are."""
    ranks = [sign * each for each in (within(sound, trait) for sound in sounds) if not math.isnan(each)]
    if not ranks:
        return {f"{name}_sounds": 0}
    return {name: statistics.median(ranks), f"{name}_lowest": min(ranks), f"{name}_sounds": len(ranks)}


def within(sound: Samples, trait: int) -> float:
    """Rank correlation of a sound's columns with time; of brightness, of those that are heard."""
    config = SpectrogramConfig()
    mel = log_mel_of(np.asarray(sound, np.float32), config).T  # a floor would be bright
    frames = frame_traits(mel, sound, config)
    found = column_traits(frames, columns(len(mel)))[:-1]  # the last one is half empty
    heard = found[:, LOUDNESS] > traits_of(frames, 0.0).loudness - (AUDIBLE_DB if trait == BRIGHTNESS else math.inf)
    return _rank(torch.where(heard, found[:, trait], torch.nan).tolist())


def _rank(values: Any) -> float:
    """Spearman's correlation of values with their order; NaN where fewer than three are known."""
    places = [place for place, value in enumerate(values) if not math.isnan(value)]
    if len(places) < 3 or len({float(values[place]) for place in places}) < 2:
        return math.nan
    return float(stats.spearmanr(places, [values[place] for place in places]).statistic)


def _distance(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float:
    return float(np.sqrt(np.square(one - other).sum()))


def _log_mel(sound: Samples) -> torch.Tensor:
    """[N] -> [T, M] dB, not below 60 dB under its loudest cell."""
    mel = log_mel_of(np.asarray(sound, np.float32), SpectrogramConfig()).T
    return mel.clamp_min(float(mel.max()) - AUDIBLE_DB)


def _without_silence(sound: Samples) -> Samples:
    """A sound without what it was filled up with."""
    return sound[: int(np.flatnonzero(np.append(1.0, sound))[-1]) or 1]
