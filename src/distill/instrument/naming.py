"""What the sounds of a pack are called: `kick/kick_03_bright.wav`, `loop/loop_120bpm_02_a1.wav`.

A kind is a word of the user's own folders, so it may be any text: in a name it is letters and digits. No torch.
"""

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from distill.audio.notes import note_name
from distill.corpus.kinds import safe_name
from distill.files import unreserved

LEAST_OCTAVES, LEAST_TIMES, LEAST_DB = 0.3, 1.5, 4.0
"""A sound is bright or dark, long or short, loud or soft where it is at least so far from the middle of its kind."""
MOST_TEMPO_DIGITS = 2


class Described(NamedTuple):
    """What a name is made of."""

    kind: str
    seconds: float
    loudness: float
    """LUFS."""
    brightness: float | None
    """log2 of Hz."""
    note: float | None
    """MIDI note number."""


class Named(NamedTuple):
    """What a sound is called."""

    folder: str
    stem: str
    word: str
    """What tells it from others of its kind; empty: nothing does much."""


def named(sounds: Sequence[Described], bpm: float | None = None) -> list[Named]:
    """A name for each sound, in their order and unlike all others: kind, tempo, number, note, and what it is like in its kind."""
    folders = folders_of([each.kind for each in sounds])
    totals = Counter(folders)
    digits = max(2, len(str(max(totals.values(), default=0))))
    numbers: Counter[str] = Counter()
    found = []
    for sound, folder in zip(sounds, folders, strict=True):
        numbers[folder] += 1
        word = _word(sound, [other for other, where in zip(sounds, folders, strict=True) if where == folder])
        tempo = "" if bpm is None else f"{round(bpm, MOST_TEMPO_DIGITS):g}bpm"
        note = "" if sound.note is None else note_name(sound.note).replace("#", "s").lower()
        parts = (folder, tempo, f"{numbers[folder]:0{digits}d}", note, word)
        found.append(Named(folder, "_".join(part for part in parts if part), word))
    return found


def folders_of(kinds: Sequence[str]) -> list[str]:
    """A folder's name for each kind, the same for the same, unlike for unlike, and one that every system takes."""
    made: dict[str, str] = {}
    for kind in kinds:
        if kind in made:
            continue
        plain, number = safe_name(kind), 2
        name = unreserved(plain)
        while name in made.values():
            name, number = f"{plain}_{number}", number + 1
        made[kind] = name
    return [made[kind] for kind in kinds]


def _word(sound: Described, kind: Sequence[Described]) -> str:
    """The word that says most of how a sound differs from the middle of its kind."""
    offs: list[tuple[float, str, str]] = []
    bright = [each.brightness for each in kind if each.brightness is not None]
    if sound.brightness is not None:
        offs.append(((sound.brightness - statistics.median(bright)) / LEAST_OCTAVES, "bright", "dark"))
    middle = statistics.median(each.seconds for each in kind)
    if middle > 0 and sound.seconds > 0:
        offs.append((math.log(sound.seconds / middle, LEAST_TIMES), "long", "short"))
    loud = [each.loudness for each in kind if math.isfinite(each.loudness)]
    if math.isfinite(sound.loudness):
        offs.append(((sound.loudness - statistics.median(loud)) / LEAST_DB, "loud", "soft"))
    if not offs:
        return ""
    off, more, less = max(offs, key=lambda each: abs(each[0]))
    return "" if abs(off) < 1.0 else more if off > 0 else less
