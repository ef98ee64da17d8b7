"""Pieces of HTML that several tabs show. Whatever comes from outside goes through `text`."""

import html
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from distill.ui.fields import in_page_words
from distill.ui.serving import Offers


def text(value: object) -> str:
    """A value for HTML, quotes included, so that it can stand in an attribute."""
    return html.escape(f"{value}", quote=True)


def clock(seconds: float) -> str:
    """`75` -> `1:15`."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"


def place(path: Path) -> str:
    """A path for the page, the user's home as `~`."""
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else f"{path}"


def length(seconds: float) -> str:
    """A sound's duration: `0.42 s`, `1:15`."""
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.1f} s" if seconds < 60 else clock(seconds)


def day(iso: str) -> str:
    """A moment in UTC, on the clock of this machine: `2026-11-23T14:05:10+00:00` -> `2026-11-23 15:05`."""
    try:
        return f"{datetime.fromisoformat(iso).astimezone():%Y-%m-%d %H:%M}"
    except ValueError:
        return iso


def player(address: str, label: str) -> str:
    """An audio element that loads when it is played."""
    return f'<audio controls preload="none" src="{text(address)}" aria-label="Play {text(label)}"></audio>'


def picture(address: str, label: str) -> str:
    """A picture that loads when it is seen."""
    return f'<img loading="lazy" src="{text(address)}" alt="Waveform and spectrogram of {text(label)}">'


def figures(pairs: Iterable[tuple[str, str]]) -> str:
    """Numbers with what they mean under them."""
    return f'<div class="d-figures">{"".join(f"<div><b>{v}</b><span>{text(k)}</span></div>" for k, v in pairs)}</div>'


def bar(share: float, label: str) -> str:
    """How far something is."""
    percent = round(100 * min(max(share, 0.0), 1.0))
    return (
        f'<div class="d-bar" role="progressbar" aria-label="{text(label)}" aria-valuemin="0" aria-valuemax="100" '
        f'aria-valuenow="{percent}"><i style="width:{percent}%"></i></div>'
    )


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], label: str, kinds: Sequence[str] = ()) -> str:
    """Cells are HTML; `kinds`: a class for each column."""
    head = "".join(f'<th scope="col">{text(title)}</th>' for title in titles)
    classes = list(kinds) or [""] * len(titles)
    body = "".join(
        "<tr>" + "".join(f'<td class="{kind}">{cell}</td>' for kind, cell in zip(classes, row, strict=True)) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="d-table" tabindex="0" role="region" aria-label="{text(label)}"><table><thead><tr>{head}</tr>'
        f"</thead><tbody>{body}</tbody></table></div>"
    )


def button(label: str, spoken: str, data: Mapping[str, str], pressed: bool | None = None) -> str:
    """A button whose click reaches Python with `data`; `spoken` is what a screen reader says."""
    attributes = "".join(f' data-{key}="{text(value)}"' for key, value in data.items())
    state = "" if pressed is None else f' aria-pressed="{str(pressed).lower()}"'
    return f'<button type="button" aria-label="{text(spoken)}"{state}{attributes}>{text(label)}</button>'


def link(label: str, address: str, spoken: str) -> str:
    """A link that saves a file."""
    return f'<a href="{text(address)}" download aria-label="{text(spoken)}">{text(label)}</a>'


def sound_card(
    offers: Offers, path: Path, title: str, note: str = "", extra: str = "", kept: bool = False, strip: str = ""
) -> str:
    """Player and picture of one sound; `strip`: what stands under the picture."""
    return (
        f'<article class="d-card{" kept" if kept else ""}"><h3>{text(title)}</h3>'
        f"{picture(offers.picture(path), title)}{strip}{player(offers.player(path), title)}"
        f'<span class="d-note">{text(note)}</span>{extra}</article>'
    )


def scale(seconds: float) -> str:
    """The seconds of a sound under its picture, from its beginning to its end."""
    marks = "".join(f"<span>{seconds * part / 4:.{1 if seconds >= 20 else 2}f}</span>" for part in range(5))
    return f'<div class="d-scale" aria-hidden="true">{marks}</div>'


def empty(sentence: str) -> str:
    """What stands where there is nothing yet."""
    return f'<div class="d-empty">{text(sentence)}</div>'


def failed(sentence: str) -> str:
    """A sentence about what went wrong."""
    return f'<p class="d-error" role="alert">{text(in_page_words(sentence))}</p>'
