"""Pitches as people write them: note names, MIDI note numbers, Hz. Middle C is C4, note 60; 440 Hz is A4, note 69."""

import math
import re
import unicodedata

from distill.errors import DistillError

NAMES = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
LOWEST, HIGHEST = 0.0, 127.0
"""The MIDI note numbers there are."""
NATURAL = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}
NOTE = re.compile(r"([a-g])([#b]*)\s*(-?\d{1,2})")
HERTZ = re.compile(r"(\d*\.?\d+)\s*(k?)hz")
NUMBER = re.compile(r"-?\d*\.?\d+")
SIGNS = str.maketrans({"♯": "#", "♭": "b", "−": "-"})


def hz_to_midi(hz: float) -> float:
    """The MIDI note number, with its fraction, of a frequency above 0 Hz."""
    return 69.0 + 12.0 * math.log2(hz / 440.0)


def midi_to_hz(midi: float) -> float:
    """The frequency of a MIDI note number."""
    return 440.0 * math.exp2((midi - 69.0) / 12.0)


def note_name(midi: float) -> str:
    """The name of the nearest note: 60 -> `C4`, 61.2 -> `C#4`, 0 -> `C-1`."""
    nearest = math.floor(midi + 0.5)
    return f"{NAMES[nearest % 12]}{nearest // 12 - 1}"


def key_name(midi: float) -> str:
    """The same without its octave: 61.2 -> `C#`."""
    return note_name(midi).rstrip("-0123456789")


def parse_pitch(text: str) -> float:
    """A MIDI note number from a note name (`C#4`, `Eb3`), a MIDI note number (`60`, `60.5`) or a frequency (`261.6Hz`).

    Raises:
        DistillError: it is none of them, or none that MIDI has a number for.
    """
    plain = unicodedata.normalize("NFKC", text).translate(SIGNS).strip().casefold()
    if named := NOTE.fullmatch(plain):
        letter, signs, octave = named.groups()
        midi = 12.0 * (int(octave) + 1) + NATURAL[letter] + signs.count("#") - signs.count("b")
    elif (hertz := HERTZ.fullmatch(plain)) and float(hertz[1]) > 0.0:
        midi = hz_to_midi(float(hertz[1]) * (1000.0 if hertz[2] else 1.0))
    elif NUMBER.fullmatch(plain):
        midi = float(plain)
    else:
        raise DistillError(
            f"{text!r} is no pitch: give a note such as C#4, a MIDI note number such as 61, or a frequency such as 277.2Hz."
        )
    if not LOWEST <= midi <= HIGHEST:
        raise DistillError(
            f"{text!r} is out of range: pitches go from C-1 (note 0, 8.2 Hz) to G9 (note 127, 12544 Hz)."
        )
    return midi
