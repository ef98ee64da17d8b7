"""The page of a pack: one HTML file with players and pictures, which opens from the disk and asks no network. No torch."""

import base64
from collections.abc import Sequence
from html import escape
from typing import NamedTuple
from urllib.parse import quote

from distill.instrument.strip import STRIP_SCRIPT, STRIP_STYLE

STYLE = """
body { margin: 2rem auto; max-width: 76rem; padding: 0 1rem; background: #111022; color: #e2e8f0;
  font: 16px/1.5 system-ui, sans-serif }
h1 { margin-bottom: .2rem } h2 { margin: 2rem 0 .6rem } a { color: #c4b5fd }
.sounds { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 1rem }
figure { margin: 0; padding: .8rem; background: #1c1a36; border-radius: .6rem }
img { width: 100%; height: auto; border-radius: .3rem } audio { width: 100%; margin-top: .4rem }
figcaption { overflow-wrap: anywhere } .near-words { margin: .2rem 0; font-size: .85rem }
.facts { color: #a5b4fc; font-size: .85rem }
"""
ONE_AT_A_TIME = """
document.addEventListener('play', event => {
  for (const other of document.querySelectorAll('audio')) if (other !== event.target) other.pause();
}, true);
"""


class Shown(NamedTuple):
    """A sound on the page."""

    path: str
    """Relative to the page, with slashes."""
    kind: str
    facts: str
    picture: bytes
    """A PNG."""
    strip: str = ""
    """HTML of what its seconds are nearest to."""


def pack_page(title: str, about: Sequence[str], sounds: Sequence[Shown]) -> str:
    """The page.

    Args:
        about: lines under the title: what made the sounds, their licence.
        sounds: in the order of their kinds.
    """
    parts: list[str] = []
    kind = None
    for each in sounds:
        if each.kind != kind:
            parts.append(f'{"</div>" if parts else ""}<h2>{escape(each.kind)}</h2>\n<div class="sounds">')
            kind = each.kind
        name = each.path.rpartition("/")[2]
        parts.append(
            f'<figure><img alt="Waveform and spectrogram of {escape(name)}" width="360" height="140" '
            f'src="data:image/png;base64,{base64.b64encode(each.picture).decode()}">\n'
            f'<audio controls preload="none" aria-label="{escape(name)}" src="{quote(each.path)}"></audio>\n{each.strip}'
            f'<figcaption><a href="{quote(each.path)}">{escape(name)}</a><br>'
            f'<span class="facts">{escape(each.facts)}</span></figcaption></figure>'
        )
    lines = "".join(f"<p>{escape(line)}</p>\n" for line in about)
    body = "\n".join(parts) + ("</div>" if parts else "")
    return (
        f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width"><style>{STYLE}{STRIP_STYLE}</style></head>\n'
        f"<body><h1>{escape(title)}</h1>\n{lines}{body}\n<script>{ONE_AT_A_TIME}{STRIP_SCRIPT}</script></body></html>\n"
    )
