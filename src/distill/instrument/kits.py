"""Kits: the sounds of a pack on the keys of a sampler, as SFZ and as a DecentSampler preset. No torch.

Every kind is on one key. Its sounds are sorted by loudness into layers of velocity, softer ones for softer strokes; inside a
layer they take turns (round robin). All sounds of a key are turned to one loudness, so that turns and layers do not jump: how
loud a stroke is, the sampler makes of its velocity, and the layers give the timbre that goes with it.
"""

import statistics
from collections.abc import Sequence
from math import isfinite
from typing import Literal, NamedTuple, get_args
from xml.etree import ElementTree

KitFormat = Literal["sfz", "decentsampler"]
KIT_FORMATS: tuple[KitFormat, ...] = get_args(KitFormat)
SUFFIXES: dict[KitFormat, str] = {"sfz": ".sfz", "decentsampler": ".dspreset"}
READ_BY_SAMPLERS = ("wav", "flac")
"""Formats that both kinds of sampler read."""

VARIATIONS = 8
"""Sounds of a kind, unless another count is asked for."""
SOUNDS_A_LAYER, MOST_LAYERS = 4, 4
LOWEST_KEY, HIGHEST_KEY = 36, 127
MOST_GAIN_DB, LEAST_GAIN_DB = 6.0, -24.0
"""How far a sound is turned up or down; +6 dB is SFZ's highest volume. No peak goes beyond full scale."""
DRUM_KEYS = (
    (36, ("kick", "bd", "bassdrum", "kicks")),
    (37, ("rim", "rimshot", "sidestick")),
    (38, ("snare", "sd", "snares")),
    (39, ("clap", "claps", "handclap")),
    (46, ("open", "openhat", "oh", "ohh")),
    (42, ("hat", "hats", "hihat", "hh", "closed", "ch", "chh")),
    (49, ("crash", "cymbal", "cymbals")),
    (51, ("ride",)),
    (45, ("tom", "toms")),
    (54, ("tambourine", "tamb")),
    (56, ("cowbell",)),
    (60, ("bongo", "bongos")),
    (63, ("conga", "congas")),
    (70, ("shaker", "maracas")),
)
"""General MIDI's keys for drums, by words that kinds have: a drum track that is there already plays the kit."""


class KitSound(NamedTuple):
    """A sound of a kit."""

    path: str
    """Relative to the kit, with slashes."""
    kind: str
    loudness: float
    """LUFS."""
    peak_db: float


class Stroke(NamedTuple):
    """A sound on its key."""

    path: str
    key: int
    low_velocity: int
    high_velocity: int
    turn: int
    """From 1 on."""
    turns: int
    gain_db: float


def keys_of(kinds: Sequence[str]) -> dict[str, int]:
    """A key for each kind: General MIDI's where a kind has one of its words, else the lowest that is free."""
    keys: dict[str, int] = {}
    for kind in kinds:
        words = "".join(sign if sign.isalnum() else " " for sign in kind.lower()).split()
        key = next((key for key, names in DRUM_KEYS if any(word in names for word in words)), None)
        if kind not in keys and key is not None and key not in keys.values():
            keys[kind] = key
    free = (key for key in range(LOWEST_KEY, HIGHEST_KEY + 1) if key not in list(keys.values()))
    for kind in kinds:
        if kind not in keys:
            keys[kind] = next(free)
    return keys


def strokes_of(sounds: Sequence[KitSound]) -> list[Stroke]:
    """Where each sound is played, by key, velocity and turn. Silent sounds are left out."""
    sounding = [each for each in sounds if isfinite(each.loudness)]
    found: list[Stroke] = []
    for kind, key in sorted(keys_of([each.kind for each in sounding]).items(), key=lambda one: one[1]):
        own = sorted((each for each in sounding if each.kind == kind), key=lambda one: (one.loudness, one.path))
        middle = statistics.median(each.loudness for each in own)
        layers = min(max(len(own) // SOUNDS_A_LAYER, 1), MOST_LAYERS)
        for layer in range(layers):
            inside = own[layer * len(own) // layers : (layer + 1) * len(own) // layers]
            low, high = (max(1, 128 * layer // layers), 128 * (layer + 1) // layers - 1)
            for turn, each in enumerate(inside, start=1):
                gain = max(LEAST_GAIN_DB, min(middle - each.loudness, MOST_GAIN_DB, -each.peak_db))
                found.append(Stroke(each.path, key, low, high, turn, len(inside), round(gain, 2)))
    return found


def sfz(strokes: Sequence[Stroke], title: str) -> str:
    """The kit as SFZ 1, which every SFZ player reads.

    Args:
        title: a line to begin with; what it holds is not read.
    """
    lines = [f"// {' '.join(title.split())}", "<global>", "loop_mode=one_shot", "ampeg_release=0.05", ""]
    for each in strokes:
        lines.append(
            f"<region> key={each.key} lovel={each.low_velocity} hivel={each.high_velocity} "
            f"seq_length={each.turns} seq_position={each.turn} volume={each.gain_db:.2f} sample={each.path}"
        )
    return "\n".join(lines) + "\n"


def decentsampler(strokes: Sequence[Stroke]) -> str:
    """The kit as a DecentSampler preset: a group for each key and layer. Its long release plays every stroke to its end."""
    preset = ElementTree.Element("DecentSampler", minVersion="1.0.0")
    groups = ElementTree.SubElement(preset, "groups", attack="0", decay="0", sustain="1", release="30")
    inside: dict[tuple[int, int], ElementTree.Element] = {}
    for each in strokes:
        place = (each.key, each.low_velocity)
        if place not in inside:
            inside[place] = ElementTree.SubElement(
                groups, "group", ampVelTrack="1", seqMode="round_robin", seqLength=f"{each.turns}"
            )
        ElementTree.SubElement(
            inside[place], "sample", path=each.path, rootNote=f"{each.key}", loNote=f"{each.key}", hiNote=f"{each.key}",
            loVel=f"{each.low_velocity}", hiVel=f"{each.high_velocity}", seqPosition=f"{each.turn}",
            volume=f"{each.gain_db:.2f}dB", loopEnabled="false",
        )  # fmt: skip
    ElementTree.indent(preset)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(preset, encoding="unicode") + "\n"
