"""A strip under a sound: what each second of it is nearest to, in words, and to be heard by a click. No torch."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from distill.events import Source

STRIP_STYLE = """
.near { display: flex; gap: 2px; width: 100%; min-height: 34px }
.near button { flex: 1 1 0; min-width: 6px; padding: 0; margin: 0; border: 0; background: none; color: inherit; cursor: pointer;
  text-align: left; font: inherit; font-size: .78rem; line-height: 1.3; overflow: hidden; white-space: nowrap;
  text-overflow: ellipsis; display: block }
.near i { display: block; height: 10px; margin-bottom: 3px; border: 1px solid #7c3aed; border-radius: 2px;
  box-sizing: border-box }
.near i::before { content: ''; display: block; height: 100%; background: #7c3aed; opacity: var(--near) }
.near .surely i { border-width: 2px; outline: 1px solid currentColor }
.near .surely span { font-weight: 700 }
.near button:focus-visible, .near button.now { outline: 3px solid #7c3aed; outline-offset: -1px }
"""
STRIP_SCRIPT = """
// A click on a second plays it, and then that of its recording where that is at hand.
let nearTurn = 0;
async function nearPlay(player, from, to, mine) {
  if (player.readyState < 1) {
    await new Promise((ready, failed) => {
      player.addEventListener('loadedmetadata', ready, {once: true});
      player.addEventListener('error', failed, {once: true});
      player.preload = 'auto';
      player.load();
    });
  }
  player.currentTime = from;
  await player.play();
  await new Promise(done => {
    const watch = setInterval(() => {
      if (mine !== nearTurn || player.paused || player.ended || player.currentTime >= to) { clearInterval(watch); done(); }
    }, 15);
  });
  if (mine === nearTurn) player.pause();
}
document.addEventListener('click', async event => {
  const part = event.target.closest && event.target.closest('.near button');
  if (!part) return;
  const mine = ++nearTurn, card = part.closest('article, figure');
  const player = card.querySelector('audio:not(.near-source)');
  for (const other of document.querySelectorAll('.near .now')) other.classList.remove('now');
  part.classList.add('now');
  const {at, ends, url, seconds, name} = part.dataset;
  try {
    await nearPlay(player, +at, +ends, mine);
    if (!url || mine !== nearTurn) return;
    let source = card.querySelector('audio.near-source');
    if (!source) {
      source = document.createElement('audio');
      source.className = 'near-source';
      source.controls = true;
      player.after(source);
    }
    if (source.dataset.url !== url) {
      source.src = URL.createObjectURL(await (await fetch(url)).blob());  // which can be begun anywhere
      source.dataset.url = url;
    }
    source.setAttribute('aria-label', 'Recording ' + name);
    await nearPlay(source, +seconds, +seconds + (ends - at), mine);
  } catch { part.title += ' (it cannot be played)'; }
});
"""


class Beside(NamedTuple):
    """Where a recording can be heard."""

    address: str
    begins: float
    """Second at which it begins there."""


def strip_html(sources: Sequence[Source], name: str, beside: Mapping[str, Beside] | None = None) -> str:
    """A strip of buttons, one for each second, and a line that says it in words; nothing of nothing.

    Args:
        name: the sound's, for who does not see it.
        beside: recordings that can be heard, by name.
    """
    if not sources:
        return ""
    parts = "".join(_part(each, (beside or {}).get(each.nearest)) for each in sources)
    return (
        f'<div class="near" role="group" aria-label="What {escape(name)} is nearest to, second by second">{parts}</div>'
        f'<p class="near-words">{escape(in_words(sources))}</p>'
    )


def in_words(sources: Sequence[Source]) -> str:
    """How many seconds are nearer to a recording than chance, and which those are."""
    nearer = [each for each in sources if each.nearer_than_chance]
    names = list(dict.fromkeys(each.nearest for each in nearer))
    of = f"{len(sources)} part" + ("s" if len(sources) > 1 else "")
    if not nearer:
        return f"No nearer to the recordings than chance, in {of}."
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"Nearer than chance in {len(nearer)} of {of}: {', '.join(names[:3])}{more}."


def said(source: Source) -> str:
    """A second in words."""
    nearer = "nearer than chance" if source.nearer_than_chance else "no nearer than unseen recordings"
    return (
        f"{source.begins:.2f} to {source.ends:.2f} s: nearest to {source.nearest} at {source.nearest_seconds:.2f} s, "
        f"differs by {source.unexplained:.0%}, {nearer}"
    )


def _part(source: Source, beside: Beside | None) -> str:
    words = escape(said(source), quote=True)
    heard = ""
    if beside is not None:
        heard = f' data-url="{escape(beside.address, quote=True)}" data-seconds="{beside.begins + source.nearest_seconds:.3f}"'
    return (
        f'<button type="button" class="{"surely" if source.nearer_than_chance else ""}" title="{words}" aria-label="{words}" '
        f'style="flex-grow:{max(source.ends - source.begins, 0.01):.3f}" data-at="{source.begins:.3f}" '
        f'data-ends="{source.ends:.3f}" data-name="{escape(source.nearest, quote=True)}"{heard}>'
        f'<i style="--near:{1.0 - source.unexplained:.2f}"></i><span>{escape(source.nearest)}</span></button>'
    )
