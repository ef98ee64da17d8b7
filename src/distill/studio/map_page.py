"""A map as one HTML file: it works from the disk, loads nothing but the sounds that are clicked, and takes names as text."""

import html
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

MARK = '<meta name="generator" content="distill map">'
"""What a page of this program begins with: only such a page is replaced."""


def map_page(title: str, points: Sequence[Mapping[str, Any]]) -> str:
    """The page of `MapPoint`s with the `url` of each; ASCII alone."""
    data = json.dumps({"title": title, "points": list(points)}, ensure_ascii=True, allow_nan=False)
    for character in "<>&":  # nothing in a name ends the script or begins another
        data = data.replace(character, f"\\u{ord(character):04x}")
    heading = html.escape(title).encode("ascii", "xmlcharrefreplace").decode()
    parts = {"@MARK@": MARK, "@TITLE@": heading, "@DATA@": data}
    return re.sub("|".join(parts), lambda part: parts[part[0]], PAGE)  # at once: a name may be such a word


PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">@MARK@
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline';
 media-src 'self' file:; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Map of @TITLE@</title>
<style>
:root { color-scheme: light dark; --ink: #222; --paper: #fafaf7; --line: #8886; }
@media (prefers-color-scheme: dark) { :root { --ink: #eee; --paper: #17181a; } }
body { margin: 0; font: 15px/1.45 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
main { max-width: 1100px; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.3rem; margin: 0 0 .2rem; }
p { margin: .2rem 0 .6rem; }
svg { width: 100%; height: min(70vh, 760px); border: 1px solid var(--line); border-radius: 8px; touch-action: manipulation; }
.point { cursor: pointer; stroke-width: 2; }
.point.silent { cursor: default; }
.point:focus, .point.playing { outline: none; stroke: var(--ink); stroke-width: 4; }
.dim { opacity: .12; }
#now { display: flex; gap: 1rem; align-items: center; flex-wrap: wrap; min-height: 3.4rem; }
#name { flex: 1 1 16rem; overflow-wrap: anywhere; }
#kinds { display: flex; flex-wrap: wrap; gap: .4rem; padding: 0; margin: .6rem 0; }
#kinds button { font: inherit; color: inherit; background: none; border: 1px solid var(--line); border-radius: 99px;
 padding: .1rem .7rem; cursor: pointer; max-width: 100%; overflow: hidden; text-overflow: ellipsis; }
#kinds button[aria-pressed=true] { border-color: var(--ink); }
#kinds i { display: inline-block; width: .7em; height: .7em; border-radius: 50%; margin-right: .4em; }
</style></head><body><main>
<h1>Map of @TITLE@</h1>
<p>Sounds that are alike lie near each other. Full: recordings; ring: held out; diamond: given beside them.
Click one, or choose it with Tab and press Enter, to hear it.</p>
<svg id="map" viewBox="0 0 1000 700" role="group" aria-label="Sounds"></svg>
<div id="now"><span id="name" role="status">Nothing is chosen.</span><audio id="player" controls preload="none"></audio></div>
<div id="kinds" role="group" aria-label="Kinds"></div>
</main>
<script type="application/json" id="data">@DATA@</script>
<script>
"use strict";
const { points } = JSON.parse(document.getElementById("data").textContent);
const map = document.getElementById("map"), nameOf = document.getElementById("name");
const player = document.getElementById("player"), kindsBox = document.getElementById("kinds");
const kinds = [...new Set(points.map(p => p.kind))].sort();
const colour = kind => kind === "" ? "hsl(0 0% 55%)" : `hsl(${Math.round(kinds.indexOf(kind) * 137.5) % 360} 65% 52%)`;
const scale = Math.min(940 / Math.max(...points.map(p => p.x), 1e-9), 640 / Math.max(...points.map(p => p.y), 1e-9));
const wide = Math.max(...points.map(p => p.x)) * scale, high = Math.max(...points.map(p => p.y)) * scale;
const said = p => [p.name, p.kind, p.what, `${p.seconds.toFixed(2)} s`].filter(Boolean).join(" \\u00b7 ")
  + (p.url ? "" : " \\u00b7 its file is not there");
const shapes = points.map(p => {
  const x = (1000 - wide) / 2 + p.x * scale, y = 700 - (700 - high) / 2 - p.y * scale;
  const shape = document.createElementNS("http://www.w3.org/2000/svg", p.what === "given" ? "rect" : "circle");
  const place = p.what === "given"
    ? { x: x - 6, y: y - 6, width: 12, height: 12, transform: `rotate(45 ${x} ${y})` } : { cx: x, cy: y, r: 7 };
  for (const [key, value] of Object.entries(place)) shape.setAttribute(key, value);
  shape.setAttribute("fill", p.what === "held out" ? "transparent" : colour(p.kind));
  shape.setAttribute("stroke", colour(p.kind));
  shape.setAttribute("class", p.url ? "point" : "point silent");
  shape.setAttribute("tabindex", "0");
  shape.setAttribute("role", "button");
  shape.setAttribute("aria-label", said(p));
  const hover = document.createElementNS("http://www.w3.org/2000/svg", "title");
  hover.textContent = said(p);
  shape.append(hover);
  const choose = () => {
    nameOf.textContent = said(p);
    for (const other of shapes) other.classList.toggle("playing", other === shape);
    if (!p.url) { player.pause(); return; }
    player.src = p.url;
    player.play().catch(() => { nameOf.textContent = said(p) + " \\u00b7 it cannot be played"; });
  };
  shape.addEventListener("click", choose);
  shape.addEventListener("keydown", e => { if (e.key === "Enter" || e.key === " ") { e.preventDefault(); choose(); } });
  map.append(shape);
  return shape;
});
if (kinds.length > 1) for (const kind of kinds) {
  const button = document.createElement("button"), dot = document.createElement("i");
  dot.style.background = colour(kind);
  button.append(dot, `${kind || "no kind"} (${points.filter(p => p.kind === kind).length})`);
  button.setAttribute("aria-pressed", "false");
  button.addEventListener("click", () => {
    const on = button.getAttribute("aria-pressed") !== "true";
    for (const other of kindsBox.children) other.setAttribute("aria-pressed", String(other === button && on));
    points.forEach((p, i) => shapes[i].classList.toggle("dim", on && p.kind !== kind));
  });
  kindsBox.append(button);
}
</script></body></html>
"""
