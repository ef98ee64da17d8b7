"""The 40 fixed sounds that `make demo` learns from: tables of parameters for `distill.synthetic.families`."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import soundfile

from distill.files import replacing
from distill.settings.geometry import SAMPLE_RATE
from distill.synthetic.families import (
    Samples,
    Sound,
    cymbal,
    drone,
    drops,
    faded,
    finish,
    fm_bell,
    membrane,
    noise_hit,
    pluck,
    scaled,
    snare,
    wandering,
    wind,
)

_SEMITONES = {"c": -9, "d": -7, "e": -5, "g": -2, "a": 0}
"""A minor pentatonic, in which everything with a pitch is tuned: semitones from a4."""

_BRIGHTNESS = {"felt": 0.15, "nylon": 0.45, "steel": 0.75, "bright": 0.95}

# Note, kind of string, seconds, peak in dBFS.
_PLUCKS = (
    ("a1", "felt", 2.5, -5.0), ("e2", "nylon", 2.1, -4.0), ("a2", "bright", 2.3, -2.0), ("c3", "steel", 1.8, -6.0),
    ("d3", "felt", 0.4, -12.0), ("e3", "nylon", 1.5, -9.0), ("g3", "bright", 1.3, -3.0), ("a3", "felt", 0.5, -16.0),
    ("c4", "nylon", 1.1, -7.0), ("e4", "steel", 0.9, -5.0), ("a4", "nylon", 0.7, -20.0), ("d5", "bright", 0.6, -8.0),
)  # fmt: skip

# Note, kind, seconds, ratio of modulator to carrier, modulation index, peak in dBFS.
_BELLS = (
    ("a2", "gong", 2.5, 1.41, 6.0, -4.0), ("e3", "gong", 2.0, 1.41, 4.5, -10.0), ("a3", "church", 2.2, 1.4, 3.5, -6.0),
    ("d4", "church", 1.7, 1.4, 3.0, -14.0), ("e4", "wood", 0.3, 2.45, 1.2, -5.0), ("g4", "wood", 0.24, 2.45, 1.0, -9.0),
    ("c5", "glass", 1.2, 3.53, 1.6, -8.0), ("a5", "glass", 0.9, 3.53, 1.2, -18.0),
)  # fmt: skip

# Note, kind, seconds, bend, strike, peak in dBFS.
_MEMBRANES = (
    ("e1", "kick", 0.6, 3.0, 0.0, -1.0), ("a1", "kick", 0.4, 2.0, 0.1, -3.0), ("e2", "tom", 0.9, 0.5, 0.3, -4.0),
    ("a2", "tom", 0.7, 0.4, 0.35, -6.0), ("d3", "tom", 0.55, 0.3, 0.4, -11.0), ("g3", "conga", 0.4, 0.12, 0.6, -7.0),
    ("c4", "conga", 0.3, 0.08, 0.7, -13.0), ("e4", "bongo", 0.2, 0.05, 0.8, -9.0),
)  # fmt: skip

# Name, seconds, lowest frequency, tone, peak in dBFS.
_CYMBALS = (
    ("hat-closed", 0.16, 6500.0, 0.3, -10.0), ("hat-pedal", 0.22, 3000.0, 0.75, -15.0),
    ("hat-open", 0.8, 6000.0, 0.4, -9.0),
)  # fmt: skip

# Kind, note of the skin, seconds, wires, peak in dBFS.
_SNARES = (("tight", "a3", 0.25, 0.55, -2.0), ("loose", "e3", 0.45, 0.75, -5.0), ("brushed", "g3", 0.35, 0.9, -17.0))

# Name, seconds, lowest and highest frequency, attack in seconds, bursts, peak in dBFS.
_NOISES = (
    ("shaker-short", 0.2, 4000.0, 9000.0, 0.03, 1, -16.0), ("shaker-long", 0.4, 3000.0, 7500.0, 0.07, 1, -12.0),
    ("clap-dry", 0.25, 900.0, 2200.0, 0.001, 3, -3.0), ("clap-wide", 0.5, 700.0, 3500.0, 0.001, 4, -7.0),
)  # fmt: skip

_TEXTURE_SECONDS = 5.0


@dataclass(frozen=True)
class EmbeddedSound:
    """One of the 40: its name without suffix, and mono 48 kHz audio, |x| <= 1."""

    name: str
    samples: Sound  # [N]


def note_hz(note: str) -> float:
    """The frequency of a note of the scale, such as "a4" (440 Hz)."""
    return 440.0 * float(2.0 ** (_SEMITONES[note[0]] / 12 + int(note[1]) - 4))


def embedded_corpus() -> Iterator[EmbeddedSound]:
    """The 40 sounds, the same to the bit each time."""
    for name, peak_db, samples in chain(_plucks(), _bells(), _drums(), _noises(), _textures()):
        yield EmbeddedSound(name, finish(samples, peak_db))


def write_embedded_corpus(folder: Path) -> list[Path]:
    """Write the 40 as `NAME.wav`, 48 kHz, 24 bit, mono; each file is replaced whole or not at all.

    Raises:
        DistillError: the folder cannot be made or written.
    """
    paths = []
    for sound in embedded_corpus():
        path = folder / f"{sound.name}.wav"
        with replacing(path) as stream:
            soundfile.write(stream, sound.samples, SAMPLE_RATE, format="WAV", subtype="PCM_24")
        paths.append(path)
    return paths


Unfinished = Iterator[tuple[str, float, Samples]]
"""Name, peak in dBFS and samples before `finish`."""


def _rng(name: str) -> np.random.Generator:
    """A generator for each sound, seeded by its name: a new sound in a table changes no other."""
    return np.random.default_rng(zlib.crc32(name.encode()))


def _plucks() -> Unfinished:
    for note, kind, seconds, peak_db in _PLUCKS:
        name = f"pluck-{note}-{kind}"
        yield name, peak_db, pluck(note_hz(note), seconds, _BRIGHTNESS[kind], _rng(name))


def _bells() -> Unfinished:
    for note, kind, seconds, ratio, index, peak_db in _BELLS:
        yield f"bell-{note}-{kind}", peak_db, fm_bell(note_hz(note), seconds, ratio, index)


def _drums() -> Unfinished:
    for note, kind, seconds, bend, strike, peak_db in _MEMBRANES:
        yield f"drum-{note}-{kind}", peak_db, membrane(note_hz(note), seconds, bend, strike)


def _noises() -> Unfinished:
    for name, seconds, low_hz, tone, peak_db in _CYMBALS:
        yield name, peak_db, cymbal(seconds, low_hz, tone, _rng(name))
    for kind, note, seconds, wires, peak_db in _SNARES:
        name = f"snare-{kind}"
        yield name, peak_db, snare(note_hz(note), seconds, wires, _rng(name))
    for name, seconds, low_hz, high_hz, attack_seconds, bursts, peak_db in _NOISES:
        yield name, peak_db, noise_hit(seconds, low_hz, high_hz, _rng(name), attack_seconds, bursts)


def _textures() -> Unfinished:
    seconds, rng = _TEXTURE_SECONDS, _rng("texture-drone")
    chord = scaled(drone([note_hz(note) for note in ("a2", "e3", "c4", "g4")], seconds, 0.9, rng))
    swell = wandering(0.4, 1.0, seconds, 0.8, rng)
    yield "texture-drone", -9.0, faded(swell * chord + 0.25 * scaled(wind(seconds, 400.0, 4000.0, 2.0, rng)), 0.4, 0.8)
    rng = _rng("texture-rain")
    notes = [note_hz(note) for note in ("a4", "c5", "d5", "e5", "g5", "a5", "c6", "e6")]
    rain = scaled(drops(notes, seconds, 14.0, 0.5, rng)) + 0.3 * scaled(wind(seconds, 1200.0, 7000.0, 0.9, rng))
    yield "texture-rain", -14.0, faded(rain, 0.2, 0.8)
