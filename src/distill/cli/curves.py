"""Curves from files: `--brightness curve.csv` is what stands in the file, so that a sound can be made again without it.

A file holds a value on each line, spread evenly over the sound, or seconds and a value. Between them stands a comma, a
semicolon, a tab or blanks; beside a semicolon or a tab, numbers may have decimal commas. Empty lines, what follows a `#`, and
one line of headings are passed over.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distill.audio.notes import parse_pitch
from distill.errors import DistillError
from distill.places import given_path
from distill.settings.curves import Curve, checked_shares, rising, share
from distill.settings.generation import DRAWN, SHARES
from distill.settings.knobs import flag_name

MOST_BYTES = 1_000_000
LIKE_A_FILE = re.compile(r".*([\\/].*|\.[A-Za-z]\w*)", re.DOTALL)
"""A text that is meant as a file, whether it is there or not."""


def with_curves_read(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that were given, with curves in place of the names of their files.

    Raises:
        DistillError: such a file is not there, or holds no curve; the sentence has the number of the line.
    """
    found = dict(overrides)
    for name in DRAWN:
        text = found.get(name)
        if isinstance(text, str) and not _says_it_itself(name, text):
            path = given_path(text)
            if path.is_file():
                found[name] = read_curve(path, flag_name(name), name in SHARES).text
            elif LIKE_A_FILE.fullmatch(text):
                raise DistillError(f"{flag_name(name)} {text}: there is no such file.")
    return found


def read_curve(path: Path, flag: str, of_shares: bool) -> Curve:
    """The curve in a file.

    Args:
        of_shares: whether its values are numbers from 0 to 1; else pitches.

    Raises:
        DistillError: it holds none.
    """
    called = f"{flag} {path.name}"
    try:
        if path.stat().st_size > MOST_BYTES:
            raise DistillError(f"{called}: it has over {MOST_BYTES // 1_000_000} MB, and a curve has a few lines.")
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise DistillError(f"{called}: it is no text. Give a text file with a value on each line.") from None
    except OSError as error:
        raise DistillError(f"{called}: it cannot be read ({error.strerror}).") from error
    times: list[str] = []
    values: list[str] = []
    width = heading = 0
    for number, line in enumerate(lines, start=1):
        parts = _parts(line.split("#", 1)[0] if of_shares else re.split(r"(?:^|\s)#", line)[0])
        if not parts:
            continue
        if not values and not heading and not any(re.search(r"\d", part) for part in parts):
            heading = number
            continue
        try:
            width = width or len(parts)
            if len(parts) != width or width > 2:
                raise ValueError("give one value, or seconds and a value, on every line alike")
            if width == 2:
                rising([*times[-1:], parts[0]])
                times.append(parts[0])
            if of_shares:
                share(parts[-1])
            elif not parts[-1].endswith("%"):
                parse_pitch(parts[-1])
        except ValueError as error:
            raise DistillError(f"{called}, line {number}: {_sentence(parts, error)}.") from None
        except DistillError as error:
            raise DistillError(f"{called}, line {number}: {error}") from None
        values.append(parts[-1])
    if not values:
        raise DistillError(f"{called}: it holds no values. Give a value, or seconds and a value, on each line.")
    return Curve(tuple(values), tuple(float(each) for each in times) if times and len(values) > 1 else None)


def _sentence(parts: list[str], error: ValueError) -> str:
    said = f"{error}"
    return f"{parts[-1]!r:.40} is no number from 0 to 1" if said.startswith("give a number") else said


def _parts(line: str) -> list[str]:
    """The words of a line."""
    text = line.strip()
    if ";" in text or "\t" in text:
        return [part.strip().replace(",", ".") for part in re.split(r"[;\t]", text) if part.strip()]
    return [part for part in re.split(r"[,\s]+", text) if part]


def _says_it_itself(name: str, text: str) -> bool:
    """Whether a text is a wish by itself, and not the name of a file."""
    try:
        if name in SHARES:
            checked_shares(text)
        else:
            parse_pitch(text)
    except (ValueError, DistillError):
        return False
    return True
