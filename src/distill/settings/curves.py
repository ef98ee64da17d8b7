"""Curves that are drawn over a sound, as text: `0.2,0.8` spread evenly over it, `0:0.2,0.5:1` at seconds.

A number is a curve of one point. The text is what stands in files and the history, so it is bounded. No torch here.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

MOST_POINTS = 64
"""A curve of more keeps so many of them, evenly chosen: a sound of ten seconds has 59 columns."""
MOST_SECONDS = 86_400.0
WANTED = "give a number from 0 to 1, a curve such as 0,1,0.3 or 0:0.2,0.5:1, or a file of one"


class Curve(NamedTuple):
    """Points over a sound."""

    values: tuple[str, ...]
    """Numbers, or pitches as people write them."""
    seconds: tuple[float, ...] | None = None
    """Where they are, rising; None: evenly from the beginning to the end."""

    @property
    def text(self) -> str:
        """What `parse_curve` reads."""
        kept = self.bounded()
        if kept.seconds is None:
            return ",".join(kept.values)
        return ",".join(f"{_short(at)}:{value}" for at, value in zip(kept.seconds, kept.values, strict=True))

    def bounded(self) -> "Curve":
        """The same with at most `MOST_POINTS`, its first and last among them."""
        count = len(self.values)
        if count <= MOST_POINTS:
            return self
        places = [round(place * (count - 1) / (MOST_POINTS - 1)) for place in range(MOST_POINTS)]
        seconds = None if self.seconds is None else tuple(self.seconds[place] for place in places)
        return Curve(tuple(self.values[place] for place in places), seconds)


def is_curve(text: str) -> bool:
    """Whether a text is one drawn over a sound, not one value for all of it."""
    return "," in text or ":" in text


def parse_curve(text: str) -> Curve:
    """A curve from its text; what its values are is not looked at.

    Raises:
        ValueError: it is none; the sentence has no full stop.
    """
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise ValueError("a value is missing between its commas")
    timed = [":" in part for part in parts]
    if not any(timed):
        return Curve(tuple(parts))
    if not all(timed):
        raise ValueError("give all of its values a time (0:0.2,0.5:1) or none")
    pairs = [tuple(each.strip() for each in part.split(":", 1)) for part in parts]
    return Curve(tuple(value for _, value in pairs), rising(at for at, _ in pairs))


def rising(times: Iterable[str]) -> tuple[float, ...]:
    """Seconds, each after the one before.

    Raises:
        ValueError: they are not; the sentence has no full stop.
    """
    found: list[float] = []
    for text in times:
        try:
            at = float(text)
        except ValueError:
            at = math.nan
        if not 0.0 <= at <= MOST_SECONDS:
            raise ValueError(f"{text!r:.40} is no time in seconds")
        if found and at <= found[-1]:
            raise ValueError(f"{text.strip():.40} s is not after {found[-1]:g} s; times must rise")
        found.append(at)
    return tuple(found)


def checked_shares(text: str) -> str:
    """The text of a curve whose values are shares.

    Raises:
        ValueError: it is no such curve; the sentence says what to give.
    """
    curve = parse_curve(text)
    found = [share(value) for value in curve.values]
    return text.strip() if len(found) == 1 else curve._replace(values=tuple(f"{each:.6g}" for each in found)).text


def _short(number: float) -> str:
    return f"{number:g}" if float(f"{number:g}") == number else f"{number!r}"


def share(text: str) -> float:
    """A number from 0 to 1.

    Raises:
        ValueError: it is none.
    """
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not 0.0 <= found <= 1.0:
        raise ValueError(WANTED)
    return found


def as_text(given: Any) -> Any:
    """What Python and older files give as text: numbers, sequences of values, or of (seconds, value); else as it is."""
    if isinstance(given, bool) or given is None or isinstance(given, str):
        return given
    if isinstance(given, int | float):
        return f"{given}"
    if hasattr(given, "tolist"):
        given = given.tolist()
        if isinstance(given, int | float):
            return f"{given}"
    if isinstance(given, Sequence) and given:
        points = [
            ":".join(f"{part}" for part in each) if isinstance(each, list | tuple) else f"{each}" for each in given
        ]
        return ",".join(points)
    return given
